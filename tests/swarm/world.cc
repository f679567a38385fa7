#include "tests/swarm/world.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace headroom::swarm {
namespace {

constexpr int64_t kBacklog = 128;
constexpr absl::Duration kReconnect = absl::Seconds(1);
constexpr double kActiveShare = 0.1;            // of the open connections
constexpr double kRequestsPerConnection = 0.5;  // a second
constexpr absl::Duration kLatency = absl::Milliseconds(20);

// So much of the way to where it goes, in one step.
void Approach(double& value, double target, double share) {
  value += (target - value) * share;
  if (std::abs(target - value) < 0.5) value = target;
}

int64_t Whole(double value) {
  return static_cast<int64_t>(value);
}

// Whole numbers of what is shared in fractions, one after the other. Their sum is that of all, rounded up.
class Shares {
 public:
  int64_t Next(double value) {
    constexpr double kNoise = 1e-6;  // of sums
    const int64_t before = Whole(std::ceil(sum_ - kNoise));
    sum_ += value;
    return Whole(std::ceil(sum_ - kNoise)) - before;
  }

 private:
  double sum_ = 0;
};

}  // namespace

World::World(WorldSettings settings) : settings_(std::move(settings)), random_(settings_.seed), now_(settings_.start) {
  for (int i = 0; i < settings_.balancers; ++i) {
    balancers_.push_back({.id = absl::StrCat("balancer-", i + 1)});
  }
  for (int i = 0; i < settings_.initial_count; ++i) {
    const std::string zone =
        settings_.zones.empty() ? "" : settings_.zones[static_cast<size_t>(i) % settings_.zones.size()];
    const NodeId id = Launch("", zone, Boots::kWell);
    At(id).life_until = now_;
    for (BalancerProcess& balancer : balancers_) {
      balancer.servers[id].session_count_max = SessionsFirst();
    }
  }
}

void World::Step() {
  now_ += kStep;
  for (auto& [id, server] : servers_) Live(server);
  Flow();
  CountWhole();
  for (auto& [id, server] : servers_) {
    Count(server);
    Talk(server);
  }
  for (BalancerProcess& balancer : balancers_) {
    if (!listens_ || now_ < balancer.connect_at) continue;
    if (!std::exchange(balancer.connected, true)) events_.emplace_back(BalancerJoined{balancer.id});
    Say(balancer);
  }
}

// What an operator gave each balancer: together they let in what the node takes.
int64_t World::SessionsFirst() const {
  return settings_.balancing == Balancing::kRequests ? settings_.connection_limit / settings_.balancers : 0;
}

std::string World::BootId(const Server& server) {
  return absl::StrCat(server.id, "-boot-", server.boot);
}

void World::Live(Server& server) {
  const bool waits = server.life == Server::Life::kBooting || server.life == Server::Life::kDown;
  if (!waits || now_ < server.life_until) return;
  server.life = Server::Life::kUp;
  ++server.boot;
  server.draining = false;
  server.booted_at = now_;
  server.sequence = 0;
  server.counters = {};
  server.limits = {.connection_count_max = settings_.connection_limit, .idle_timeout = settings_.idle_timeout};
  server.lease_until = absl::InfiniteFuture();
  server.connect_at = now_;
}

std::vector<NodeId> World::RoutedBy(const BalancerProcess& balancer) const {
  std::vector<NodeId> routed;
  for (const auto& [id, entry] : balancer.servers) {
    const auto server = servers_.find(id);
    if (server != servers_.end() && server->second.Serves() && !entry.draining) routed.push_back(id);
  }
  return routed;
}

std::vector<NodeId> World::Routed() const {
  std::vector<NodeId> routed;
  for (const auto& [id, server] : servers_) {
    const bool known = balancers_.empty() || std::any_of(balancers_.begin(), balancers_.end(), [&](const auto& one) {
                         const auto entry = one.servers.find(id);
                         return entry != one.servers.end() && !entry->second.draining;
                       });
    if (server.Serves() && known) routed.push_back(id);
  }
  return routed;
}

void World::Flow() {
  if (settings_.balancing == Balancing::kRequests) {
    for (BalancerProcess& balancer : balancers_) FlowAtBalancer(balancer, demand_ / settings_.balancers);
  }
  const std::vector<NodeId> routed = Routed();
  // Clients that a draining node has still come back when it closes them.
  double elsewhere = 0;
  for (const auto& [id, server] : servers_) elsewhere += server.draining ? server.open : 0;
  const double here = std::max(0.0, demand_ - elsewhere);
  for (auto& [id, server] : servers_) {
    double share = 0;
    if (settings_.balancing == Balancing::kRequests) {
      for (const BalancerProcess& balancer : balancers_) {
        if (const auto entry = balancer.servers.find(id); entry != balancer.servers.end())
          share += entry->second.sessions;
      }
    } else if (std::binary_search(routed.begin(), routed.end(), id)) {
      share = here / static_cast<double>(routed.size());
    }
    FlowAtNode(server, share);
  }
}

void World::CountWhole() {
  Shares at_servers;
  for (auto& [id, server] : servers_) {
    const bool leaves = server.draining || server.open == 0;
    server.open_count = leaves ? Whole(std::ceil(server.open)) : at_servers.Next(server.open);
  }
  for (BalancerProcess& balancer : balancers_) {
    Shares at_balancer;
    for (auto& [id, entry] : balancer.servers) entry.session_count = at_balancer.Next(entry.sessions);
  }
}

void World::FlowAtNode(Server& server, double share) {
  constexpr double kFlow = 0.3, kLeaving = 0.1;
  if (!server.IsUp()) {
    server.open = server.queue = server.active = 0;
    return;
  }
  if (server.draining) {
    Approach(server.open, server.drain_sticks && server.open >= 1 ? 1 : 0, kLeaving);
    server.queue = 0;
  } else {
    const auto limit = static_cast<double>(server.limits.connection_count_max);
    const double admitted = limit > 0 ? std::min(share, limit) : share;
    Approach(server.open, admitted, kFlow);
    server.queue = std::min(static_cast<double>(kBacklog), std::max(0.0, share - admitted));
  }
  server.active = std::min(server.open, std::ceil(kActiveShare * server.open));
}

void World::FlowAtBalancer(BalancerProcess& balancer, double demand) {
  constexpr double kFlow = 0.5;
  const std::vector<NodeId> routed = RoutedBy(balancer);
  for (auto& [id, entry] : balancer.servers) {
    const bool gets = std::binary_search(routed.begin(), routed.end(), id);
    const double share = gets ? demand / static_cast<double>(routed.size()) : 0;
    const auto limit = static_cast<double>(entry.session_count_max);
    const double admitted = limit > 0 ? std::min(share, limit) : share;
    const bool sticks = !gets && servers_.contains(id) && At(id).drain_sticks && At(id).IsUp();
    Approach(entry.sessions, sticks && entry.sessions >= 1 ? 1 : admitted, kFlow);
    entry.queue = std::max(0.0, share - admitted);
  }
}

void World::Count(Server& server) const {
  if (!server.IsUp()) return;
  NodeCounters& counters = server.counters;
  const double seconds = absl::ToDoubleSeconds(kStep);
  const int64_t completed = Whole(std::ceil(server.open * kRequestsPerConnection * seconds));
  counters.uptime = now_ - server.booted_at;
  counters.completed += completed;
  counters.errors += Whole(static_cast<double>(completed) * server.error_ratio);
  counters.accepted += Whole(server.open * 0.1);
  if (server.queue >= static_cast<double>(kBacklog)) counters.rejected += 20;
  counters.sent_bytes += Whole(server.open * settings_.bytes_per_connection * seconds);
  counters.cpu_time += absl::Microseconds(100) * completed;
  counters.overflows = 0;
  for (int64_t i = 0; i < std::min<int64_t>(completed, 4); ++i) counters.latency.Add(kLatency);
}

// Its stream, and what goes over it.
void World::Talk(Server& server) {
  if (!server.IsUp()) return;
  if (server.limits.source == LimitSource::kGrant && server.lease_until <= now_) {
    server.limits.source = LimitSource::kSelf;
  }
  if (!server.connected) {
    if (!listens_ || now_ < server.connect_at) return;
    server.connected = true;
    server.report_at = now_;
    events_.emplace_back(NodeJoined{server.id,
                                    {.boot_id = BootId(server),
                                     .capabilities = {"limit", "idle_timeout", "shed", "drain"},
                                     .server_version = "swarm/1",
                                     .limits = server.limits,
                                     .term_max_seen = server.term_seen,
                                     .address = absl::StrCat(server.id, ":80"),
                                     .admin_address = absl::StrCat(server.id, ":81"),
                                     .zone = server.zone,
                                     .launch_id = server.launch_id,
                                     .fd_count_max = 10'000,
                                     .configured_count_max = settings_.connection_limit,
                                     .configured_idle_timeout = settings_.idle_timeout}});
  }
  if (server.report_at <= now_) Say(server, Urgency::kNone);
}

void World::Say(Server& server, Urgency urgency) {
  server.report_at = now_ + settings_.report_interval;
  NodeReport report{{.boot_id = BootId(server),
                     .sequence = ++server.sequence,
                     .open_count = server.open_count,
                     .active_count = std::min(Whole(server.active), server.open_count),
                     .in_flight_count = std::min(Whole(server.active), server.open_count),
                     .limits = server.limits,
                     .accept_queue_count = Whole(server.queue),
                     .accept_queue_count_max = kBacklog,
                     .fd_count = server.open_count + 32,
                     .fd_count_max = 10'000,
                     .cpu_count = 2,
                     .state = server.draining ? ServerState::kDraining : ServerState::kServing,
                     .urgency = urgency},
                    server.counters};
  events_.emplace_back(NodeReported{server.id, std::move(report)});
}

void World::Say(BalancerProcess& balancer) {
  BalancerReport report;
  report.boot_id = absl::StrCat(balancer.id, "-", balancer.boot);
  report.sequence = ++balancer.sequence;
  report.slot_place = settings_.balancing == Balancing::kRequests ? SlotPlace::kBalancer : SlotPlace::kNode;
  for (const auto& [id, entry] : balancer.servers) {
    const auto server = servers_.find(id);
    const bool up = server != servers_.end() && server->second.IsUp();
    const bool slots = settings_.balancing == Balancing::kRequests;
    const int64_t sessions = slots ? entry.session_count : up ? server->second.open_count / settings_.balancers : 0;
    report.servers.push_back({.node = id,
                              .session_count = sessions,
                              .queue_count = Whole(entry.queue),
                              .session_count_max = entry.session_count_max,
                              .up = up,
                              .draining = entry.draining});
  }
  events_.emplace_back(BalancerReported{balancer.id, std::move(report)});
}

void World::Leave(Server& server, NodeLeft::How how) {
  if (std::exchange(server.connected, false)) {
    events_.emplace_back(NodeLeft{.node = server.id, .boot_id = BootId(server), .how = how});
  }
}

NodeId World::Launch(const ActionId& launch_id, const std::string& zone, Boots boots) {
  if (const auto known = launches_.find(launch_id); known != launches_.end()) return known->second;
  Server server;
  server.id = absl::StrCat("node-", ++made_);
  server.zone = zone;
  server.launch_id = launch_id;
  server.drain_sticks = sim::Index(random_, 8) == 0;
  server.life_until = now_ + settings_.boot * (0.7 + 0.6 * sim::Uniform(random_));
  if (boots == Boots::kSlowly) server.life_until = now_ + settings_.boot * 8;
  if (boots == Boots::kNever) server.life_until = absl::InfiniteFuture();
  if (!launch_id.empty()) launches_[launch_id] = server.id;
  return servers_.emplace(server.id, server).first->first;
}

void World::Terminate(const NodeId& node) {
  const auto found = servers_.find(node);
  if (found == servers_.end()) return;
  Leave(found->second, NodeLeft::How::kStopping);
  servers_.erase(found);
}

std::vector<Machine> World::Machines() const {
  std::vector<Machine> machines;
  for (const auto& [id, server] : servers_) {
    const bool booting = server.life == Server::Life::kBooting;
    machines.push_back({.node = id,
                        .state = booting ? Machine::State::kStarting : Machine::State::kRunning,
                        .zone = server.zone,
                        .launch_id = server.launch_id});
  }
  return machines;
}

absl::Status World::Send(const Action& action) {
  if (const auto* set = std::get_if<SetServers>(&action.body)) {
    for (BalancerProcess& balancer : balancers_) {
      if (!balancer.connected) continue;
      const auto& without = set->without_share;
      const bool shares = std::find(without.begin(), without.end(), balancer.id) == without.end();
      const std::map<NodeId, BalancerProcess::Entry> before = std::exchange(balancer.servers, {});
      for (const ServerTarget& target : set->servers) {
        BalancerProcess::Entry& entry = balancer.servers[target.node];
        if (const auto known = before.find(target.node); known != before.end()) entry = known->second;
        entry.draining = target.draining;
        if (shares && target.session_count_max > 0) entry.session_count_max = target.session_count_max;
        if (settings_.balancing == Balancing::kRequests && entry.session_count_max == 0)
          entry.session_count_max = SessionsFirst();
      }
    }
    return absl::OkStatus();
  }
  const auto found = servers_.find(action.node);
  if (found == servers_.end() || !found->second.connected) return absl::UnavailableError("it is not connected");
  Server& server = found->second;
  if (action.term < server.term_seen) return absl::FailedPreconditionError("it has seen a higher term");
  server.term_seen = action.term;
  if (const auto* grant = std::get_if<GrantLimits>(&action.body)) {
    server.limits.connection_count_max = grant->connection_count_max;
    if (grant->idle_timeout > absl::ZeroDuration()) server.limits.idle_timeout = grant->idle_timeout;
    server.limits.grant_id = grant->grant_id;
    server.limits.source = LimitSource::kGrant;
    server.lease_until = now_ + grant->lease;
    if (!grant->renewal) Say(server, Urgency::kApplied);
  } else if (std::holds_alternative<DrainNode>(action.body)) {
    server.draining = true;
    Say(server, Urgency::kState);
  } else if (std::holds_alternative<CancelDrain>(action.body)) {
    server.draining = false;
    Say(server, Urgency::kState);
  }
  return absl::OkStatus();
}

void World::Restart(const NodeId& node, absl::Duration down) {
  Server& server = At(node);
  if (!server.IsUp()) return;
  Leave(server, sim::Index(random_, 2) == 0 ? NodeLeft::How::kRestarting : NodeLeft::How::kLost);
  server.life = Server::Life::kDown;
  server.life_until = now_ + down;
}

void World::Kill(const NodeId& node) {
  Server& server = At(node);
  if (server.IsUp()) Leave(server, NodeLeft::How::kLost);
  server.life = Server::Life::kDead;
}

void World::Partition(const NodeId& node, absl::Time until) {
  Server& server = At(node);
  if (!server.IsUp()) return;
  Leave(server, NodeLeft::How::kLost);
  server.connect_at = until;
}

void World::DrainByHand(const NodeId& node, bool drain) {
  if (At(node).IsUp()) At(node).draining = drain;
}

void World::SetLimitByHand(const NodeId& node, int64_t limit) {
  Server& server = At(node);
  if (!server.IsUp()) return;
  server.limits.connection_count_max = limit;
  server.limits.source = LimitSource::kForeign;
}

void World::SetErrors(const NodeId& node, double ratio) {
  At(node).error_ratio = ratio;
}

void World::RestartBalancer(size_t index) {
  BalancerProcess& balancer = balancers_[index];
  if (std::exchange(balancer.connected, false)) events_.emplace_back(BalancerLeft{balancer.id});
  ++balancer.boot;
  balancer.sequence = 0;
  balancer.connect_at = now_ + absl::Seconds(1 + sim::Index(random_, 20));
  for (auto& [id, entry] : balancer.servers) {
    entry = {.session_count_max = SessionsFirst()};
  }
}

void World::CloseStreams() {
  listens_ = false;
  events_.clear();
  for (auto& [id, server] : servers_) server.connected = false;
  for (BalancerProcess& balancer : balancers_) balancer.connected = false;
}

void World::OpenStreams() {
  listens_ = true;
  const auto soon = [this] { return now_ + kReconnect * sim::Uniform(random_); };
  for (auto& [id, server] : servers_) server.connect_at = std::max(server.connect_at, soon());
  for (BalancerProcess& balancer : balancers_) balancer.connect_at = std::max(balancer.connect_at, soon());
}

void World::Heal() {
  for (auto& [id, server] : servers_) {
    server.error_ratio = 0;
    server.drain_sticks = false;
    if (server.life == Server::Life::kDead) {
      server.life = Server::Life::kDown;
      server.life_until = now_;
    }
    server.connect_at = std::min(server.connect_at, now_ + kReconnect);
  }
  for (BalancerProcess& balancer : balancers_) balancer.connect_at = std::min(balancer.connect_at, now_ + kReconnect);
}

void World::LeaveLimits() {
  for (auto& [id, server] : servers_) server.limits.connection_count_max = settings_.connection_limit;
  for (BalancerProcess& balancer : balancers_) {
    for (auto& [id, entry] : balancer.servers) entry.session_count_max = SessionsFirst();
  }
}

}  // namespace headroom::swarm
