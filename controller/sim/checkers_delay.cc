#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "controller/sim/checker_words.h"

// What must not wait: limits of nodes that are full, and nodes where there are too few.

namespace headroom::sim {
namespace {

constexpr absl::Duration kListTakes = absl::Seconds(5);

int64_t LimitOf(const MachineFacts& machine, const Memory& memory) {
  return std::max(machine.limit_count, memory.GrantedTo(machine).value_or(0));
}

// What the law says that it has learned of a node, where it can have learned it: a raise was taken back not longer ago
// than that is remembered; a knee is known up to twice the largest load seen.
bool IsBoundByLearning(const Moment& moment, const MachineFacts& machine, const Memory& memory) {
  const auto says = [&](Ceiling ceiling) {
    return std::any_of(moment.decision.limits.begin(), moment.decision.limits.end(), [&](const LimitDecision& limit) {
      return limit.node == machine.id && limit.bound_by == ceiling;
    });
  };
  const auto found = memory.tried.find(machine.id);
  const Memory::Tried tried = found == memory.tried.end() ? Memory::Tried{} : found->second;
  const absl::Duration remembered = moment.policy.limits.law.bad_memory + Slack(moment.policy);
  const bool was_bad = moment.decision.at - tried.taken_back_at <= remembered;
  const bool was_seen = LimitOf(machine, memory) <= 2 * tried.open_peak_count;
  return (was_bad && says(Ceiling::kTriedAndBad)) || (was_seen && says(Ceiling::kKnee));
}

// A tenth of the budget is left, and nobody may hold more than is known: all have spoken just now.
bool BudgetIsLeft(const Moment& moment, const Memory& memory) {
  const int64_t budget = moment.policy.limits.budget_count;
  if (budget == 0) return true;
  int64_t held = 0;
  for (const auto& [id, machine] : moment.machines) {
    const bool known = machine.boot_is_told && machine.is_connected && machine.heard_process == moment.process &&
                       HeardWithin(machine, absl::ZeroDuration(), moment);
    if (!known) return false;
    held += LimitOf(machine, memory);
  }
  return moment.undenied == 0 && held + budget / 10 <= budget;
}

// Its clients wait, the controller has heard so, and nothing that can be seen forbids a raise.
bool IsFull(const MachineFacts& machine, const Moment& moment, const Memory& memory) {
  const FleetLimitPolicy& limits = moment.policy.limits;
  const auto fixed = moment.orders.fixed.find(machine.id);
  const bool ordered = fixed != moment.orders.fixed.end() && fixed->second.limit_count > 0;
  if (!limits.enabled || ordered || machine.slots_at_balancers || IsHeld(moment, HoldDirection::kUp)) return false;
  const bool heard = machine.boot_is_told && machine.heard_process == moment.process && machine.heard_serving &&
                     HeardWithin(machine, absl::ZeroDuration(), moment);
  if (!heard || !machine.is_connected || Leaves(machine, moment, memory)) return false;
  const int64_t limit = LimitOf(machine, memory);
  return machine.heard_open_count + machine.heard_waiting_count >= limit && limit < limits.law.ceiling_count &&
         !IsBoundByLearning(moment, machine, memory);
}

// A server has just left, or does not serve again yet, and no client waits for it.
bool SomeRestart(const Moment& moment) {
  constexpr absl::Duration kToldWithin = absl::Seconds(30);
  const absl::Duration within = moment.policy.nodes.restart_grace + moment.policy.control.lost_after + kToldWithin;
  const bool waits = std::any_of(moment.machines.begin(), moment.machines.end(), [](const auto& entry) {
    const MachineFacts& machine = entry.second;
    return machine.heard_waiting_count > 0 || machine.heard_open_count >= machine.limit_count;
  });
  const auto restarts = [&](const auto& entry) {
    const MachineFacts& machine = entry.second;
    const bool is_up = machine.is_connected && machine.boot_is_told && machine.heard_serving;
    return !is_up && HeardWithin(machine, within, moment);
  };
  return !waits && (std::any_of(moment.machines.begin(), moment.machines.end(), restarts) ||
                    std::any_of(moment.vanished.begin(), moment.vanished.end(), restarts));
}

// How long the guards that keep the fleet small now may do so in a row. Nothing: none does.
std::optional<absl::Duration> CapOf(const Moment& moment, const Memory& memory) {
  constexpr int kDoubled = 32;  // a refusing provider is left alone for so many times the backoff
  const NodePolicy& nodes = moment.policy.nodes;
  // What comes late is learned as the time that nodes take.
  const absl::Duration lead = std::max(nodes.lead_time, 2 * memory.launch_timeout_max);
  std::optional<absl::Duration> longest;
  for (const Verdict& verdict : moment.decision.verdicts) {
    if (verdict.after >= verdict.before) continue;
    if (verdict.guard == "growth_step" || verdict.guard == "ratchet") longest = std::max(longest, {lead});
    if (verdict.guard == "backoff") longest = std::max(longest, {kDoubled * nodes.launch_backoff});
    if (verdict.guard == "restarting" && SomeRestart(moment)) longest = absl::InfiniteDuration();
  }
  return longest;
}

// Nodes that what was heard needs, at most as many as may be. Nothing: not all that serve were heard.
std::optional<int64_t> NodesNeeded(const Moment& moment, const Memory& memory) {
  double need = 0;
  for (const auto& [id, machine] : moment.machines) {
    if (!machine.serves || Leaves(machine, moment, memory)) continue;
    const bool heard = machine.heard_process == moment.process && machine.boot_is_told &&
                       HeardWithin(machine, absl::ZeroDuration(), moment);
    if (!heard) return std::nullopt;
    const int64_t fixed = moment.policy.connections.per_node_count;
    const auto per_node = static_cast<double>(fixed > 0 ? fixed : machine.configured_count);
    need += static_cast<double>(machine.heard_open_count) / (per_node * moment.policy.connections.target_ratio);
  }
  const OverrideSet* set = Override(moment);
  const int most = set != nullptr && set->nodes > 0 ? std::min(set->nodes, MaxOf(moment)) : MaxOf(moment);
  return std::min<int64_t>(static_cast<int64_t>(std::ceil(need - 1e-9)), most);
}

// Below the maximum, beside those that no list has denied, and those that leave as far as this process has heard.
bool HasRoom(const Moment& moment, const Memory& memory, int64_t launches) {
  const auto held = std::count_if(moment.machines.begin(), moment.machines.end(), [&](const auto& entry) {
    const MachineFacts& machine = entry.second;
    const bool leaves = Drains(machine, memory) || Leaves(machine, moment, memory);
    return machine.is_told && (!leaves || machine.heard_process != moment.process);
  });
  return held + moment.undenied + launches < MaxOf(moment);
}

bool IsShort(const Moment& moment, const Memory& memory) {
  const auto vanished = static_cast<int64_t>(moment.vanished.size());
  const auto launches = static_cast<int64_t>(memory.launches_open.size());
  // Machines that are gone count for the maximum until a list denies them.
  const bool listed = moment.decision.at - moment.listed_at <= 2 * moment.policy.control.list_interval + kListTakes;
  if (!listed || IsHeld(moment, HoldDirection::kUp)) return false;
  const int64_t there = CountThere(moment, memory);
  return HasRoom(moment, memory, launches) && NodesNeeded(moment, memory).value_or(0) > there + vanished + launches;
}

bool Grows(const Decision& decision) {
  return !ActionsOf<LaunchNode>(decision).empty() || !ActionsOf<CancelDrain>(decision).empty();
}

}  // namespace

// Within three ticks, and the report that shows it.
Finding RaisesNeverWait(const Moment& moment, const Memory& memory) {
  const absl::Duration within = 3 * moment.policy.control.tick + absl::Seconds(2);
  for (const auto& [node, full] : memory.full) {
    const absl::Duration waited = moment.decision.at - full.since;
    const auto raises = [&](const Action* grant) {
      return grant->node == node && std::get<GrantLimits>(grant->body).connection_count_max > full.limit_count;
    };
    const std::vector<const Action*> grants = ActionsOf<GrantLimits>(moment.decision);
    if (waited <= within || std::any_of(grants.begin(), grants.end(), raises)) continue;
    const MachineFacts& machine = *Find(moment, node);
    return absl::StrCat(node, " has been full for ", absl::FormatDuration(waited), ", with ", machine.heard_open_count,
                        " open and ", machine.heard_waiting_count, " waiting at a limit of ", full.limit_count,
                        ", and is not raised");
  }
  return {};
}

// As long as a provider that has refused is left in peace, and some ticks; and no longer than guards may cap growth.
Finding GrowthNeverWaits(const Moment& moment, const Memory& memory) {
  const absl::Duration within = absl::Seconds(35) + 3 * moment.policy.control.tick;
  const absl::Duration waited = moment.decision.at - memory.short_since;
  if (waited <= within || Grows(moment.decision)) return {};
  return absl::StrCat(NodesNeeded(moment, memory).value_or(0), " nodes have been needed for ",
                      absl::FormatDuration(waited), " beside ", CountThere(moment, memory),
                      " that are there, and none is asked for");
}

void NoteWaits(const Moment& moment, Memory& memory) {
  const absl::Time now = moment.decision.at;
  std::map<NodeId, Memory::Full> full;
  for (const auto& [id, machine] : moment.machines) {
    Memory::Tried& tried = memory.tried[id];
    tried.open_peak_count = std::max(tried.open_peak_count, machine.heard_open_count + machine.heard_waiting_count);
    if (!IsFull(machine, moment, memory) || !BudgetIsLeft(moment, memory)) continue;
    const int64_t limit = LimitOf(machine, memory);
    const auto before = memory.full.find(id);
    const bool lasts =
        before != memory.full.end() && before->second.limit_count >= limit && memory.process == moment.process;
    full[id] = {lasts ? before->second.since : now, limit};
  }
  memory.full = std::move(full);
  memory.launch_timeout_max = std::max(memory.launch_timeout_max, moment.policy.nodes.launch_timeout);
  const bool is_short = memory.process == moment.process && IsShort(moment, memory);
  const std::optional<absl::Duration> cap = is_short ? CapOf(moment, memory) : std::nullopt;
  memory.capped_since = cap.has_value() ? std::min(memory.capped_since, now) : absl::InfiniteFuture();
  const bool waits = is_short && (!cap.has_value() || now - memory.capped_since > *cap);
  memory.short_since = waits ? std::min(memory.short_since, now) : absl::InfiniteFuture();
}

}  // namespace headroom::sim
