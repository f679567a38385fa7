#include "controller/core/autoscaler.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/core/alarms.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/limit_planner.h"
#include "controller/core/nodes/guards.h"
#include "controller/core/nodes/planner.h"
#include "controller/core/signals/signal.h"

namespace headroom {
namespace {

constexpr size_t kHoldsMax = 100;

std::vector<Demand> AskSignals(const SignalInput& in) {
  std::vector<Demand> demands;
  for (const Signal& signal : kSignals) {
    if (signal.enabled(in.policy)) demands.push_back(signal.evaluate(in));
  }
  return demands;
}

// The signal that asks for most; nothing where none can tell.
const Demand* Largest(const std::vector<Demand>& demands) {
  const Demand* largest = nullptr;
  for (const Demand& demand : demands) {
    if (demand.node_count.has_value() && (largest == nullptr || *demand.node_count > *largest->node_count))
      largest = &demand;
  }
  return largest;
}

// The same of the signals that can say how many.
double LargestCount(const std::vector<Demand>& demands) {
  double largest = 0;
  for (const Demand& demand : demands) {
    if (demand.kind == Demand::Kind::kCount) largest = std::max(largest, demand.node_count.value_or(0));
  }
  return largest;
}

void RememberHold(State& state, absl::Time at, const HoldChanged& hold) {
  if (hold.direction == HoldDirection::kNone) {
    state.holds.clear();
    return;
  }
  std::erase_if(state.holds,
                [&](const HoldChanged& old) { return old.until <= at || old.direction == hold.direction; });
  if (state.holds.size() < kHoldsMax) state.holds.push_back(hold);
}

// The part of the cooldown that the least growth is worth.
constexpr double kGrowthLeast = 0.1;

absl::Time CooldownOf(const Growth& growth, const NodePolicy& policy) {
  return growth.at + policy.cooldown * std::clamp(growth.ratio, kGrowthLeast, 1.0);
}

// Where there are too many, the two oldest become one: as large as the one, as late as the other.
void RememberGrowth(ScaleMemory& scale, Growth growth) {
  growth.ratio = std::clamp(growth.ratio, kGrowthLeast, 1.0);
  std::erase_if(scale.growths, [&](const Growth& older) { return older.ratio <= growth.ratio; });
  scale.growths.push_back(growth);
  if (scale.growths.size() <= ScaleMemory::kGrowthsMax) return;
  scale.growths[1].ratio = scale.growths[0].ratio;
  scale.growths.erase(scale.growths.begin());
}

// Fills the stabilization window. What was wanted while a signal was unknown, or nobody ticked, is not in it: after a
// gap it vouches for nothing until it is full again.
void RememberWanted(ScaleMemory& scale, const Decision& decision, const Policy& policy, int wanted) {
  const absl::Time now = decision.at;
  const absl::Duration gap_max = std::max(policy.nodes.stabilization / WindowedMax::kBuckets, 3 * policy.control.tick);
  if (scale.began_at == absl::InfinitePast() || now - scale.filled_at > gap_max) scale.began_at = now;
  const bool known = std::all_of(decision.demands.begin(), decision.demands.end(),
                                 [](const Demand& demand) { return demand.node_count.has_value(); });
  if (known) scale.filled_at = now;
  scale.wanted.Add(now, policy.nodes.stabilization, wanted);
}

// Ends the stretch since the last tick. What lies between two ticks that are far apart was seen by nobody, and what is
// told in trouble is not believed.
void RememberIdle(ScaleMemory& scale, const GuardInput& in, int needed) {
  const int64_t surplus = in.summary.effective - Kept(in, needed);
  const absl::Duration seen = std::clamp(in.now - scale.idle_at, absl::ZeroDuration(), 3 * in.policy.control.tick);
  scale.idle_at = in.now;
  if (surplus <= 0) {
    scale.idle = absl::ZeroDuration();
  } else if (IsBelievable(in)) {
    scale.idle += surplus * surplus * seen;
  }
}

// Whether the action begins a change: what is told again to a node that is on its way does not.
bool Begins(const Action& action, const Fleet& fleet) {
  const Node* node = fleet.Find(action.node);
  const bool leaves = node != nullptr && node->IsLeaving();
  if (std::holds_alternative<DrainNode>(action.body)) return !leaves;
  return leaves || !std::holds_alternative<CancelDrain>(action.body);
}

absl::Duration LeadTime(const State& state, const NodePolicy& policy) {
  return state.fleet.learned_lead_time().value_or(policy.lead_time);
}

// The capacity without what `growth` and the launches whose outcome is not known bring.
int CountBefore(const Fleet& fleet, const Action& growth) {
  int count = 0;
  for (const auto& [id, node] : fleet.nodes()) {
    const bool is_asked = id == growth.node || fleet.in_flight().contains(node.launch_id);
    if (node.CountsAsCapacity() && !is_asked) ++count;
  }
  return count;
}

// What the number of nodes remembers of this tick's answer.
void RememberScale(State& state, const FleetSummary& summary, const Decision& decision, const Policy& policy) {
  ScaleMemory& scale = state.scale;
  const absl::Time now = decision.at;
  bool grows = false, shrinks = false;
  for (const Action& action : decision.actions) {
    if (!Begins(action, state.fleet)) continue;
    grows |= std::holds_alternative<LaunchNode>(action.body) || std::holds_alternative<CancelDrain>(action.body);
    shrinks |= std::holds_alternative<DrainNode>(action.body);
  }
  if (grows) {
    const double ratio =
        static_cast<double>(decision.desired_count - summary.effective) / std::max(1, summary.effective);
    if (now - scale.step_began_at >= LeadTime(state, policy.nodes)) {
      scale.step_began_at = now;
      scale.step_base = summary.effective;
    }
    RememberGrowth(scale, {now, ratio});
  }
  if (shrinks) scale.shrunk_at = now;
  if (grows || shrinks) scale.idle = absl::ZeroDuration();
  scale.served.Add(now, ScaleMemory::kServedWindow, summary.carrying);
}

// What a tick began that this core has not taken: its controller was killed, and only what it asked for is known. How
// much of the fleet it was is not: it cools as long as any, and its step began from what was there without it.
void RememberLostTick(State& state, absl::Time at, const Action& action, const NodePolicy& policy) {
  ScaleMemory& scale = state.scale;
  const bool shrinks = std::holds_alternative<DrainNode>(action.body);
  if (shrinks) scale.shrunk_at = std::max(scale.shrunk_at, at);
  const bool grows =
      std::holds_alternative<LaunchNode>(action.body) || std::holds_alternative<CancelDrain>(action.body);
  if (grows || shrinks) scale.idle = absl::ZeroDuration();
  if (!grows) return;
  RememberGrowth(scale, {at, 1});
  if (at - scale.step_began_at < LeadTime(state, policy)) return;
  scale.step_began_at = at;
  scale.step_base = CountBefore(state.fleet, action);
}

void NameActions(Decision& decision, const std::string& cluster) {
  int index = 0;
  for (Action& action : decision.actions) {
    action.id = absl::StrCat(cluster, "-", decision.term, "-", decision.sequence, "-", index++);
  }
}

// A later release may have saved causes that this one does not know.
void Bound(Cause& cause) {
  if (static_cast<int>(cause) >= kCauseCount) cause = Cause::kCannotTell;
}

void Append(std::vector<Action>& to, std::vector<Action> from) {
  if (to.empty()) {
    to = std::move(from);
  } else {
    std::move(from.begin(), from.end(), std::back_inserter(to));
  }
}

}  // namespace

absl::Time GrowthCoolsUntil(const ScaleMemory& scale, const NodePolicy& policy) {
  absl::Time until = absl::InfinitePast();
  for (const Growth& growth : scale.growths) until = std::max(until, CooldownOf(growth, policy));
  return until;
}

Autoscaler Autoscaler::Load(Policy policy, State state) {
  Autoscaler loaded(std::move(policy));
  loaded.state_ = std::move(state);
  Bound(loaded.state_.diagnosis.last.cause);
  Bound(loaded.state_.diagnosis.leader);
  return loaded;
}

// A mode that an operator chose stays in force over policies whose own mode has not changed since.
void Autoscaler::Adopt(absl::Time at, Policy policy) {
  auto& chosen = state_.mode_chosen;
  if (chosen.has_value() && chosen->configured != policy.mode) chosen.reset();
  if (chosen.has_value()) policy.mode = chosen->mode;
  const PolicyChanged changed{std::move(policy)};
  state_.fleet.Apply(at, changed, policy_);
  const absl::Duration window = changed.policy.nodes.stabilization;
  if (window != policy_.nodes.stabilization)
    state_.scale.wanted = state_.scale.wanted.Resized(at, policy_.nodes.stabilization, window);
  if (changed.policy.mode != policy_.mode) {
    state_.trial = {};
    state_.servers_due = true;  // balancers have heard nothing, or nothing of late
  }
  policy_ = changed.policy;
}

void Autoscaler::Observe(absl::Time at, const Event& event) {
  bool urgent = false;
  if (const auto* changed = std::get_if<PolicyChanged>(&event)) {
    Adopt(at, changed->policy);
  } else if (const auto* chosen = std::get_if<ModeChosen>(&event)) {
    state_.mode_chosen = *chosen;
    Policy policy = policy_;
    policy.mode = chosen->configured;
    Adopt(at, std::move(policy));
  } else {
    urgent = state_.fleet.Apply(at, event, policy_);
  }
  if (const auto* hold = std::get_if<HoldChanged>(&event)) RememberHold(state_, at, *hold);
  if (const auto* set = std::get_if<OverrideSet>(&event)) state_.override_set = *set;
  if (const auto* term = std::get_if<TermChanged>(&event)) state_.term = std::max(state_.term, term->term);
  if (const auto* journal = std::get_if<JournalChanged>(&event)) state_.journal_error = journal->error;
  if (std::holds_alternative<BalancerJoined>(event)) state_.servers_due = true;
  const auto* reported = std::get_if<BalancerReported>(&event);
  if (reported != nullptr && IsAstray(reported->report, state_.servers)) state_.servers_due = true;
  if (const auto* started = std::get_if<ActionStarted>(&event)) {
    const auto* grant = std::get_if<GrantLimits>(&started->action.body);
    if (grant != nullptr) state_.grant_sequence = std::max(state_.grant_sequence, grant->grant_id);
    if (at > state_.last_tick_at) RememberLostTick(state_, at, started->action, policy_.nodes);
  }
  const bool command = std::holds_alternative<PolicyChanged>(event) || std::holds_alternative<ModeChosen>(event) ||
                       std::holds_alternative<OverrideSet>(event) || std::holds_alternative<HoldChanged>(event);
  if (urgent || command) state_.urgent_at = std::min(state_.urgent_at, at);
}

absl::Time Autoscaler::next_tick() const {
  const absl::Time regular = state_.last_tick_at + policy_.control.tick;
  if (state_.urgent_at == absl::InfiniteFuture()) return regular;
  return std::min(regular, std::max(state_.urgent_at, state_.last_tick_at + policy_.control.urgent_tick));
}

Decision Autoscaler::Tick(absl::Time now) {
  HR_CHECK(now >= state_.last_tick_at);
  state_.last_tick_at = now;
  state_.urgent_at = absl::InfiniteFuture();
  Summarizer sums(policy_, now);
  Survey survey(policy_, state_.diagnosis.series, now);
  FleetSpread spread(policy_.control.silent_after, now);
  LimitPlanner limit_planner(state_, policy_, now);
  state_.fleet.Advance(now, policy_, [&](Node& node) {
    sums.Add(node);
    survey.Add(node);
    spread.Add(node);
    limit_planner.Add(node);
  });
  const FleetSummary summary = std::move(sums).Finish(state_.fleet);
  LimitPlan limits = std::move(limit_planner).Finish();

  Decision decision;
  decision.sequence = ++state_.sequence;
  decision.at = now;
  decision.term = state_.term;
  decision.mode = policy_.mode;
  decision.serving_count = summary.serving;
  decision.effective_count = summary.effective;
  decision.diagnosis = Diagnose({state_.fleet, summary, policy_, now}, std::move(survey), state_.diagnosis);

  state_.anomaly.Observe({summary, spread, policy_, now});
  if (state_.anomaly.level_shifted()) state_.forecast.LevelShifted();
  const std::optional<double> demand = KnownDemand(summary, policy_);
  state_.forecast.Observe(now, demand, {.lead = policy_.nodes.lead_time, .quantile = policy_.forecast.quantile_ratio});
  state_.usual.Observe(now, BringsDemand(policy_.calendar, now) ? std::nullopt : demand);
  decision.demands = AskSignals({state_.fleet, summary, state_.forecast, state_.anomaly, policy_, now, &state_.usual});
  const Demand* largest = Largest(decision.demands);
  const double wanted = largest == nullptr ? summary.effective : *largest->node_count;
  GuardInput guards{state_, summary, policy_, decision.demands, decision.diagnosis, now};
  guards.counted = LargestCount(decision.demands);
  guards.wanted = static_cast<int>(std::ceil(std::min(wanted, 1e6) - 1e-9));
  if (largest != nullptr) RememberWanted(state_.scale, decision, policy_, guards.wanted);
  const int needed = ApplyNeeds(guards, decision.verdicts);
  if (largest != nullptr) RememberIdle(state_.scale, guards, needed);
  decision.desired_count = ApplyGuards(guards, needed, decision.verdicts);

  decision.limits = std::move(limits.decisions);
  Append(decision.actions, std::move(limits.actions));
  const NodePlan plan{summary.effective, decision.desired_count, largest == nullptr ? "none" : largest->signal.c_str(),
                      now};
  Append(decision.actions, PlanNodes(state_, summary, policy_, plan));
  Append(decision.actions, PlanServers(state_, policy_));
  Append(decision.actions, PlanRebalance(state_, summary, policy_, now));
  Append(decision.actions, PlanLook(state_, policy_, now));
  NameActions(decision, policy_.cluster);
  RememberScale(state_, summary, decision, policy_);

  decision.alarms = std::move(limits.alarms);
  RaiseAlarms({state_, summary, policy_, guards.wanted, decision.demands, now}, decision.alarms);
  state_.trial.Count(decision);
  decision.next_tick = next_tick();
  return decision;
}

}  // namespace headroom
