#include "controller/core/fleet/fleet.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

constexpr absl::Duration kGoodputStretch = absl::Seconds(5);
constexpr size_t kLeadTimesMax = 20;
// A node whose drain was cancelled is told again every few seconds for so long; one that drains on is given up.
constexpr absl::Duration kReturnMax = absl::Minutes(1);

// Connections that bring as much work as the node does best: the knee is of requests in service, and only some of the
// connections are active. A knee that the work in service is far below says nothing of slots that are mostly idle.
int64_t KneeCeiling(const Node& node, absl::Time at) {
  constexpr double kShareMin = 0.02, kFar = 0.5;
  const auto knee = node.knee.knee();
  if (!knee.has_value() || static_cast<double>(node.report.active_count) < kFar * knee->low) return 0;
  const double share = std::clamp(node.active_share.Max(at, Node::kActivePeakWindow), kShareMin, 1.0);
  return static_cast<int64_t>(knee->high / share);
}

void LearnKnee(Node& node, absl::Duration mean_latency, absl::Time at) {
  constexpr double kSmooth = 0.2, kOpenMin = 8;
  if (node.rates.seconds <= 0) return;
  const auto active = static_cast<double>(node.report.active_count), open = static_cast<double>(node.report.open_count);
  node.knee.Add(at, {active, node.rates.completed, mean_latency});
  if (open >= kOpenMin) {
    node.active_share_now += kSmooth * (active / open - node.active_share_now);
    node.active_share.Add(at, Node::kActivePeakWindow, node.active_share_now);
  }
  node.knee_count_max = KneeCeiling(node, at);
}

bool IsBusy(const Node& node) {
  return node.LimitCount() > 0 && 2 * node.DemandCount() > node.LimitCount();
}

// A name that is lost, or was drained by others than Headroom, and that no provider lists: the server was renamed or
// taken away. What an operator said of it is kept longer.
bool IsGone(const Node& node, absl::Time now, const Policy& policy) {
  constexpr absl::Duration kNameKept = absl::Hours(24);
  const bool kept = node.IsLeaving() && (node.drained_by_operator || node.found_draining);
  if ((node.state != NodeState::kLost && !kept) || node.listed || node.connected) return false;
  const absl::Duration silent = now - node.last_report_at;
  const bool bare = node.launch_id.empty() && !node.pinned && !node.drained_by_operator && node.fixed.count == 0;
  return silent > kNameKept || (node.said_stopping && bare && silent > policy.nodes.restart_grace);
}

}  // namespace

absl::string_view NodeStateName(NodeState state) {
  static constexpr std::array<absl::string_view, 8> kNames = {"launching", "joining", "serving",     "restarting",
                                                              "draining",  "drained", "terminating", "lost"};
  static_assert(kNames.size() == static_cast<size_t>(NodeState::kLost) + 1);
  return kNames[static_cast<size_t>(state)];
}

int64_t Node::WaitingCount() const {
  if (behind.holds_slots) return behind.queue_count;
  // The socket's own drops, not the namespace's overflows: those are everybody's who shares it.
  const double outside = rates.drops;
  // Where the accept queue can be read, those that were rejected stand in it; counting both would count them twice.
  const bool queue_known = report.accept_queue_count_max > 0;
  const int64_t queued = queue_known ? report.accept_queue_count : static_cast<int64_t>(rates.rejected);
  return queued + static_cast<int64_t>(outside) + behind.queue_count;
}

void Node::Become(NodeState to, absl::Time at) {
  if (state == to) return;
  state = to;
  state_since = at;
  if (to == NodeState::kTerminating) left_boot_id = hello.boot_id;
  if (to != NodeState::kServing) return;
  was_drained = false;
  terminates_failed = {};
}

void Node::Granted(uint64_t new_id, int64_t limit_count, absl::Time at) {
  if (report.limits.grant_id != grant_id) passed_count = std::max(passed_count, granted_count);
  granted_count = limit_count;
  granted_at = at;
  grant_id = new_id;
}

void Node::ForgetGrants() {
  granted_count = passed_count = 0;
  limit = {};
}

uint64_t VariantOf(absl::string_view version, absl::string_view config) {
  if (version.empty() && config.empty()) return 0;
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: the same on every machine, for it is saved
  const auto mix = [&hash](char c) { hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3; };
  for (const char c : version) mix(c);
  mix('\0');
  for (const char c : config) mix(c);
  return std::max<uint64_t>(hash, 1);
}

bool Fleet::Apply(absl::Time at, const Event& event, const Policy& policy) {
  return std::visit([&](const auto& fact) { return On(at, fact, policy); }, event);
}

const Node* Fleet::Find(const NodeId& id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

// The node of this id; a launch that becomes known by its machine gives up its placeholder.
Node& Fleet::Adopt(const NodeId& id, const ActionId& launch_id, absl::Time at) {
  if (const auto found = nodes_.find(id); found != nodes_.end()) {
    TakeName(found->second, launch_id);
    return found->second;
  }
  if (const auto launch = nodes_.find(PlaceholderOf(launch_id)); !launch_id.empty() && launch != nodes_.end()) {
    Node known = std::move(launch->second);
    nodes_.erase(launch);
    known.id = id;
    // Somebody thought that it was only imagined, and here it is.
    if (std::exchange(known.hypothetical, false)) known.Become(NodeState::kJoining, at);
    return nodes_.emplace(id, std::move(known)).first->second;
  }
  Node node;
  node.id = id;
  node.launch_id = launch_id;
  node.state = NodeState::kJoining;
  node.state_since = at;
  return nodes_.emplace(id, std::move(node)).first->second;
}

// A node may speak before anybody can say which launch it is: then it takes the place of that one's placeholder.
void Fleet::TakeName(Node& node, const ActionId& launch_id) {
  const auto launch = nodes_.find(PlaceholderOf(launch_id));
  if (launch_id.empty() || launch == nodes_.end() || &launch->second == &node) return;
  node.launch_id = launch_id;
  node.launched_at = launch->second.launched_at;
  if (node.zone.empty()) node.zone = launch->second.zone;
  Forget(launch);
  if (node.state == NodeState::kServing && node.launched_at <= node.state_since) CountArrival(node, node.state_since);
}

bool Fleet::HasNamelessArrival() const {
  const auto placeholders = nodes_.lower_bound(PlaceholderOf(""));  // they sort after every name
  const bool is_awaited = std::any_of(placeholders, nodes_.end(), [this](const auto& node) {
    return node.second.IsAwaited() && !in_flight_.contains(node.second.launch_id);
  });
  return is_awaited && std::any_of(nodes_.begin(), placeholders, [this](const auto& node) {
           return node.second.connected && node.second.launch_id.empty() &&
                  node.second.listed_at == absl::InfinitePast() && node.second.state_since > last_listed_at_;
         });
}

bool Fleet::HasRoomFor(const NodeId& id, absl::Time at) {
  if (nodes_.size() < kNodesMax || Find(id) != nullptr) return true;
  refused_node_ = id;
  refused_at_ = at;
  return false;
}

bool Fleet::On(absl::Time at, const NodeJoined& event, const Policy&) {
  if (!HasRoomFor(event.node, at)) return false;
  Node& node = Adopt(event.node, event.hello.launch_id, at);
  const bool new_boot = node.hello.boot_id != event.hello.boot_id;
  node.hello = event.hello;
  node.takes_limits = node.Can("limit");
  node.variant = VariantOf(event.hello.server_version, event.hello.config_hash);
  node.connected = true;
  node.said_stopping = false;
  node.last_report_at = at;
  if (!event.hello.zone.empty()) node.zone = event.hello.zone;
  // It was granted nothing since, and before it was granted its share.
  if (new_boot && node.unheard) adopted_count_ += std::min(node.granted_count, event.hello.limits.connection_count_max);
  if (new_boot) {
    node.ready = false;
    UncountLatency(node);
    node.counters.Clear();
    node.rates = {};
    node.latency = {};
    node.demand_slope = {};
    node.report = {};
    node.report.limits = event.hello.limits;
    node.ForgetGrants();
    node.unheard = false;
  } else if (node.unheard) {
    node.report.limits = event.hello.limits;
    AdoptLimit(node);
  }
  if (event.hello.learned_baseline_latency.has_value()) node.baseline.Adopt(*event.hello.learned_baseline_latency);
  if (event.hello.learned_knee.has_value()) node.knee.Adopt(*event.hello.learned_knee);
  if (node.state == NodeState::kLaunching) {
    if (node.launched_at != absl::InfinitePast()) boot_times_.Add(at - node.launched_at);
    node.Become(NodeState::kJoining, at);
  }
  return true;
}

bool Fleet::On(absl::Time at, const NodeReported& event, const Policy& policy) {
  const auto found = nodes_.find_next(event.node, reports_next_);
  if (found == nodes_.end()) {
    ++reports_dropped_old_;
    return false;
  }
  Node& node = found->second;
  const NodeReport& report = event.report;
  if (report.boot_id != node.hello.boot_id || (node.ready && report.sequence <= node.report.sequence)) {
    ++reports_dropped_old_;
    return false;
  }
  node.report = report;
  node.last_report_at = node.reported_at = at;
  // One that knows no numbers of grants confirms by what it has. A ceiling of its own may keep it below what it was
  // granted; but so may be what it had before its first grant, until that has had the time to come.
  const LimitsInForce& in_force = report.limits;
  const bool unnumbered = in_force.grant_id == 0 && in_force.source != LimitSource::kSelf;
  const int64_t has = in_force.connection_count_max;
  const bool has_come = at - node.granted_at > policy.control.silent_after;
  const bool same = unnumbered && has > 0 && (has == node.granted_count || (has < node.granted_count && has_come));
  // Nobody is told what a dry run grants: no node can hold any of it.
  const bool untold = policy.mode == Mode::kDryRun;
  if (same || untold || in_force.grant_id == node.grant_id) node.passed_count = 0;
  if (node.unheard) AdoptLimit(node);
  if (report.ceiling_fd_count.has_value()) node.hello.fd_count_max = report.ceiling_fd_count;
  if (report.ceiling_memory_count.has_value()) node.hello.memory_count_max = report.ceiling_memory_count;
  return TakeLoad(node, report.counters, at, policy) || report.urgency != Urgency::kNone;
}

// The load of a new report: rates, peaks, and what the server says of its own life. True when something turned.
bool Fleet::TakeLoad(Node& node, const NodeCounters& counters, absl::Time at, const Policy& policy) {
  const bool waited = node.WaitingCount() > 0;
  node.counters.Add(counters);
  node.rates = node.counters.Rates(absl::Seconds(1));
  const LatencyHistogram newest = node.counters.LatencyOver(absl::Seconds(1));
  if (node.latency_counted) latency_.Replace(node.latency, newest);
  node.latency = newest;
  node.goodput = node.counters.GoodputOver(kGoodputStretch);
  const LatencyHistogram::Digest latency = node.latency.Summary();
  node.latency_p50 = latency.p50;
  node.latency_p99 = latency.p99;
  node.largest_client_count = node.report.top_clients.empty() ? 0 : node.report.top_clients.front().open_count;
  node.baseline.Add(node.latency_p50, !IsBusy(node));
  // The first report of a process tells no throughput yet, which is not none.
  if (node.rates.seconds > 0) node.work.Add(static_cast<double>(node.report.active_count), node.rates.completed);
  LearnKnee(node, latency.mean, at);
  const auto demand = static_cast<double>(node.DemandCount());
  node.demand_slope.Add(at, demand);
  node.open_peak.Add(at, policy.limits.peak_window, demand);
  node.active_peak.Add(at, Node::kActivePeakWindow, static_cast<double>(node.report.active_count));
  node.fill.Add(at, node.report.stored_bytes);
  if (node.report.limits.source != LimitSource::kForeign)
    node.foreign_since = absl::InfinitePast();
  else if (node.foreign_since == absl::InfinitePast())
    node.foreign_since = at;

  const NodeState before = node.state;
  FollowServer(node, at, policy);
  CountLatency(node);
  const bool near_limit =
      node.LimitCount() > 0 && demand > policy.limits.law.raise_at_ratio *
                                            static_cast<double>(std::max(node.LimitCount(), node.limit.limit_count));
  return node.state != before || near_limit || (node.WaitingCount() > 0) != waited;
}

// What the server says of its own life.
void Fleet::FollowServer(Node& node, absl::Time at, const Policy& policy) {
  const ServerState says = node.report.state;
  // The last controller may have taken it back, and what it did last may be written nowhere.
  if (node.IsLeaving() && std::exchange(node.leave_unheard, false) && says == ServerState::kServing &&
      policy.mode == Mode::kLive && !node.drained_by_operator)
    node.Become(NodeState::kServing, at);
  if (says == ServerState::kServing) {
    node.returning = node.stays_drained = false;
    if (std::exchange(node.found_draining, false) && node.IsLeaving()) node.Become(NodeState::kServing, at);
    // It restarted and has clients anew. What a dry run drains serves on all the time.
    const bool serves_again = node.state == NodeState::kDrained && node.report.open_count > 0;
    if (serves_again && policy.mode == Mode::kLive) node.Become(NodeState::kDraining, at);
    BeginServing(node, at);
    return;
  }
  if (says == ServerState::kStopping && node.state == NodeState::kServing) node.Become(NodeState::kRestarting, at);
  // Its name was given again, and whoever bore it goes on draining until its successor speaks.
  const bool is_predecessor = node.state == NodeState::kJoining && node.hello.boot_id == node.left_boot_id;
  const bool counts = node.CountsAsCapacity() || node.IsAwaited() || node.state == NodeState::kLost;
  if (says == ServerState::kDraining && counts && !is_predecessor) {
    if (node.returning && node.state == NodeState::kServing && at - node.state_since > kReturnMax) {
      node.returning = false;
      node.stays_drained = true;
    }
    // It missed our word that it shall serve, or somebody else has drained it.
    node.found_draining = !node.returning;
    node.Become(node.returning ? NodeState::kServing : NodeState::kDraining, at);
  }
  // A client has come that did not hear of the drain.
  const bool used_again = node.state == NodeState::kDrained && node.report.open_count > 0;
  if (used_again && policy.mode == Mode::kLive) node.Become(NodeState::kDraining, at);
  if (node.state == NodeState::kDraining && node.report.open_count == 0) {
    // What a client takes who visits a drained node is not how long a drain takes.
    if (!std::exchange(node.was_drained, true)) drain_times_.Add(at - node.state_since);
    node.Become(NodeState::kDrained, at);
  }
}

void Fleet::UncountLatency(Node& node) {
  if (std::exchange(node.latency_counted, false)) latency_ -= node.latency;
}

void Fleet::CountLatency(Node& node) {
  const bool belongs = node.Carries() && node.state != NodeState::kDraining;
  if (belongs == node.latency_counted) return;
  if (!belongs) return UncountLatency(node);
  latency_ += node.latency;
  node.latency_counted = true;
}

Fleet::Nodes::iterator Fleet::Forget(Nodes::iterator node) {
  UncountLatency(node->second);
  for (auto& [id, balancer] : balancers_) balancer.words.erase(node->first);
  return nodes_.erase(node);
}

void Fleet::BeginServing(Node& node, absl::Time at) {
  const bool came_up = node.state == NodeState::kLaunching || node.state == NodeState::kJoining;
  node.ready = true;
  const absl::Time joined_at = node.state_since;
  if (!came_up && node.state != NodeState::kRestarting && node.state != NodeState::kLost) return;
  node.Become(NodeState::kServing, at);
  node.launch_failed = false;
  if (!came_up || node.launched_at == absl::InfinitePast()) return;
  join_times_.Add(at - joined_at);
  CountArrival(node, at);
}

// What was launched serves since `at`.
void Fleet::CountArrival(const Node& node, absl::Time at) {
  launch_failures_ = {};
  arrived_at_ = at;
  lead_times_.push_back(at - node.launched_at);
  if (lead_times_.size() > kLeadTimesMax) lead_times_.erase(lead_times_.begin());
}

bool Fleet::On(absl::Time at, const NodeLeft& event, const Policy&) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end() || found->second.hello.boot_id != event.boot_id) return false;
  Node& node = found->second;
  node.connected = false;
  node.said_stopping = event.how == NodeLeft::How::kStopping;
  if (event.how != NodeLeft::How::kLost && node.state == NodeState::kServing) node.Become(NodeState::kRestarting, at);
  return true;
}

bool Fleet::On(absl::Time, const NodeLimitFixed& event, const Policy&) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end()) return false;
  found->second.fixed = {event.limit_count, event.until, event.reason, event.actor};
  return true;
}

bool Fleet::On(absl::Time, const NodePinned& event, const Policy&) {
  const auto found = nodes_.find(event.node);
  if (found != nodes_.end()) found->second.pinned = event.pinned;
  return false;
}

bool Fleet::On(absl::Time, const DrainRequested& event, const Policy&) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end()) return false;
  Node& node = found->second;
  node.drained_by_operator = event.drain;
  node.take_back = !event.drain && node.IsLeaving() && !node.shadow_gone;
  node.drain_reason = event.reason;
  node.drain_actor = event.actor;
  return true;
}

bool Fleet::On(absl::Time at, const PolicyChanged& event, const Policy& policy) {
  if (policy.mode == Mode::kDryRun && event.policy.mode == Mode::kLive) LeaveDryRun(at, event.policy);
  const absl::Duration window = event.policy.limits.peak_window;
  if (window == policy.limits.peak_window) return false;
  for (const auto& [id, node] : nodes_) node.open_peak = node.open_peak.Resized(at, policy.limits.peak_window, window);
  return false;
}

void Fleet::Advance(absl::Time now, const Policy& policy, absl::FunctionRef<void(Node&)> see) {
  AgeActions(now, policy);
  AgeBalancers(now, policy);
  if (now - provider_failed_at_ > absl::Minutes(10)) provider_error_.clear();
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = it->second;
    AgeNode(node, now, policy);
    CountLatency(node);
    AgeLaunch(node, now, policy);
    // A machine that is listed is removed by the planner, not forgotten.
    const bool never_came = node.IsOverdue(now, policy.nodes.launch_timeout) && !node.connected && !node.listed;
    if (never_came || IsGone(node, now, policy)) {
      it = Forget(it);
      continue;
    }
    see(node);
    ++it;
  }
}

// The first word of a node since the controller restarted: what it holds is what it was granted.
void Fleet::AdoptLimit(Node& node) {
  node.unheard = false;
  const LimitsInForce& in_force = node.report.limits;
  adopted_count_ += node.LimitCount();
  if (node.behind.holds_slots || in_force.source == LimitSource::kForeign || in_force.connection_count_max <= 0) return;
  node.passed_count = 0;
  node.granted_count = node.limit.limit_count = node.limit.wanted_count = in_force.connection_count_max;
}

void Fleet::ForgiveSilence(absl::Time now, absl::Duration absence) {
  last_listed_at_ = absl::InfinitePast();
  adopted_count_ = 0;
  // One that had left takes no orders, and of one that has not spoken since the last start nobody knows more by now.
  for (auto& [id, balancer] : balancers_) balancer.unheard |= balancer.connected;
  for (const auto& [id, node] : nodes_) {
    // One that was lost already was granted nothing more.
    const bool there = node.connected || node.state != NodeState::kLost;
    node.unheard |= there && !node.hello.boot_id.empty() && !node.hypothetical;
    node.leave_unheard = node.IsLeaving() || node.state == NodeState::kTerminating;
    if (node.leave_unheard) node.state_since = now;  // whoever was killed may have taken it back
    node.reported_at = absl::InfinitePast();
    // That one has served since may be written nowhere: it must not be taken for one that never came.
    node.last_report_at = node.IsComing() ? now : node.last_report_at + absence;
    if (node.state == NodeState::kRestarting) node.state_since += absence;
    if (node.IsComing()) {
      node.launched_at += absence;
      node.state_since += absence;
      node.machine_since += absence;
    }
  }
  for (auto& [id, flight] : in_flight_) {
    if (std::holds_alternative<LaunchNode>(flight.action.body)) flight.since += absence;
  }
}

void Fleet::AssumeServing(absl::Time now) {
  for (const auto& [id, node] : nodes_) {
    if (node.state == NodeState::kJoining && !node.hello.boot_id.empty()) node.Become(NodeState::kServing, now);
    if (node.connected) node.last_report_at = now;
    node.unheard = !node.hello.boot_id.empty() && !node.hypothetical;
  }
}

void Fleet::AgeNode(Node& node, absl::Time now, const Policy& policy) {
  if (node.hypothetical) return;
  const absl::Duration silent = now - node.last_report_at;
  // What the dry run would have removed carries load still, and can really die.
  const bool carries = node.state == NodeState::kServing || node.shadow_gone;
  if (carries && silent > policy.control.lost_after) {
    node.shadow_gone = false;
    node.Become(NodeState::kLost, now);
  }
  if (node.state == NodeState::kRestarting && now - node.state_since > policy.nodes.restart_grace)
    node.Become(NodeState::kLost, now);
}

}  // namespace headroom
