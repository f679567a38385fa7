#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/core/fleet/fleet.h"

// The part of Fleet that follows actions from their start to their outcome, those of a dry run to its end, launches
// until they serve or fail, and the provider's lists.

namespace headroom {
namespace {

constexpr absl::Duration kListTimeout = absl::Minutes(1);
constexpr absl::Duration kCallTakes = absl::Minutes(1);
constexpr absl::Duration kTerminateTimeout = absl::Minutes(3);

}  // namespace

// A launch is a node before it has a name: real ids never contain '~'.
NodeId Fleet::PlaceholderOf(const ActionId& launch) {
  return absl::StrCat("~", launch);
}

// A StatefulSet gives a name again: whoever bore it and was on its way out is no more, or soon is not, and the one that
// comes has nothing of it. A process that still speaks is heard on; the next one says hello as a new boot.
void Fleet::ComeAnew(const NodeId& id, absl::Time at) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  Node& node = found->second;
  const bool terminates = std::any_of(in_flight_.begin(), in_flight_.end(), [&id](const auto& flight) {
    return flight.second.action.node == id && std::holds_alternative<TerminateNode>(flight.second.action.body);
  });
  if (node.state != NodeState::kTerminating || node.shadow_gone || terminates) return;
  if (!node.connected) {
    Forget(found);
    return;
  }
  node.Become(NodeState::kJoining, at);
  node.launch_failed = node.leave_unheard = node.stays_drained = node.found_draining = false;
  node.drained_by_operator = node.take_back = node.pinned = false;
  node.fixed = {};
  node.drain_reason.clear();
  node.drain_actor.clear();
  node.launch_id.clear();
  node.launched_at = node.machine_since = absl::InfinitePast();
}

// When the provider was asked for the list that is here now.
absl::Time Fleet::ListBeganAt(absl::Time at) const {
  for (const auto& [id, flight] : in_flight_) {
    if (std::holds_alternative<ListMachines>(flight.action.body)) at = std::min(at, flight.since);
  }
  return at;
}

bool Fleet::On(absl::Time at, const MachinesListed& event, const Policy&) {
  last_listed_at_ = at;
  const absl::Time began_at = ListBeganAt(at);
  if (began_at >= removal_failed_at_) removal_failed_at_ = absl::InfinitePast();
  // A call that is late may still be under way: a clock that is set forward ends the wait for it too soon.
  std::erase_if(unanswered_, [&](const auto& launch) { return launch.second <= began_at - kCallTakes; });
  NoteProvider(at, "list", "");
  for (const auto& [id, node] : nodes_) node.listed = false;
  for (const Machine& machine : event.machines) {
    if (machine.node.empty()) continue;  // asked for, and not there yet: its launch is known here, or lost
    if (!HasRoomFor(machine.node, at)) continue;
    const bool is_stopping = machine.state == Machine::State::kStopping;
    if (!is_stopping) ComeAnew(machine.node, at);
    Node& node = Adopt(machine.node, machine.launch_id, at);
    // Launched since the list was begun: that tells of whoever bore its name before.
    const bool is_newer = node.machine_since >= began_at;
    node.Listed(at);
    if (!machine.zone.empty()) node.zone = machine.zone;
    if (is_stopping && !is_newer) node.Become(NodeState::kTerminating, at);
  }
  // A machine that was ever there and is not any more is gone, unless it still speaks to us (then a later list ends
  // it), or came after the list was made. So is one that died before any list could name it.
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = it->second;
    const bool was_listed = node.listed_at != absl::InfinitePast();
    if (was_listed && node.listed_at >= began_at) node.listed = true;
    const bool died_unlisted = node.state == NodeState::kLost && node.IsDenied(began_at);
    const bool vanished = (was_listed || died_unlisted) && !node.listed && !node.connected && !node.hypothetical;
    if (vanished && node.IsComing() && !node.launch_failed && node.launched_at != absl::InfinitePast()) {
      LaunchFailed(at, "the machine vanished before it served");
    }
    it = vanished ? Forget(it) : std::next(it);
  }
  return false;
}

bool Fleet::On(absl::Time at, const ActionStarted& event, const Policy& policy) {
  const Action& action = event.action;
  if (std::holds_alternative<LaunchNode>(action.body)) {
    Node& node = Adopt(PlaceholderOf(action.id), "", at);
    node.state = NodeState::kLaunching;
    node.launch_id = action.id;
    node.launched_at = at;
    node.zone = std::get<LaunchNode>(action.body).zone;
  } else if (const auto found = nodes_.find(action.node); found != nodes_.end()) {
    Node& node = found->second;
    if (std::holds_alternative<DrainNode>(action.body)) {
      if (node.state != NodeState::kDrained) node.Become(NodeState::kDraining, at);
      node.returning = node.found_draining = false;
      node.told_at = at;
    }
    if (std::holds_alternative<CancelDrain>(action.body)) {
      node.Become(NodeState::kServing, at);
      node.returning = true;
      node.take_back = node.found_draining = false;
      node.told_at = at;
    }
    if (std::holds_alternative<TerminateNode>(action.body)) node.Become(NodeState::kTerminating, at);
    // Granted by a controller that was killed, and found in its journal.
    const auto* grant = std::get_if<GrantLimits>(&action.body);
    if (grant != nullptr && grant->grant_id > node.grant_id && !node.behind.holds_slots) {
      node.Granted(grant->grant_id, grant->connection_count_max, at);
      node.limit.limit_count = node.limit.wanted_count = grant->connection_count_max;
    }
  }
  const bool awaited = ChangesMachines(action) || std::holds_alternative<ListMachines>(action.body) ||
                       std::holds_alternative<DrainNode>(action.body);
  if (awaited) in_flight_[action.id] = {action, at, policy.mode == Mode::kDryRun};
  return false;
}

bool Fleet::On(absl::Time at, const ActionFinished& event, const Policy&) {
  const auto found = in_flight_.find(event.id);
  if (found == in_flight_.end()) {
    // The late answer to a launch that nobody waited for any more: its machine is there all the same.
    if (unanswered_.erase(event.id) > 0 && !event.node.empty() && HasRoomFor(event.node, at)) {
      ComeAnew(event.node, at);
      Adopt(event.node, event.id, at).Listed(at);
    }
    return false;
  }
  const Action action = std::move(found->second.action);
  in_flight_.erase(found);
  const bool ok = event.code == absl::StatusCode::kOk;
  NoteProvider(at, ActionKind(action), ok ? "" : event.message);
  if (std::holds_alternative<ListMachines>(action.body)) {
    if (ok)
      lists_failed_ = {};
    else
      lists_failed_.Failed(at);
  }
  if (std::holds_alternative<LaunchNode>(action.body)) FinishLaunch(at, action, event);
  if (std::holds_alternative<DrainNode>(action.body)) FinishDrain(at, action, event);
  if (std::holds_alternative<TerminateNode>(action.body)) FinishTerminate(at, action, event);
  return ok;  // a failure does not call for the same thing at once
}

void Fleet::FinishLaunch(absl::Time at, const Action& action, const ActionFinished& outcome) {
  const auto placeholder = nodes_.find(PlaceholderOf(action.id));
  if (outcome.code != absl::StatusCode::kOk) {
    if (placeholder != nodes_.end()) Forget(placeholder);
    LaunchFailed(at, outcome.message);
    return;
  }
  if (!outcome.hypothetical) {
    if (outcome.node.empty()) return;
    ComeAnew(outcome.node, at);
    Adopt(outcome.node, action.id, at).Listed(at);
    return;
  }
  if (placeholder == nodes_.end()) return;
  // The shadow fleet takes back a node that it would have removed before it invents one.
  for (const auto& [id, node] : nodes_) {
    if (!node.shadow_gone) continue;
    node.shadow_gone = false;
    node.Become(NodeState::kServing, at);
    Forget(placeholder);
    return;
  }
  arrived_at_ = at;
  placeholder->second.hypothetical = true;
  placeholder->second.Become(NodeState::kServing, at);
}

void Fleet::FinishDrain(absl::Time at, const Action& action, const ActionFinished& outcome) {
  const auto found = nodes_.find(action.node);
  if (found != nodes_.end() && outcome.hypothetical && found->second.state == NodeState::kDraining) {
    found->second.Become(NodeState::kDrained, at);
  }
}

void Fleet::FinishTerminate(absl::Time at, const Action& action, const ActionFinished& outcome) {
  const auto found = nodes_.find(action.node);
  if (found == nodes_.end()) return;
  Node& node = found->second;
  if (outcome.code != absl::StatusCode::kOk) {
    // One that never served is not drained either: it may come after all, and serve. That it was late may be forgotten
    // with the controller that found it so.
    const bool never_spoke = !node.launch_id.empty() && node.hello.boot_id.empty();
    const bool is_empty = node.report.open_count == 0;
    node.Become(node.launch_failed || never_spoke ? NodeState::kJoining
                : is_empty                        ? NodeState::kDrained
                                                  : NodeState::kDraining,
                at);
    // Its drain goes on, and is as long overdue as it was. One that was drained has a client that came after that.
    const bool goes_on = node.state == NodeState::kDraining && !node.leave_unheard && !node.was_drained;
    if (goes_on && node.told_at != absl::InfinitePast()) node.state_since = node.told_at;
    node.terminates_failed.Failed(at);
    removal_failed_at_ = at;
  } else if (outcome.hypothetical && !node.hypothetical) {
    node.shadow_gone = true;
  } else {
    Forget(found);
  }
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
  launch_failures_.Failed(at);
  launch_failures_.last_error = std::string(error);
}

// A launch fails once, however long its machine stays. One that is late in a phase is no capacity to count on and is
// replaced; its machine is given up at the launch timeout only, as it may have a slow day. One that others launched is
// no capacity for ever either.
void Fleet::AgeLaunch(Node& node, absl::Time now, const Policy& policy) {
  const bool ours = !node.launch_id.empty();
  if (!node.IsComing() || node.launch_failed || (node.connected && !ours)) return;
  const absl::Duration timeout = policy.nodes.launch_timeout;
  const PhaseTimes& times = node.connected ? join_times_ : boot_times_;
  // A call to the provider may wait in line: what is learned counts from when there is a machine.
  const bool learned = ours && (node.connected || node.listed);
  const absl::Time since = node.connected ? node.state_since : std::max(node.LastWordAt(), node.machine_since);
  if (now - since <= (learned ? times.Deadline(timeout) : timeout)) return;
  node.launch_failed = true;
  if (ours)
    LaunchFailed(now, node.connected ? "a node joined and does not serve" : "nothing spoke within its deadline");
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
    const bool known = std::any_of(nodes_.begin(), nodes_.end(), [&id](const auto& node) {
      return node.second.launch_id == id && node.second.listed_at != absl::InfinitePast();
    });
    const bool launch = std::holds_alternative<LaunchNode>(in_flight_[id].action.body);
    if (launch && !in_flight_[id].dry_run && !known) unanswered_[id] = now;
    if (drain)
      in_flight_.erase(id);
    else
      On(now, outcome, policy);
  }
}

// What the dry run only thought must not count when it becomes real: its nodes, its actions, its drains, its grants.
void Fleet::LeaveDryRun(absl::Time at, const Policy& policy) {
  for (auto it = in_flight_.begin(); it != in_flight_.end();) {
    if (!it->second.dry_run) {
      ++it;
      continue;
    }
    if (const auto placeholder = nodes_.find(PlaceholderOf(it->first)); placeholder != nodes_.end())
      Forget(placeholder);
    it = in_flight_.erase(it);
  }
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = it->second;
    const bool is_there = node.connected || node.listed;
    if (node.hypothetical && is_there) node.Become(NodeState::kJoining, at);
    if (std::exchange(node.hypothetical, false) && !is_there) {
      it = Forget(it);
      continue;
    }
    const bool leaves = node.IsLeaving() || node.state == NodeState::kTerminating;
    if (node.shadow_gone || (leaves && node.report.state == ServerState::kServing)) {
      const bool lost = at - node.last_report_at > policy.control.lost_after;
      node.Become(lost ? NodeState::kLost : NodeState::kServing, at);
    }
    node.shadow_gone = node.take_back = node.returning = node.stays_drained = false;
    node.ForgetGrants();
    ++it;
  }
}

std::optional<absl::Duration> Fleet::learned_lead_time() const {
  if (lead_times_.size() < 2) return std::nullopt;
  std::vector<absl::Duration> sorted = lead_times_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[(sorted.size() * 95 + 99) / 100 - 1];
}

}  // namespace headroom
