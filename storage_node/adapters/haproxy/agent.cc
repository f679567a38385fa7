#include "storage_node/adapters/haproxy/agent.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/base/status.h"

namespace headroom::haproxy {
namespace {

constexpr int kProtocolVersion = 1;
constexpr int kServersMax = 20'000;
// Servers long gone whose counters are kept, in case they come back.
constexpr size_t kCountersMax = 40'000;

absl::StatusOr<DesiredServer> ToDesired(const v1::ServerTarget& target) {
  DesiredServer server{.name = target.node_id(), .draining = target.draining()};
  if (target.session_count_max() < 0 || target.session_count_max() > HaproxyControl::kSessionsMax) {
    return absl::InvalidArgumentError(absl::StrCat("session_count_max ", target.session_count_max()));
  }
  if (target.weight() < 0 || target.weight() > 256) {
    return absl::InvalidArgumentError(absl::StrCat("weight ", target.weight()));
  }
  server.session_count_max = target.session_count_max();
  server.weight = target.weight();
  HR_ASSIGN_OR_RETURN(server.endpoints.data, CanonicalEndpoint(target.address()));
  if (target.check_address().empty()) return server;
  HR_ASSIGN_OR_RETURN(server.endpoints.check, CanonicalEndpoint(target.check_address()));
  return server;
}

// The list as it can be followed. A faulty entry is frozen, not dropped: dropped, it would be taken for a departed
// node.
DesiredServers ToDesired(const v1::Directive& directive, std::vector<std::string>& faults) {
  DesiredServers servers;
  for (const v1::ServerTarget& target : directive.servers()) {
    if (const absl::Status name = CheckServerName(target.node_id()); !name.ok()) {
      faults.push_back(std::string(name.message()));
      continue;
    }
    absl::StatusOr<DesiredServer> server = ToDesired(target);
    if (!server.ok()) {
      faults.push_back(absl::StrCat("server ", target.node_id(), ": ", server.status().message()));
      server = DesiredServer{.name = target.node_id(), .frozen = true};
    }
    if (!servers.emplace(target.node_id(), *server).second) {
      faults.push_back(absl::StrCat("server ", target.node_id(), " is listed twice: frozen"));
      servers[target.node_id()].frozen = true;
    }
  }
  return servers;
}

// Those that wait for any server are shared out evenly among the servers that could take them.
std::vector<int64_t> QueueShares(const BackendView& view) {
  std::vector<int64_t> shares(view.servers.size(), 0);
  std::vector<size_t> takers;
  for (size_t i = 0; i < view.servers.size(); ++i) {
    if (view.servers[i].IsServing()) takers.push_back(i);
  }
  for (size_t i = 0; i < takers.size(); ++i) {
    const auto count = static_cast<int64_t>(takers.size());
    shares[takers[i]] = view.backend_queue_count / count + (static_cast<int64_t>(i) < view.backend_queue_count % count);
  }
  return shares;
}

absl::Status NoFirstLimit(const Place& place) {
  return absl::FailedPreconditionError(
      absl::StrCat("backend ", place.backend,
                   " is in mode http: there the slots that run out are HAProxy's limits of its servers, and "
                   "a server without one has none to raise. Say with --server-limit what each begins with: the "
                   "connection limit of a node, divided by the number of balancers"));
}

int64_t QueueCount(const v1::BalancerLoad& load) {
  int64_t count = 0;
  for (const v1::BalancedServer& server : load.servers()) count += server.queue_count();
  return count;
}

std::map<std::string, const v1::BalancedServer*> ByName(const v1::BalancerLoad& load) {
  std::map<std::string, const v1::BalancedServer*> servers;
  for (const v1::BalancedServer& server : load.servers()) servers.emplace(server.node_id(), &server);
  return servers;
}

}  // namespace

Agent::Agent(CommandLine& line, AgentOptions options)
    : options_(std::move(options)),
      control_(line, options_.place),
      reconciler_(options_.reconcile),
      pause_(options_.interval) {
  HR_CHECK(!options_.boot_id.empty());
}

std::array<int64_t, 4> Agent::Counters::Total(const std::array<int64_t, 4>& shown) {
  std::array<int64_t, 4> total{};
  for (size_t i = 0; i < shown.size(); ++i) {
    if (shown[i] < last[i]) before[i] += last[i];
    last[i] = shown[i];
    total[i] = before[i] + last[i];
  }
  return total;
}

std::optional<DesiredServers> Agent::DesiredNow() const {
  absl::MutexLock lock(&mutex_);
  if (!acting_) return std::nullopt;
  return desired_;
}

Turn Agent::Round(absl::Time now) {
  absl::StatusOr<BackendView> view = control_.Look();
  if (!view.ok()) return Lost(view.status());
  if (view->holds_slots && options_.reconcile.session_count_first == 0) return Lost(NoFirstLimit(options_.place));
  Turn turn{.haproxy_changed = !haproxy_ || !haproxy_->ok(), .pause = options_.interval};
  haproxy_ = absl::OkStatus();
  pause_ = options_.interval;
  v1::BalancerLoad load = Describe(*view);
  turn.urgency = UrgencyOf(load);
  turn.strangers = NewStrangers(*view);
  const std::optional<DesiredServers> desired = DesiredNow();
  if (desired) {
    const std::vector<Outcome> outcomes = reconciler_.Round(control_, *desired, *view, now);
    const bool changed = std::any_of(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.status.ok(); });
    turn.outcomes = News(outcomes);
    if (changed) {
      if (absl::StatusOr<BackendView> after = control_.Look(); after.ok()) load = Describe(*after);
      if (turn.urgency == v1::URGENCY_UNSPECIFIED) turn.urgency = v1::URGENCY_APPLIED;
    }
  }
  if (turn.haproxy_changed) turn.urgency = v1::URGENCY_STATE;
  if (turn.urgency != v1::URGENCY_UNSPECIFIED || QueueCount(load) == 0) told_ = load;
  Publish(std::move(load), view->version);
  return turn;
}

Turn Agent::Lost(absl::Status status) {
  Turn turn{.haproxy = status, .pause = pause_};
  turn.haproxy_changed = !haproxy_ || haproxy_->code() != status.code();
  haproxy_ = std::move(status);
  pause_ = std::min(pause_ * 2, options_.interval_max);
  told_.Clear();
  absl::MutexLock lock(&mutex_);
  in_sight_ = false;
  return turn;
}

std::vector<std::string> Agent::NewStrangers(const BackendView& view) {
  std::vector<std::string> strangers;
  for (const ServerView& server : view.servers) {
    if (!CheckServerName(server.name).ok()) strangers.push_back(server.name);
  }
  if (strangers == strangers_) return {};
  strangers_ = strangers;
  return strangers;
}

// A failure that repeats itself is told once.
std::vector<Outcome> Agent::News(std::vector<Outcome> outcomes) {
  std::map<std::pair<StepKind, std::string>, std::string> failing;
  std::vector<Outcome> news;
  for (Outcome& outcome : outcomes) {
    const std::pair<StepKind, std::string> key(outcome.step.kind, outcome.step.server.name);
    const std::string text(outcome.status.message());
    const auto known = failing_.find(key);
    const bool repeated = !outcome.status.ok() && known != failing_.end() && known->second == text;
    if (!outcome.status.ok()) failing.emplace(key, text);
    if (!repeated) news.push_back(std::move(outcome));
  }
  failing_ = std::move(failing);
  return news;
}

v1::BalancerLoad Agent::Describe(const BackendView& view) {
  v1::BalancerLoad load;
  load.set_boot_id(options_.boot_id);
  load.set_session_count(view.frontend_session_count);
  load.set_session_count_max(view.frontend_session_count_max);
  load.set_slot_place(view.holds_slots ? v1::SLOT_PLACE_BALANCER : v1::SLOT_PLACE_NODE);
  if (counters_.size() > kCountersMax) counters_.clear();
  const std::vector<int64_t> shares = QueueShares(view);
  for (size_t i = 0; i < view.servers.size(); ++i) {
    const ServerView& shown = view.servers[i];
    if (!CheckServerName(shown.name).ok()) continue;
    v1::BalancedServer& server = *load.add_servers();
    server.set_node_id(shown.name);
    server.set_session_count(shown.session_count);
    server.set_queue_count(shown.queue_count + shares[i]);
    server.set_session_count_max(shown.session_count_max);
    server.set_up(shown.up);
    server.set_draining(shown.draining || shown.maintenance);
    const auto total = counters_[shown.name].Total(
        {shown.connect_error_count, shown.error_count, shown.completed_count, shown.retry_count});
    server.set_connect_error_count(total[0]);
    server.set_error_count(total[1]);
    server.set_completed_count(total[2]);
    server.set_retry_count(total[3]);
  }
  return load;
}

v1::Urgency Agent::UrgencyOf(const v1::BalancerLoad& load) const {
  const auto before = ByName(told_);
  bool went_down = false;
  for (const v1::BalancedServer& server : load.servers()) {
    const auto known = before.find(server.node_id());
    if (known == before.end()) continue;
    if (server.connect_error_count() > known->second->connect_error_count()) return v1::URGENCY_REJECTION;
    went_down |= known->second->up() && !server.up();
  }
  // Again each time that the queue has doubled: the first report of a surge is not its size.
  if (QueueCount(load) > 2 * QueueCount(told_)) return v1::URGENCY_LIMIT_REACHED;
  return went_down ? v1::URGENCY_STATE : v1::URGENCY_UNSPECIFIED;
}

void Agent::Publish(v1::BalancerLoad load, const std::string& version) {
  absl::MutexLock lock(&mutex_);
  load_ = std::move(load);
  in_sight_ = true;
  version_ = version;
}

Obeyed Agent::Obey(const v1::Directive& directive) {
  absl::MutexLock lock(&mutex_);
  if (directive.term() < term_max_seen_) {
    return {.outdated = true,
            .faults = {absl::StrCat("term ", directive.term(), " is below ", term_max_seen_, ": ignored")}};
  }
  if (directive.mode() != v1::DIRECTIVE_MODE_LIVE && directive.mode() != v1::DIRECTIVE_MODE_OBSERVE) {
    return {.faults = {"directive without a mode: ignored"}};
  }
  if (directive.servers_size() > kServersMax) {
    return {.faults = {absl::StrCat("directive with ", directive.servers_size(), " servers: ignored")}};
  }
  Obeyed obeyed;
  term_max_seen_ = directive.term();
  const bool acting = directive.mode() == v1::DIRECTIVE_MODE_LIVE;
  obeyed.changed = std::exchange(acting_, acting) != acting;
  if (!acting || !directive.has_servers()) return obeyed;
  DesiredServers desired = ToDesired(directive, obeyed.faults);
  // No word on a limit is no word against the last one: a HAProxy that is restarted gets that, not the first limit.
  for (auto& [name, server] : desired) {
    const auto before = desired_.find(name);
    if (server.session_count_max == 0 && before != desired_.end()) {
      server.session_count_max = before->second.session_count_max;
    }
  }
  obeyed.changed |= desired != desired_;
  desired_ = std::move(desired);
  return obeyed;
}

v1::Hello Agent::Hello() const {
  absl::MutexLock lock(&mutex_);
  v1::Hello hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_cluster(options_.cluster);
  hello.set_reporter_id(options_.balancer_id);
  hello.set_role(v1::ROLE_BALANCER);
  hello.set_boot_id(options_.boot_id);
  hello.set_server_version(version_.empty() ? "haproxy" : absl::StrCat("haproxy/", version_));
  hello.set_term_max_seen(term_max_seen_);
  hello.set_slot_unit(load_.slot_place() == v1::SLOT_PLACE_BALANCER ? v1::SLOT_UNIT_REQUESTS : v1::SLOT_UNIT_SOCKETS);
  return hello;
}

std::optional<v1::BalancerLoad> Agent::Load(v1::Urgency urgency) {
  absl::MutexLock lock(&mutex_);
  if (!in_sight_) return std::nullopt;
  v1::BalancerLoad load = load_;
  load.set_sequence(++sequence_);
  load.set_urgency(urgency);
  return load;
}

}  // namespace headroom::haproxy
