#include "controller/core/nodes/planner.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/numbers.h"

#include "controller/core/nodes/guards.h"

namespace headroom {
namespace {

template <typename Body>
Action Make(const State& state, const NodeId& node, Reason reason, Body body) {
  return {"", state.term, node, std::move(reason), std::move(body)};
}

bool TerminateInFlight(const State& state, const NodeId& node) {
  for (const auto& [id, flight] : state.fleet.in_flight()) {
    if (flight.action.node == node && std::holds_alternative<TerminateNode>(flight.action.body)) return true;
  }
  return false;
}

bool IsCancelled(const NodeId& node, const std::vector<Action>& actions) {
  return std::any_of(actions.begin(), actions.end(), [&](const Action& action) {
    return action.node == node && std::holds_alternative<CancelDrain>(action.body);
  });
}

// The number at the end of "files-3". None: -1.
int64_t OrdinalOf(const NodeId& node) {
  const size_t digits = node.find_last_not_of("0123456789") + 1;
  int64_t ordinal = -1;
  return absl::SimpleAtoi(node.substr(digits), &ordinal) ? ordinal : -1;
}

// Whether the provider would remove this node, and no other, next.
bool IsNextToLeave(const State& state, const Policy& policy, const Node& node) {
  if (policy.nodes.removal == Removal::kNamed) return true;
  return std::none_of(state.fleet.nodes().begin(), state.fleet.nodes().end(), [&](const auto& other) {
    return (other.second.listed || other.second.connected) && OrdinalOf(other.first) > OrdinalOf(node.id);
  });
}

// The zone with the fewest nodes that will serve, in the policy's order.
std::string ZoneForLaunch(const Policy& policy, std::map<std::string, int>& counts) {
  if (policy.nodes.zones.empty()) return "";
  const auto fewest =
      std::min_element(policy.nodes.zones.begin(), policy.nodes.zones.end(),
                       [&](const std::string& a, const std::string& b) { return counts[a] < counts[b]; });
  ++counts[*fewest];
  return *fewest;
}

std::map<std::string, int> NodesByZone(const Fleet& fleet) {
  std::map<std::string, int> counts;
  for (const auto& [id, node] : fleet.nodes()) {
    if (node.CountsAsCapacity()) ++counts[node.zone];
  }
  return counts;
}

void Grow(const State& state, const Policy& policy, const NodePlan& plan, int missing, std::vector<Action>& actions) {
  // What is leaving is the quickest new capacity; the one that has most connections left comes back first.
  std::vector<const Node*> leaving;
  for (const auto& [id, node] : state.fleet.nodes()) {
    if (node.CanReturn() && !IsCancelled(id, actions) && !TerminateInFlight(state, id)) leaving.push_back(&node);
  }
  const bool by_ordinal = policy.nodes.removal == Removal::kHighestOrdinal;  // the last one goes on its way first
  std::stable_sort(leaving.begin(), leaving.end(), [by_ordinal](const Node* a, const Node* b) {
    return by_ordinal ? OrdinalOf(a->id) < OrdinalOf(b->id) : a->OpenCount() > b->OpenCount();
  });
  for (const Node* node : leaving) {
    if (missing == 0) return;
    actions.push_back(
        Make(state, node->id, MakeReason(ReasonCode::kCancelDrain, node->id, plan.desired), CancelDrain{}));
    --missing;
  }
  // A fleet that nobody has listed looks empty: what runs already must not be launched again.
  if (state.fleet.last_listed_at() == absl::InfinitePast()) return;
  // The guard on failed launches gives way to the bounds and to operators; a provider is not asked every second even
  // so.
  if (plan.now < state.fleet.launch_failures().next_at()) return;
  std::map<std::string, int> zones = NodesByZone(state.fleet);
  for (; missing > 0; --missing) {
    actions.push_back(Make(state, "", MakeReason(ReasonCode::kLaunchForDemand, plan.desired, plan.signal),
                           LaunchNode{ZoneForLaunch(policy, zones)}));
  }
}

// Of those that serve the last ones by number, down to the first that may not leave. Zones are the provider's matter.
std::vector<const Node*> LastByOrdinal(const State& state) {
  std::vector<const Node*> nodes, victims;
  for (const auto& [id, node] : state.fleet.nodes()) {
    if (node.state == NodeState::kServing) nodes.push_back(&node);
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const Node* a, const Node* b) { return OrdinalOf(a->id) > OrdinalOf(b->id); });
  for (const Node* node : nodes) {
    if (node->pinned || !node->Can("drain") || OrdinalOf(node->id) < 0) break;
    victims.push_back(node);
  }
  return victims;
}

// Victims: of the fullest zone, and never of two zones at once; among them those that are paid
// out, and the one with the fewest connections to move.
std::vector<const Node*> Victims(const State& state, const Policy& policy, absl::Time now) {
  if (policy.nodes.removal == Removal::kHighestOrdinal) return LastByOrdinal(state);
  std::set<std::string> zones_leaving;
  for (const auto& [id, node] : state.fleet.nodes()) {
    const bool terminating = node.state == NodeState::kTerminating && !node.shadow_gone;
    if (node.IsLeaving() || terminating) zones_leaving.insert(node.zone);
  }
  std::vector<const Node*> victims;
  if (zones_leaving.size() > 1) return victims;
  for (const auto& [id, node] : state.fleet.nodes()) {
    if (node.state != NodeState::kServing || node.pinned || !node.Can("drain")) continue;
    if (!zones_leaving.empty() && !zones_leaving.contains(node.zone)) continue;
    victims.push_back(&node);
  }
  const std::map<std::string, int> zones = NodesByZone(state.fleet);
  const auto paid_out = [&](const Node& node) { return node.IsPaidOut(now, policy.nodes.paid_min); };
  std::stable_sort(victims.begin(), victims.end(), [&](const Node* a, const Node* b) {
    if (a->hypothetical != b->hypothetical) return a->hypothetical;
    if (zones.at(a->zone) != zones.at(b->zone)) return zones.at(a->zone) > zones.at(b->zone);
    if ((a->launched_at == absl::InfinitePast()) != (b->launched_at == absl::InfinitePast())) {
      return b->launched_at == absl::InfinitePast();  // what Headroom launched goes before what was there
    }
    if (paid_out(*a) != paid_out(*b)) return paid_out(*a);
    return a->OpenCount() < b->OpenCount();
  });
  return victims;
}

void Shrink(const State& state, const Policy& policy, const NodePlan& plan, int surplus, std::vector<Action>& actions) {
  const std::map<std::string, int> zones = NodesByZone(state.fleet);
  std::string zone;
  for (const Node* node : Victims(state, policy, plan.now)) {
    if (surplus == 0) return;
    if (policy.nodes.removal == Removal::kNamed) {
      if (!actions.empty() && node->zone != zone) continue;
      // Zones stay even: no zone gives more than what is too many in it, but for one node, without which nothing moves.
      const int share = plan.desired / static_cast<int>(zones.size());
      if (actions.empty()) surplus = std::clamp(zones.at(node->zone) - share, 1, surplus);
      zone = node->zone;
    }
    actions.push_back(Make(state, node->id,
                           MakeReason(ReasonCode::kDrainForDemand, node->id, node->OpenCount(), plan.desired),
                           DrainNode{}));
    --surplus;
  }
}

// Whether a node that was told to drain or to serve has for a while said the opposite: it restarted, or missed it.
bool Contradicts(const Node& node, ServerState says, absl::Time now) {
  constexpr absl::Duration kPatience = absl::Seconds(5);
  const absl::Time told_at = std::max(node.state_since, node.told_at);
  // A process that has only said hello has not said that it serves.
  if (says == ServerState::kServing && !node.ready) return false;
  return node.connected && node.report.state == says && now - told_at > kPatience &&
         node.last_report_at > told_at + kPatience;
}

// Drains that operators asked for or took back, and what nodes were told and do not follow.
void FollowOrders(const State& state, const NodePlan& plan, std::vector<Action>& actions) {
  for (const auto& [id, node] : state.fleet.nodes()) {
    if (node.hypothetical || node.shadow_gone) continue;
    const bool leaving = node.IsLeaving();
    if (node.take_back && leaving && !TerminateInFlight(state, id)) {
      actions.push_back(Make(state, id,
                             MakeReason(ReasonCode::kCancelDrainByOperator, id, node.drain_reason, node.drain_actor),
                             CancelDrain{}));
    } else if (node.drained_by_operator && node.state == NodeState::kServing) {
      actions.push_back(Make(
          state, id, MakeReason(ReasonCode::kDrainByOperator, id, node.drain_reason, node.drain_actor), DrainNode{}));
    } else if (leaving && Contradicts(node, ServerState::kServing, plan.now) && !TerminateInFlight(state, id) &&
               (plan.desired <= plan.effective || !node.CanReturn())) {
      actions.push_back(
          Make(state, id, MakeReason(ReasonCode::kDrainForDemand, id, node.OpenCount(), plan.desired), DrainNode{}));
    } else if (node.returning && node.state == NodeState::kServing &&
               Contradicts(node, ServerState::kDraining, plan.now)) {
      actions.push_back(Make(state, id, MakeReason(ReasonCode::kCancelDrain, id, plan.desired), CancelDrain{}));
    }
  }
}

// What operators, or others than Headroom, keep drained stays there.
bool MayFinish(const Node& node) {
  return !node.shadow_gone && !node.drained_by_operator && !node.found_draining;
}

// Drained nodes are terminated, except those that an operator wants empty but there; a drain past its deadline too.
void Finish(const State& state, const Policy& policy, const NodePlan& plan, std::vector<Action>& actions) {
  if (state.fleet.MustLookBeforeRemoval()) return;
  const bool held = HeldDown(state, plan.now);
  for (const auto& [id, node] : state.fleet.nodes()) {
    if (!MayFinish(node) || TerminateInFlight(state, id) || !IsNextToLeave(state, policy, node)) continue;
    if (plan.now < node.terminates_failed.next_at()) continue;
    // What is on its way back by the word of a controller that was killed is not known to be: it is heard first, or is
    // silent for as long as whatever comes up may take.
    const bool waits = node.leave_unheard && plan.now - node.state_since <= policy.nodes.launch_timeout;
    if (waits) continue;
    if (IsCancelled(id, actions)) continue;  // what this very tick takes back must not be finished by it too
    const bool overdue = node.state == NodeState::kDraining && plan.now - node.state_since > policy.nodes.drain_timeout;
    const bool stuck = !node.launch_id.empty() && node.IsOverdue(plan.now, policy.nodes.launch_timeout) &&
                       node.listed && !node.connected;
    if (held && !node.launch_failed) continue;  // a machine that never served is no removal
    if (node.state == NodeState::kDrained) {
      actions.push_back(Make(state, id, MakeReason(ReasonCode::kTerminateDrained, id), TerminateNode{}));
    } else if (overdue) {
      actions.push_back(
          Make(state, id, MakeReason(ReasonCode::kTerminateDeadline, id, node.OpenCount(), policy.nodes.drain_timeout),
               TerminateNode{}));
    } else if (stuck) {
      actions.push_back(
          Make(state, id, MakeReason(ReasonCode::kTerminateGone, id, policy.nodes.launch_timeout), TerminateNode{}));
    }
  }
}

// Drains that are taken back for the first time: capacity that comes with this very tick.
int CountReturns(const State& state, const std::vector<Action>& actions) {
  return static_cast<int>(std::count_if(actions.begin(), actions.end(), [&](const Action& action) {
    return std::holds_alternative<CancelDrain>(action.body) && state.fleet.Find(action.node)->IsLeaving();
  }));
}

bool CanRemove(const State& state, const Policy& policy) {
  return state.journal_error.empty() && policy.nodes.data == DataPlacement::kGateway;
}

// With several balancers a node's limit is split among them. Under a budget no limit moves of a node that is not there
// to be judged: one that has restarted has less than its share, and to give it that again would be to raise it.
int64_t ShareOf(const Node& node, int64_t split_count, const Policy& policy) {
  constexpr int64_t kNoWord = 0;
  if (!policy.limits.enabled || !node.behind.holds_slots || node.granted_count == 0 || split_count == 0) return kNoWord;
  if (policy.limits.budget_count > 0 && !node.IsSteerable()) return kNoWord;
  return std::max<int64_t>(1, node.granted_count / split_count);  // 0 is no word
}

bool Serves(const BalancedServer& server) {
  return server.up && !server.draining;
}

// Whether a word could make it as it was told. The last server that serves is never drained, and one that is down or in
// an operator's maintenance is brought back by nobody else.
bool DrainsAsTold(const BalancedServer& shown, const ServerTarget& told, int64_t serving_count) {
  if (shown.draining == told.draining) return true;
  return told.draining ? Serves(shown) && serving_count == 1 : !shown.up;
}

bool ShowsAsTold(const BalancedServer& shown, const ServerTarget& told, int64_t serving_count) {
  const bool limited = shown.session_count_max > 0 && told.session_count_max > 0;
  return DrainsAsTold(shown, told, serving_count) && (!limited || shown.session_count_max == told.session_count_max);
}

// It was told to be none of its servers.
bool CouldLetGo(const BalancedServer& shown, int64_t serving_count) {
  if (shown.draining) return shown.session_count == 0 && shown.queue_count == 0;
  return !Serves(shown) || serving_count > 1;
}

// Nodes that are lost to us stay: balancers check health themselves, and to them they may be well.
bool BelongsBehindBalancers(const Node& node) {
  if (node.hello.address.empty() || node.hypothetical) return false;
  if (node.state == NodeState::kRestarting || node.state == NodeState::kLost) return true;
  return node.ready && (node.state == NodeState::kServing || node.IsLeaving() || node.shadow_gone);
}

}  // namespace

std::vector<Action> PlanNodes(const State& state, const FleetSummary& summary, const Policy& policy,
                              const NodePlan& plan) {
  std::vector<Action> actions;
  // Most ticks have nothing to look for; at 10,000 nodes each look at all of them counts.
  const int leaving = summary.draining + summary.drained, coming = summary.launching + summary.joining;
  if (leaving + summary.drained_by_operator + summary.returning > 0) FollowOrders(state, plan, actions);
  const size_t asked = actions.size();
  const int difference = plan.desired - summary.effective - CountReturns(state, actions);
  if (difference > 0) Grow(state, policy, plan, difference, actions);
  if (difference < 0 && asked == 0 && CanRemove(state, policy)) Shrink(state, policy, plan, -difference, actions);
  if (leaving + coming > 0 && CanRemove(state, policy)) Finish(state, policy, plan, actions);
  return actions;
}

// Asked of each 32nd report: what was told a moment ago shows in the next one, and one that does not follow is not told
// all the time. One that drains a server that is gone may wait for the word to give it up.
bool IsAstray(const BalancerReport& report, const std::vector<ServerTarget>& told) {
  constexpr uint64_t kReports = 32;
  if (told.empty() || report.sequence == 0 || report.sequence % kReports != 0) return false;
  std::map<NodeId, const BalancedServer*> shown;
  for (const BalancedServer& server : report.servers) shown[server.node] = &server;
  const int64_t serving_count = std::count_if(report.servers.begin(), report.servers.end(), Serves);
  for (const ServerTarget& target : told) {
    const auto found = shown.find(target.node);
    if (found == shown.end() || !ShowsAsTold(*found->second, target, serving_count)) return true;
    shown.erase(found);
  }
  return std::any_of(shown.begin(), shown.end(),
                     [serving_count](const auto& entry) { return CouldLetGo(*entry.second, serving_count); });
}

std::vector<Action> PlanServers(State& state, const Policy& policy) {
  const auto& balancers = state.fleet.balancers();
  const bool listened =
      std::any_of(balancers.begin(), balancers.end(), [](const auto& entry) { return entry.second.connected; });
  if (!listened || policy.mode == Mode::kDryRun) return {};
  const int64_t split_count = state.fleet.SplitCount(policy);
  std::vector<ServerTarget> servers;
  for (const auto& [id, node] : state.fleet.nodes()) {
    if (!BelongsBehindBalancers(node)) continue;
    ServerTarget target{id, node.hello.address, node.hello.admin_address, false, 0};
    target.draining = node.IsLeaving();
    target.session_count_max = ShareOf(node, split_count, policy);
    servers.push_back(std::move(target));
  }
  std::vector<BalancerId> without_share = state.fleet.BalancersWithoutShare();
  if (servers == state.servers && without_share == state.without_share && !state.servers_due) return {};
  state.servers = servers;
  state.without_share = without_share;
  state.servers_due = false;
  const auto draining =
      std::count_if(servers.begin(), servers.end(), [](const ServerTarget& target) { return target.draining; });
  Reason reason = MakeReason(ReasonCode::kServersChanged, servers.size(), static_cast<int64_t>(draining));
  return {Action{"", state.term, "", std::move(reason), SetServers{std::move(servers), std::move(without_share)}}};
}

std::vector<Action> PlanLook(const State& state, const Policy& policy, absl::Time now) {
  for (const auto& [id, flight] : state.fleet.in_flight()) {
    if (std::holds_alternative<ListMachines>(flight.action.body)) return {};
  }
  const bool is_due = now - state.fleet.last_listed_at() >= policy.control.list_interval;
  const bool is_asked_for = state.fleet.HasNamelessArrival() || state.fleet.MustLookBeforeRemoval();
  if (!is_due && !is_asked_for) return {};
  if (now < state.fleet.lists_failed().next_at()) return {};
  return {Action{"", state.term, "", MakeReason(ReasonCode::kListDue), ListMachines{}}};
}

}  // namespace headroom
