#include "controller/core/fleet.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

constexpr absl::Duration kActivePeakWindow = absl::Minutes(10);
constexpr absl::Duration kGoodputStretch = absl::Seconds(5);
constexpr size_t kLeadTimesMax = 20;
constexpr absl::Duration kListTimeout = absl::Minutes(1);
constexpr absl::Duration kTerminateTimeout = absl::Minutes(3);

// A launch is a node before it has a name: real ids never contain '~'.
NodeId PlaceholderOf(const ActionId& launch) {
  return absl::StrCat("~", launch);
}

void Become(Node& node, NodeState state, absl::Time at) {
  if (node.state == state) return;
  node.state = state;
  node.state_since = at;
}

bool IsBusy(const Node& node) {
  return node.LimitCount() > 0 && 2 * node.DemandCount() > node.LimitCount();
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
  if (const auto found = nodes_.find(id); found != nodes_.end()) return found->second;
  if (const auto launch = nodes_.find(PlaceholderOf(launch_id)); !launch_id.empty() && launch != nodes_.end()) {
    Node known = std::move(launch->second);
    nodes_.erase(launch);
    known.id = id;
    return nodes_.emplace(id, std::move(known)).first->second;
  }
  Node node;
  node.id = id;
  node.launch_id = launch_id;
  node.state = NodeState::kJoining;
  node.state_since = at;
  return nodes_.emplace(id, std::move(node)).first->second;
}

bool Fleet::On(absl::Time at, const NodeJoined& event, const Policy&) {
  if (nodes_.size() >= kNodesMax && Find(event.node) == nullptr) return false;
  Node& node = Adopt(event.node, event.hello.launch_id, at);
  const bool new_boot = node.hello.boot_id != event.hello.boot_id;
  node.hello = event.hello;
  node.variant = VariantOf(event.hello.server_version, event.hello.config_hash);
  node.connected = true;
  node.last_report_at = at;
  if (!event.hello.zone.empty()) node.zone = event.hello.zone;
  if (new_boot) {
    node.ready = false;
    UncountLatency(node);
    node.counters.Clear();
    node.rates = {};
    node.latency = {};
    node.demand_slope = {};
    node.report = {};
    node.report.limits = event.hello.limits;
    node.granted_count = 0;  // a new process knows nothing of our grants
    node.limit = {};
  }
  if (event.hello.learned_baseline_latency.has_value()) node.baseline.Adopt(*event.hello.learned_baseline_latency);
  if (node.state == NodeState::kLaunching) Become(node, NodeState::kJoining, at);
  return true;
}

bool Fleet::On(absl::Time at, const NodeReported& event, const Policy& policy) {
  const auto found = nodes_.find(event.node);
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
  node.connected = true;
  node.last_report_at = at;
  if (report.ceiling_fd_count.has_value()) node.hello.fd_count_max = report.ceiling_fd_count;
  if (report.ceiling_memory_count.has_value()) node.hello.memory_count_max = report.ceiling_memory_count;
  return TakeLoad(node, report.counters, at, policy) || report.urgency != Urgency::kNone;
}

// The load of a new report: rates, peaks, and what the server says of its own life. True when something turned.
bool Fleet::TakeLoad(Node& node, const NodeCounters& counters, absl::Time at, const Policy& policy) {
  const bool waited = node.WaitingCount() > 0;
  UncountLatency(node);
  node.counters.Add(counters);
  node.rates = node.counters.Rates(absl::Seconds(1));
  node.latency = node.counters.LatencyOver(absl::Seconds(1));
  node.goodput = node.counters.GoodputOver(kGoodputStretch);
  node.latency_p50 = node.latency.Quantile(0.5);
  node.latency_p99 = node.latency.Quantile(0.99);
  node.largest_client_count = node.report.top_clients.empty() ? 0 : node.report.top_clients.front().open_count;
  node.baseline.Add(node.latency_p50, !IsBusy(node));
  node.work.Add(static_cast<double>(node.report.active_count), node.rates.completed);
  const auto demand = static_cast<double>(node.DemandCount());
  node.demand_slope.Add(at, demand);
  node.open_peak.Add(at, policy.limits.peak_window, demand);
  node.active_peak.Add(at, kActivePeakWindow, static_cast<double>(node.report.active_count));
  if (node.report.limits.source != LimitSource::kForeign)
    node.foreign_since = absl::InfinitePast();
  else if (node.foreign_since == absl::InfinitePast())
    node.foreign_since = at;

  const NodeState before = node.state;
  if (node.report.state == ServerState::kServing) {
    BeginServing(node, at);
  } else if (node.report.state == ServerState::kStopping && node.state == NodeState::kServing) {
    Become(node, NodeState::kRestarting, at);
  } else if (node.state == NodeState::kDraining && node.report.open_count == 0) {
    Become(node, NodeState::kDrained, at);
  }
  CountLatency(node);
  const bool near_limit =
      node.LimitCount() > 0 && demand > policy.limits.law.raise_at_ratio *
                                            static_cast<double>(std::max(node.LimitCount(), node.limit.limit_count));
  return node.state != before || near_limit || (node.WaitingCount() > 0) != waited;
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
  return nodes_.erase(node);
}

void Fleet::BeginServing(Node& node, absl::Time at) {
  const bool came_up = node.state == NodeState::kLaunching || node.state == NodeState::kJoining;
  node.ready = true;
  if (!came_up && node.state != NodeState::kRestarting && node.state != NodeState::kLost) return;
  Become(node, NodeState::kServing, at);
  if (!came_up || node.launched_at == absl::InfinitePast()) return;
  launch_failures_ = {};
  lead_times_.push_back(at - node.launched_at);
  if (lead_times_.size() > kLeadTimesMax) lead_times_.erase(lead_times_.begin());
}

bool Fleet::On(absl::Time at, const NodeLeft& event, const Policy&) {
  const auto found = nodes_.find(event.node);
  if (found == nodes_.end() || found->second.hello.boot_id != event.boot_id) return false;
  Node& node = found->second;
  node.connected = false;
  if (event.how != NodeLeft::How::kLost && node.state == NodeState::kServing) Become(node, NodeState::kRestarting, at);
  return true;
}

bool Fleet::On(absl::Time at, const BalancerReported& event, const Policy&) {
  Balancer& balancer = balancers_[event.balancer];
  const bool replayed =
      balancer.report.boot_id == event.report.boot_id && event.report.sequence <= balancer.report.sequence;
  if (replayed) {
    ++reports_dropped_old_;
    return false;
  }
  balancer.report = event.report;
  balancer.connected = true;
  balancer.last_report_at = at;
  GatherBalancerViews();
  return std::any_of(event.report.servers.begin(), event.report.servers.end(),
                     [](const BalancedServer& server) { return server.queue_count > 0; });
}

bool Fleet::On(absl::Time at, const BalancerJoined& event, const Policy&) {
  Balancer& balancer = balancers_[event.balancer];
  balancer.connected = true;
  balancer.last_report_at = at;
  return true;
}

bool Fleet::On(absl::Time, const BalancerLeft& event, const Policy&) {
  balancers_.erase(event.balancer);
  GatherBalancerViews();
  return false;
}

void Fleet::GatherBalancerViews() {
  std::set<NodeId> held_before;
  for (const auto& [id, node] : nodes_) {
    const int64_t configured = node.behind.configured_count;
    if (node.behind.holds_slots) held_before.insert(id);
    node.behind = {};
    node.behind.configured_count = configured;
  }
  for (const auto& [id, balancer] : balancers_) {
    for (const BalancedServer& server : balancer.report.servers) {
      const auto found = nodes_.find(server.node);
      if (found == nodes_.end()) continue;
      BalancerView& view = found->second.behind;
      view.session_count += server.session_count;
      view.queue_count += server.queue_count;
      view.limit_count += server.session_count_max;
      view.told_at = std::max(view.told_at, balancer.last_report_at);
      view.holds_slots = balancer.report.slot_place == SlotPlace::kBalancer && server.session_count_max > 0;
    }
  }
  for (const auto& [id, node] : nodes_) {
    if (node.behind.holds_slots && node.behind.configured_count == 0)
      node.behind.configured_count = node.behind.limit_count;
    if (node.behind.holds_slots == held_before.contains(id)) continue;
    // The slots have moved: what was known of the limit at the other place says nothing about this one.
    node.granted_count = 0;
    node.limit = {};
  }
}

bool Fleet::On(absl::Time at, const MachinesListed& event, const Policy&) {
  last_listed_at_ = at;
  NoteProvider(at, "list", "");
  std::map<NodeId, bool> was_listed;
  for (const auto& [id, node] : nodes_) was_listed[id] = std::exchange(node.listed, false);
  for (const Machine& machine : event.machines) {
    if (nodes_.size() >= kNodesMax && Find(machine.node) == nullptr) continue;
    Node& node = Adopt(machine.node, machine.launch_id, at);
    node.listed = true;
    if (!machine.zone.empty()) node.zone = machine.zone;
    if (machine.state == Machine::State::kStopping && node.state != NodeState::kTerminating) {
      Become(node, NodeState::kTerminating, at);
    }
  }
  // A machine that was there and is not any more is gone, unless it still speaks to us.
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = it->second;
    const bool vanished = was_listed[it->first] && !node.listed && !node.connected && !node.hypothetical;
    if (vanished && (node.state == NodeState::kLaunching || node.state == NodeState::kJoining) &&
        node.launched_at != absl::InfinitePast()) {
      LaunchFailed(at, "the machine vanished before it served");
    }
    it = vanished ? Forget(it) : std::next(it);
  }
  return false;
}

bool Fleet::On(absl::Time at, const ActionStarted& event, const Policy&) {
  const Action& action = event.action;
  if (std::holds_alternative<LaunchNode>(action.body)) {
    Node& node = Adopt(PlaceholderOf(action.id), "", at);
    node.state = NodeState::kLaunching;
    node.launch_id = action.id;
    node.launched_at = at;
    node.zone = std::get<LaunchNode>(action.body).zone;
  } else if (const auto found = nodes_.find(action.node); found != nodes_.end()) {
    Node& node = found->second;
    if (std::holds_alternative<DrainNode>(action.body) && node.state != NodeState::kDrained)
      Become(node, NodeState::kDraining, at);
    if (std::holds_alternative<CancelDrain>(action.body)) Become(node, NodeState::kServing, at);
    if (std::holds_alternative<TerminateNode>(action.body)) Become(node, NodeState::kTerminating, at);
  }
  const bool awaited = ChangesMachines(action) || std::holds_alternative<ListMachines>(action.body) ||
                       std::holds_alternative<DrainNode>(action.body);
  if (awaited) in_flight_[action.id] = {action, at};
  return false;
}

bool Fleet::On(absl::Time at, const ActionFinished& event, const Policy&) {
  const auto found = in_flight_.find(event.id);
  if (found == in_flight_.end()) return false;
  const Action action = std::move(found->second.action);
  in_flight_.erase(found);
  NoteProvider(at, ActionKind(action), event.code == absl::StatusCode::kOk ? "" : event.message);
  if (std::holds_alternative<LaunchNode>(action.body)) FinishLaunch(at, action, event);
  if (std::holds_alternative<DrainNode>(action.body)) FinishDrain(at, action, event);
  if (std::holds_alternative<TerminateNode>(action.body)) FinishTerminate(at, action, event);
  return true;
}

void Fleet::FinishLaunch(absl::Time at, const Action& action, const ActionFinished& outcome) {
  const auto placeholder = nodes_.find(PlaceholderOf(action.id));
  if (outcome.code != absl::StatusCode::kOk) {
    if (placeholder != nodes_.end()) Forget(placeholder);
    LaunchFailed(at, outcome.message);
    return;
  }
  if (!outcome.hypothetical) {
    if (!outcome.node.empty()) Adopt(outcome.node, action.id, at).listed = true;
    return;
  }
  if (placeholder == nodes_.end()) return;
  // The shadow fleet takes back a node that it would have removed before it invents one.
  for (const auto& [id, node] : nodes_) {
    if (!node.shadow_gone) continue;
    node.shadow_gone = false;
    Become(node, NodeState::kServing, at);
    Forget(placeholder);
    return;
  }
  placeholder->second.hypothetical = true;
  Become(placeholder->second, NodeState::kServing, at);
}

void Fleet::FinishDrain(absl::Time at, const Action& action, const ActionFinished& outcome) {
  const auto found = nodes_.find(action.node);
  if (found != nodes_.end() && outcome.hypothetical && found->second.state == NodeState::kDraining) {
    Become(found->second, NodeState::kDrained, at);
  }
}

void Fleet::FinishTerminate(absl::Time at, const Action& action, const ActionFinished& outcome) {
  const auto found = nodes_.find(action.node);
  if (found == nodes_.end()) return;
  Node& node = found->second;
  if (outcome.code != absl::StatusCode::kOk) {
    Become(node, NodeState::kDrained, at);  // the next tick sees it and tries again
  } else if (outcome.hypothetical && !node.hypothetical) {
    node.shadow_gone = true;
  } else {
    Forget(found);
    GatherBalancerViews();
  }
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
  found->second.drained_by_operator = event.drain;
  found->second.drain_reason = event.reason;
  found->second.drain_actor = event.actor;
  return true;
}

void Fleet::NoteProvider(absl::Time at, absl::string_view operation, absl::string_view error) {
  if (!error.empty()) {
    provider_operation_ = std::string(operation);
    provider_error_ = std::string(error);
    provider_failed_at_ = at;
  } else if (operation == provider_operation_) {
    provider_error_.clear();
  }
}

void Fleet::LaunchFailed(absl::Time at, absl::string_view error) {
  ++launch_failures_.in_a_row;
  launch_failures_.last_at = at;
  launch_failures_.last_error = std::string(error);
}

void Fleet::Advance(absl::Time now, const Policy& policy, absl::FunctionRef<void(Node&)> see) {
  AgeActions(now, policy);
  if (now - provider_failed_at_ > absl::Minutes(10)) provider_error_.clear();
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = it->second;
    AgeNode(node, now, policy);
    CountLatency(node);
    const bool stuck = (node.state == NodeState::kLaunching || node.state == NodeState::kJoining) && !node.connected &&
                       node.launched_at != absl::InfinitePast() && now - node.launched_at > policy.nodes.launch_timeout;
    if (stuck) LaunchFailed(now, "nothing served within the launch timeout");
    if (stuck && !node.listed) {  // a machine that is still listed is removed by the planner, not forgotten
      it = Forget(it);
      continue;
    }
    see(node);
    ++it;
  }
}

void Fleet::AgeNode(Node& node, absl::Time now, const Policy& policy) {
  if (node.hypothetical) return;
  const absl::Duration silent = now - node.last_report_at;
  if (node.state == NodeState::kServing && silent > policy.control.lost_after) Become(node, NodeState::kLost, now);
  if (node.state == NodeState::kRestarting && now - node.state_since > policy.nodes.restart_grace)
    Become(node, NodeState::kLost, now);
  const bool silent_drain = node.state == NodeState::kDraining && !node.connected && silent > policy.control.lost_after;
  if (silent_drain) Become(node, NodeState::kDrained, now);
}

void Fleet::AgeActions(absl::Time now, const Policy& policy) {
  std::vector<ActionId> overdue;
  for (const auto& [id, flight] : in_flight_) {
    absl::Duration allowed = kListTimeout;
    if (std::holds_alternative<TerminateNode>(flight.action.body)) allowed = kTerminateTimeout;
    if (std::holds_alternative<LaunchNode>(flight.action.body)) allowed = policy.nodes.launch_timeout;
    if (now - flight.since > allowed) overdue.push_back(id);
  }
  for (const ActionId& id : overdue) {
    ActionFinished outcome;
    outcome.id = id;
    outcome.code = absl::StatusCode::kDeadlineExceeded;
    outcome.message = "no outcome came";
    const bool drain = std::holds_alternative<DrainNode>(in_flight_[id].action.body);
    if (drain)
      in_flight_.erase(id);
    else
      On(now, outcome, policy);
  }
}

std::optional<absl::Duration> Fleet::learned_lead_time() const {
  if (lead_times_.size() < 2) return std::nullopt;
  std::vector<absl::Duration> sorted = lead_times_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[(sorted.size() - 1) * 95 / 100];
}

}  // namespace headroom
