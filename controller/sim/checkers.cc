#include "controller/sim/checkers.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/runtime/control_loop.h"
#include "controller/sim/checker_words.h"

namespace headroom::sim {
namespace {

// Its machine is gone; or a later process has heard it serve, and takes what an earlier one ordered as not carried out.
bool IsOver(const NodeId& node, const Memory::Drain& drain, const Moment& moment) {
  const MachineFacts* machine = Find(moment, node);
  if (machine == nullptr) return true;
  return drain.process != moment.process && machine->heard_process == moment.process && machine->heard_serving;
}

// Drains that the controller wants for itself, not those that it repeats or that operators ask for.
std::vector<const Action*> OwnDrains(const Moment& moment, const Memory& memory) {
  std::vector<const Action*> drains = ActionsOf<DrainNode>(moment.decision);
  std::erase_if(drains, [&](const Action* drain) {
    return moment.orders.drained.contains(drain->node) || memory.drains.contains(drain->node);
  });
  return drains;
}

// --- Bounds.

Finding NeverBelowMinimum(const Moment& moment, const Memory& memory) {
  const std::vector<const Action*> drains = OwnDrains(moment, memory);
  if (drains.empty()) return {};
  const auto serves = [&](const MachineFacts& machine) {
    return machine.heard_serving && HeardWithin(machine, moment.policy.control.lost_after, moment) &&
           !Leaves(machine, moment, memory);
  };
  const auto serves_too = [&](const auto& entry) { return serves(entry.second); };
  const auto stay = std::count_if(moment.machines.begin(), moment.machines.end(), serves_too) +
                    std::count_if(moment.vanished.begin(), moment.vanished.end(), serves_too);
  // One that is dead, though the controller does not know it yet, is none of those that serve.
  const auto victims = std::count_if(drains.begin(), drains.end(), [&](const Action* drain) {
    const MachineFacts* machine = Find(moment, drain->node);
    return machine == nullptr || serves(*machine);
  });
  if (stay - victims >= MinOf(moment)) return {};
  return absl::StrCat("drains ", victims, " of ", stay, " nodes that serve; at least ", MinOf(moment), " must stay");
}

Finding NeverAboveMaximum(const Moment& moment, const Memory& memory) {
  const auto launches = static_cast<int64_t>(ActionsOf<LaunchNode>(moment.decision).size());
  if (launches == 0) return {};
  const int64_t there = CountThere(moment, memory);
  const int64_t after = there + static_cast<int64_t>(memory.launches_open.size()) + launches;
  if (after <= MaxOf(moment)) return {};
  return absl::StrCat("launches ", launches, " beside ", there, " machines and ", memory.launches_open.size(),
                      " in flight; at most ", MaxOf(moment), " may be");
}

// Of nodes where the slots are theirs, else of all balancers together.
std::map<NodeId, int64_t> LimitsAsked(const Moment& moment) {
  std::map<NodeId, int64_t> asked;
  for (const Action& action : moment.decision.actions) {
    const MachineFacts* machine = Find(moment, action.node);
    const auto* grant = std::get_if<GrantLimits>(&action.body);
    if (grant != nullptr && machine != nullptr && !machine->slots_at_balancers)
      asked[action.node] = grant->connection_count_max;
    const auto* set = std::get_if<SetServers>(&action.body);
    if (set == nullptr) continue;
    for (const ServerTarget& server : set->servers) {
      machine = Find(moment, server.node);
      if (machine != nullptr && machine->slots_at_balancers && server.session_count_max > 0)
        asked[server.node] = server.session_count_max * moment.balancers + machine->slots_elsewhere_count;
    }
  }
  return asked;
}

Finding NeverAboveBudget(const Moment& moment, const Memory& memory) {
  const int64_t budget = moment.policy.limits.budget_count;
  if (budget == 0) return {};
  std::map<NodeId, int64_t> held;
  for (const auto& [id, machine] : moment.machines) {
    if (!machine.boot_is_told) continue;  // what a process begins with is its owner's
    held[id] = machine.limit_count;
    if (!machine.slots_at_balancers) held[id] = std::max(held[id], memory.GrantedTo(machine).value_or(0));
  }
  bool raises = false;
  for (const auto& [node, count] : LimitsAsked(moment)) {
    raises = raises || count > held[node];
    held[node] = std::max(held[node], count);
  }
  int64_t sum = 0;
  for (const auto& [id, count] : held) sum += count;
  if (!raises || sum <= budget) return {};
  const auto pair = [](std::string* out, const auto& one) { absl::StrAppend(out, one.first, " ", one.second); };
  return absl::StrCat("raises a limit to a sum of ", sum, " over the budget of ", budget, ": ",
                      absl::StrJoin(held, ", ", pair));
}

// --- Shrinking.

// It was launched a while ago, and nobody has heard of it yet: it is not silent, it is to come.
bool IsAwaited(const MachineFacts& machine, const Moment& moment) {
  return !machine.boot_is_told && machine.heard_at == absl::InfinitePast() &&
         moment.decision.at - machine.launched_at < moment.policy.nodes.launch_timeout;
}

Finding NeverShrinksUninformed(const Moment& moment, const Memory& memory) {
  if (OwnDrains(moment, memory).empty()) return {};
  int serve = 0, fresh = 0;
  for (const auto& [id, machine] : moment.machines) {
    if (!machine.serves || !machine.is_told || IsAwaited(machine, moment)) continue;
    if (Drains(machine, memory) || Leaves(machine, moment, memory)) continue;
    ++serve;
    if (HeardWithin(machine, moment.policy.control.silent_after, moment)) ++fresh;
  }
  // One may always fail.
  const bool known = fresh + 1 >= serve || fresh >= moment.policy.control.quorum_ratio * serve;
  if (known) return {};
  return absl::StrCat("drains for itself while ", fresh, " of ", serve, " nodes that serve have spoken lately");
}

Finding NeverShrinksInCooldown(const Moment& moment, const Memory& memory) {
  const OverrideSet* set = Override(moment);
  const bool ordered = set != nullptr && set->nodes > 0;
  if (ordered || OwnDrains(moment, memory).empty()) return {};
  for (const auto& [grown_at, ratio] : memory.growths) {
    const absl::Duration left =
        grown_at + moment.policy.nodes.cooldown * std::clamp(ratio, 0.1, 1.0) - moment.decision.at;
    if (left > absl::ZeroDuration())
      return absl::StrCat("drains for itself ", absl::FormatDuration(left), " before the cooldown after growth ends");
  }
  return {};
}

Finding NeverShrinksWhileTheJournalFails(const Moment& moment, const Memory& memory) {
  if (!moment.journal_fails) return {};
  if (OwnDrains(moment, memory).empty() && ActionsOf<TerminateNode>(moment.decision).empty()) return {};
  return "removes nodes while the journal fails";
}

Finding NeverActsAgainstAHold(const Moment& moment, const Memory& memory) {
  if (IsHeld(moment, HoldDirection::kDown) && !OwnDrains(moment, memory).empty()) {
    return "drains for itself while shrinking is held";
  }
  const auto there = std::count_if(moment.machines.begin(), moment.machines.end(), [&](const auto& entry) {
    const MachineFacts& machine = entry.second;
    // One whose stream is closed may have said that it restarts.
    const bool stays =
        machine.is_connected || moment.decision.at - machine.heard_at <= moment.policy.nodes.restart_grace;
    return machine.is_told && machine.heard_serving && stays && !Leaves(machine, moment, memory) &&
           HeardWithin(machine, moment.policy.control.silent_after, moment);
  });
  const bool launches = !ActionsOf<LaunchNode>(moment.decision).empty();
  if (IsHeld(moment, HoldDirection::kUp) && launches && there >= MinOf(moment)) {
    return absl::StrCat("launches while growing is held and ", there, " nodes serve");
  }
  return {};
}

Finding NeverRemovesDataBearingNodes(const Moment& moment, const Memory& memory) {
  if (moment.policy.nodes.data != DataPlacement::kBearing) return {};
  if (OwnDrains(moment, memory).empty() && ActionsOf<TerminateNode>(moment.decision).empty()) return {};
  return "removes a node that bears data";
}

Finding NeverDrainsPinnedNodes(const Moment& moment, const Memory& memory) {
  for (const Action* drain : OwnDrains(moment, memory)) {
    if (moment.orders.pinned.contains(drain->node)) return absl::StrCat("drains ", drain->node, ", which is pinned");
  }
  return {};
}

Finding NeverTwoZonesAtOnce(const Moment& moment, const Memory& memory) {
  std::set<std::string> zones;
  const std::vector<const Action*> drains = OwnDrains(moment, memory);
  if (drains.empty()) return {};
  for (const auto& [node, drain] : memory.drains) {
    // One that serves, and has long said so, follows no drain: its order was lost, or forgotten with who gave it.
    const MachineFacts* machine = Find(moment, node);
    const bool stays = machine != nullptr && machine->serves && !Leaves(*machine, moment, memory);
    if (!drain.by_operator && !stays) zones.insert(drain.zone);
  }
  for (const Action* drain : drains) {
    const MachineFacts* machine = Find(moment, drain->node);
    if (machine != nullptr) zones.insert(machine->zone);
  }
  if (zones.size() <= 1) return {};
  return absl::StrCat("drains ", drains.front()->node, ": ", zones.size(), " zones lose nodes at once");
}

// --- Terminating.

// It was told to drain and has said since that nothing is open, or its time is over; or it never spoke.
Finding NeverTerminatesUndrained(const Moment& moment, const Memory& memory) {
  for (const Action* action : ActionsOf<TerminateNode>(moment.decision)) {
    const MachineFacts* machine = Find(moment, action->node);
    if (machine == nullptr) continue;
    const auto drain = memory.drains.find(action->node);
    const bool told = drain != memory.drains.end();
    const bool empty = told && machine->heard_at >= drain->second.since && machine->heard_open_count == 0;
    const bool overdue = told && moment.decision.at - drain->second.since >= moment.policy.nodes.drain_timeout;
    const bool never_came = machine->heard_at == absl::InfinitePast() &&
                            moment.decision.at - machine->launched_at >= moment.policy.nodes.launch_timeout;
    if (empty || overdue || never_came) continue;
    return absl::StrCat("terminates ", action->node, told ? ", whose drain is not done" : ", which was not drained",
                        machine->serves ? " and serves" : "");
  }
  return {};
}

// --- Growth and raises are not delayed.

Finding CooldownsNeverDelayGrowth(const Moment& moment, const Memory&) {
  constexpr std::array<absl::string_view, 11> kShrinkOnly = {"anomaly",       "coming",   "cooldown",     "warm",
                                                             "stabilization", "forecast", "reports_lost", "journal",
                                                             "paid",          "idle",     "together"};
  for (const Verdict& verdict : moment.decision.verdicts) {
    const bool shrink_only = std::find(kShrinkOnly.begin(), kShrinkOnly.end(), verdict.guard) != kShrinkOnly.end();
    if (shrink_only && verdict.after < verdict.before) {
      return absl::StrCat("guard ", verdict.guard, " lowers ", verdict.before, " to ", verdict.after);
    }
  }
  return {};
}

// --- Limits.

struct Grant {
  const Action* action;
  const GrantLimits* limits;
  const MachineFacts* machine;
  int64_t before;  // what the node had, as far as it was told
};

// What was granted last; or less, where a node has told a process that granted nothing yet what it has: a grant of the
// one before may have been lost on its way, and limits are adopted as they are found.
int64_t LimitBefore(const MachineFacts& machine, const Moment& moment, const Memory& memory) {
  const auto last = memory.granted.find(machine.id);
  const int64_t granted = memory.GrantedTo(machine).value_or(machine.limit_count);
  const bool is_told = machine.is_connected && machine.boot_is_told;
  const bool is_first = last != memory.granted.end() && last->second.process != moment.process;
  return is_told && is_first ? std::min(granted, machine.limit_count) : granted;
}

std::vector<Grant> GrantsOf(const Moment& moment, const Memory& memory) {
  std::vector<Grant> grants;
  for (const Action* action : ActionsOf<GrantLimits>(moment.decision)) {
    const MachineFacts* machine = Find(moment, action->node);
    const auto fixed = moment.orders.fixed.find(action->node);
    const bool ordered = fixed != moment.orders.fixed.end() && fixed->second.limit_count > 0;
    if (machine == nullptr || machine->slots_at_balancers || ordered) continue;
    grants.push_back({action, std::get_if<GrantLimits>(&action->body), machine, LimitBefore(*machine, moment, memory)});
  }
  return grants;
}

Finding NeverLimitsBelowTheActive(const Moment& moment, const Memory& memory) {
  for (const Grant& grant : GrantsOf(moment, memory)) {
    const int64_t count = grant.limits->connection_count_max;
    const int64_t least = grant.machine->heard_active_count + moment.policy.limits.law.reserve_count;
    if (count >= grant.before || count >= least) continue;
    return absl::StrCat("lowers ", grant.action->node, " from ", grant.before, " to ", count, " with ",
                        grant.machine->heard_active_count, " active");
  }
  return {};
}

Finding NeverLimitsBelowTheOpenWithoutShedding(const Moment& moment, const Memory& memory) {
  for (const Grant& grant : GrantsOf(moment, memory)) {
    const int64_t count = grant.limits->connection_count_max;
    if (count >= grant.before || count >= grant.machine->heard_open_count) continue;
    const absl::Duration configured = grant.machine->configured_idle_timeout;
    const bool hurries = configured <= moment.policy.limits.law.idle_timeout_min ||
                         (grant.limits->idle_timeout > absl::ZeroDuration() && grant.limits->idle_timeout < configured);
    if (hurries) continue;
    return absl::StrCat("lowers ", grant.action->node, " to ", count, " below its ", grant.machine->heard_open_count,
                        " open connections and lets idle ones live");
  }
  return {};
}

Finding NeverLowersLimitsOfTheSilent(const Moment& moment, const Memory& memory) {
  for (const Grant& grant : GrantsOf(moment, memory)) {
    if (grant.limits->connection_count_max >= grant.before) continue;
    if (HeardWithin(*grant.machine, moment.policy.control.silent_after, moment)) continue;
    return absl::StrCat("lowers ", grant.action->node, " from ", grant.before, " to ",
                        grant.limits->connection_count_max, ", which has been silent for ",
                        absl::FormatDuration(moment.decision.at - grant.machine->heard_at));
  }
  return {};
}

Finding NeverLimitsAboveTheCeiling(const Moment& moment, const Memory& memory) {
  for (const Grant& grant : GrantsOf(moment, memory)) {
    const int64_t most = std::max({moment.policy.limits.law.ceiling_count, grant.before, grant.machine->limit_count,
                                   grant.machine->configured_count});
    if (grant.limits->connection_count_max <= most + moment.policy.limits.law.reserve_count) continue;
    return absl::StrCat("raises ", grant.action->node, " to ", grant.limits->connection_count_max,
                        " above the ceiling of ", moment.policy.limits.law.ceiling_count);
  }
  return {};
}

// --- Terms, ids, sizes.

Finding TermsOnlyGrow(const Moment& moment, const Memory& memory) {
  const Decision& decision = moment.decision;
  if (decision.term < memory.term) return absl::StrCat("term ", decision.term, " after ", memory.term);
  if (moment.process != memory.process && decision.term == memory.term) {
    return absl::StrCat("a new process uses term ", decision.term, " again");
  }
  for (const Action& action : decision.actions) {
    if (action.term != decision.term || action.term <= 0) {
      return absl::StrCat(action.id, " has term ", action.term, " in a decision of term ", decision.term);
    }
  }
  return {};
}

Finding SequencesAndTimesOnlyGrow(const Moment& moment, const Memory& memory) {
  // What a killed process did last was not committed yet.
  const absl::Time last = moment.process != memory.process ? memory.uncommitted.front() : memory.at;
  if (moment.decision.at < last && !moment.forgot) {
    return absl::StrCat("goes back in time by ", absl::FormatDuration(last - moment.decision.at));
  }
  // What was decided last before a crash may be unwritten; its number is used again, under another term.
  if (moment.process == memory.process && moment.decision.sequence <= memory.sequence) {
    return absl::StrCat("decision ", moment.decision.sequence, " after ", memory.sequence);
  }
  return {};
}

Finding LaunchIdsAreNeverUsedTwice(const Moment& moment, const Memory& memory) {
  for (const Action* launch : ActionsOf<LaunchNode>(moment.decision)) {
    if (memory.action_ids.contains(launch->id)) return absl::StrCat("uses launch id ", launch->id, " again");
  }
  return {};
}

Finding AsksAreBounded(const Moment& moment, const Memory& memory) {
  const size_t machines = moment.machines.size() + static_cast<size_t>(MaxOf(moment));
  const size_t most = 4 * machines + 16;  // at most a grant, a shed, a drain and a terminate for each
  if (moment.decision.actions.size() > most) return absl::StrCat(moment.decision.actions.size(), " actions at once");
  if (memory.launches_open.size() > machines + 16) return absl::StrCat(memory.launches_open.size(), " open launches");
  return {};
}

struct Rule {
  absl::string_view name;
  Finding (*check)(const Moment& moment, const Memory& memory);
};

constexpr std::array<Rule, 22> kRules = {{
    {"min", NeverBelowMinimum},
    {"max", NeverAboveMaximum},
    {"budget", NeverAboveBudget},
    {"uninformed_shrink", NeverShrinksUninformed},
    {"cooldown", NeverShrinksInCooldown},
    {"journal", NeverShrinksWhileTheJournalFails},
    {"hold", NeverActsAgainstAHold},
    {"bearing", NeverRemovesDataBearingNodes},
    {"pinned", NeverDrainsPinnedNodes},
    {"zones", NeverTwoZonesAtOnce},
    {"terminate_undrained", NeverTerminatesUndrained},
    {"growth_delayed", CooldownsNeverDelayGrowth},
    {"growth_waits", GrowthNeverWaits},
    {"raise_waits", RaisesNeverWait},
    {"limit_below_active", NeverLimitsBelowTheActive},
    {"limit_below_open", NeverLimitsBelowTheOpenWithoutShedding},
    {"limit_of_silent", NeverLowersLimitsOfTheSilent},
    {"limit_above_ceiling", NeverLimitsAboveTheCeiling},
    {"term", TermsOnlyGrow},
    {"order", SequencesAndTimesOnlyGrow},
    {"launch_twice", LaunchIdsAreNeverUsedTwice},
    {"bounded", AsksAreBounded},
}};

}  // namespace

std::optional<int64_t> SafetyChecker::Memory::GrantedTo(const MachineFacts& machine) const {
  const auto found = granted.find(machine.id);
  if (found == granted.end() || found->second.boot != machine.boot) return std::nullopt;
  return found->second.count;
}

std::vector<absl::string_view> SafetyChecker::RuleNames() {
  std::vector<absl::string_view> names;
  for (const Rule& rule : kRules) names.push_back(rule.name);
  return names;
}

void SafetyChecker::Ended(const ActionFinished& outcome) {
  if (memory_.launches_open.erase(outcome.id) > 0) memory_.short_since = memory_.capped_since = absl::InfiniteFuture();
  if (outcome.code == absl::StatusCode::kOk) return;
  std::erase_if(memory_.terminated, [&](const auto& one) { return one.second == outcome.id; });
}

std::vector<Violation> SafetyChecker::Check(const Moment& moment) {
  if (moment.forgot && moment.process != memory_.process) {
    memory_.launches_open.clear();
    memory_.growths.clear();
  }
  std::erase_if(memory_.terminated, [&](const auto& one) { return !moment.machines.contains(one.first); });
  for (auto& [node, drain] : memory_.drains) {
    const MachineFacts* machine = Find(moment, node);
    // Whoever has heard it followed goes on with it.
    const bool followed = machine != nullptr && machine->heard_process == moment.process && machine->heard_draining;
    if (followed) drain.process = moment.process;
  }
  std::erase_if(memory_.drains, [&](const auto& drain) { return IsOver(drain.first, drain.second, moment); });
  std::erase_if(memory_.cancels, [&](const auto& cancel) {
    const MachineFacts* machine = Find(moment, cancel.first);
    return machine != nullptr && machine->heard_serving && machine->heard_at > cancel.second;
  });
  for (const auto& [id, machine] : moment.machines) {
    if (machine.is_told) memory_.launches_open.erase(machine.launch_id);
  }
  NoteWaits(moment, memory_);
  std::vector<Violation> violations;
  for (const Rule& rule : kRules) {
    if (Finding finding = rule.check(moment, memory_); finding.has_value()) {
      violations.push_back({std::string(rule.name), *std::move(finding), moment.decision.at});
    }
  }
  Remember(moment);
  return violations;
}

// A limit that falls soon after it was raised was tried, and is bad.
void SafetyChecker::RememberGrant(const Moment& moment, const NodeId& node, int64_t count) {
  const MachineFacts* machine = Find(moment, node);
  const absl::Time now = moment.decision.at;
  const auto before = memory_.granted.find(node);
  Memory::Tried& tried = memory_.tried[node];
  const int64_t had = before != memory_.granted.end() ? before->second.count
                      : machine != nullptr            ? machine->limit_count
                                                      : count;
  if (count > had) tried.raised_at = now;
  if (count < had && now - tried.raised_at <= moment.policy.limits.law.watch + Slack(moment.policy))
    tried.taken_back_at = now;
  memory_.granted[node] = {machine == nullptr ? 0 : machine->boot, count, moment.process};
}

void SafetyChecker::Remember(const Moment& moment) {
  const Decision& decision = moment.decision;
  memory_.term = std::max(memory_.term, decision.term);
  memory_.sequence = decision.sequence;
  memory_.at = decision.at;
  const absl::Time committed = decision.at - ControlLoop::kCommitInterval - absl::Seconds(1);
  auto& times = memory_.uncommitted;
  // Of what the last process did last nobody knows whether it was committed, however soon the next one dies too.
  if (moment.process != memory_.process) times.resize(1);
  if (moment.process != memory_.process && moment.forgot) times = {absl::InfinitePast()};
  times.push_back(decision.at);
  while (times.size() > 1 && times[1] <= committed) times.erase(times.begin());
  memory_.process = moment.process;
  bool grows = false;
  for (const Action& action : decision.actions) {
    if (std::holds_alternative<LaunchNode>(action.body)) {
      grows = true;
      memory_.action_ids.insert(action.id);
      memory_.launches_open.insert(action.id);
    } else if (std::holds_alternative<TerminateNode>(action.body)) {
      memory_.terminated[action.node] = action.id;
    } else if (std::holds_alternative<CancelDrain>(action.body)) {
      // What is told again to one that has not followed yet is the same growth.
      const bool ordered = memory_.drains.erase(action.node) > 0;
      grows |= memory_.cancels.insert_or_assign(action.node, decision.at).second || ordered;
    } else if (std::holds_alternative<DrainNode>(action.body)) {
      const MachineFacts* machine = Find(moment, action.node);
      memory_.drains.try_emplace(action.node,
                                 Memory::Drain{decision.at, machine == nullptr ? "" : machine->zone,
                                               moment.orders.drained.contains(action.node), moment.process});
    } else if (const auto* grant = std::get_if<GrantLimits>(&action.body)) {
      RememberGrant(moment, action.node, grant->connection_count_max);
    }
  }
  if (!grows) return;
  memory_.short_since = memory_.capped_since = absl::InfiniteFuture();
  const double ratio =
      static_cast<double>(decision.desired_count - decision.effective_count) / std::max(1, decision.effective_count);
  constexpr size_t kGrowthsMax = 64;
  memory_.growths.emplace_back(decision.at, ratio);
  if (memory_.growths.size() > kGrowthsMax) memory_.growths.erase(memory_.growths.begin());
}

}  // namespace headroom::sim
