#include "controller/core/nodes/guards.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "controller/core/signals/signal.h"

namespace headroom {
namespace {

using Bound = std::optional<Verdict>;

Verdict AtLeast(int nodes, Reason reason) {
  return {"", nodes, std::nullopt, 0, 0, std::move(reason)};
}
Verdict AtMost(int nodes, Reason reason) {
  return {"", std::nullopt, nodes, 0, 0, std::move(reason)};
}
Verdict Exactly(int nodes, Reason reason) {
  return {"", nodes, nodes, 0, 0, std::move(reason)};
}

const HoldChanged* ActiveHold(const State& state, absl::Time now, HoldDirection direction) {
  for (const HoldChanged& hold : state.holds) {
    if (hold.until > now && (hold.direction == direction || hold.direction == HoldDirection::kBoth)) return &hold;
  }
  return nullptr;
}

Bound Override(const GuardInput& in, int) {
  const auto& set = in.state.override_set;
  if (!set.has_value() || set->until <= in.now || set->nodes == 0) return {};
  return Exactly(set->nodes, MakeReason(ReasonCode::kGuardOverride, set->nodes, set->reason, set->actor));
}

Bound Hold(const GuardInput& in, int desired) {
  const bool grows = desired > in.summary.effective;
  const HoldChanged* hold = ActiveHold(in.state, in.now, grows ? HoldDirection::kUp : HoldDirection::kDown);
  if (hold == nullptr || desired == in.summary.effective) return {};
  Reason reason = MakeReason(ReasonCode::kGuardHold, grows ? "up" : "down", hold->reason, hold->actor);
  return grows ? AtMost(in.summary.effective, reason) : AtLeast(in.summary.effective, reason);
}

Bound UnknownSignal(const GuardInput& in, int) {
  for (const Demand& demand : in.demands) {
    if (!demand.node_count.has_value()) {
      return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardUnknown, demand.signal));
    }
  }
  return {};
}

// Errors lower the load that is measured; so does whatever the diagnosis has named. Shrinking into either makes it
// worse. A node that is gone and that nobody feels is told too, and so is one that is new and gets nothing to do: they
// do neither.
Bound Trouble(const GuardInput& in, int) {
  constexpr double kErrorRatioMax = 0.01;
  const bool errors = in.summary.errors > kErrorRatioMax * std::max(in.summary.completed, 1.0);
  const DiagnosisMemory& memory = in.state.diagnosis;
  const bool idle = in.diagnosis.cause == Cause::kImbalance && memory.hurt_at < memory.trouble.onset;
  const bool felt = memory.trouble.onset != absl::InfiniteFuture() && !idle;
  const bool ill = felt && in.diagnosis.cause != Cause::kNone;
  if (!errors && !ill) return {};
  return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardErrors, in.summary.errors, in.summary.completed));
}

Bound Stabilization(const GuardInput& in, int desired) {
  const int highest = static_cast<int>(in.state.scale.wanted.Max(in.now, in.policy.nodes.stabilization));
  if (highest <= desired) return {};
  // The window only holds a shrink back; it never makes the fleet grow.
  return AtLeast(std::min(highest, in.summary.effective),
                 MakeReason(ReasonCode::kGuardStabilization, highest, in.policy.nodes.stabilization));
}

// Something unusual goes on: what load is measured may not be the load that there is. It binds for anomaly.hold from
// the onset at most, then what was unusual is how things are.
Bound Anomaly(const GuardInput& in, int) {
  for (const AnomalyIncident& incident : in.state.anomaly.incidents()) {
    const absl::Duration left = incident.since + in.policy.anomaly.hold - in.now;
    if (left <= absl::ZeroDuration()) continue;
    return AtLeast(in.summary.effective,
                   MakeReason(ReasonCode::kGuardAnomaly, left, ToString(incident.series), ToString(incident.kind),
                              incident.seen, incident.expected, incident.node));
  }
  return {};
}

// Nodes that are lost by the dozen carry load still: what is left tells too little.
Bound ReportsLost(const GuardInput& in, int) {
  if (!in.summary.ReportsAreLost(in.policy.control)) return {};
  return AtLeast(in.summary.effective,
                 MakeReason(ReasonCode::kGuardLost, in.summary.lost, in.summary.serving + in.summary.lost));
}

// The window of a controller that has just started is not full yet, so it cannot vouch for a shrink.
Bound Warm(const GuardInput& in, int) {
  const absl::Duration left = in.state.scale.began_at + in.policy.nodes.stabilization - in.now;
  if (left <= absl::ZeroDuration()) return {};
  return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardWarm, left));
}

Bound Cooldown(const GuardInput& in, int) {
  const ScaleMemory& scale = in.state.scale;
  const absl::Duration after_shrink = in.policy.nodes.cooldown / std::max(1, in.summary.effective);
  const absl::Time until = std::max(GrowthCoolsUntil(scale, in.policy.nodes), scale.shrunk_at + after_shrink);
  if (until <= in.now) return {};
  return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardCooldown, until - in.now));
}

// What is likely to be needed while a node that is removed now could not be had back. Nothing: too little is known to
// tell.
struct Need {
  forecast::DemandForecast::Answer demand;
  int nodes = 0;
};
std::optional<Need> LikelyNeed(const GuardInput& in) {
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  if (!in.policy.forecast.enabled || !in.policy.connections.enabled || per_node <= 0) return std::nullopt;
  const auto most = in.state.forecast.Until(in.state.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time));
  if (!most.has_value()) return std::nullopt;
  const double nodes = NodesFor(most->upper, per_node, in.policy);
  return Need{*most, static_cast<int>(std::round(std::min(nodes, 1e6)))};
}

Bound ForecastKeeps(const GuardInput& in, int desired) {
  const std::optional<Need> need = LikelyNeed(in);
  if (!need.has_value() || need->nodes <= desired) return {};
  return AtLeast(std::min(need->nodes, in.summary.effective),
                 MakeReason(ReasonCode::kGuardForecast, need->demand.upper, need->demand.ahead, need->nodes));
}

// Each growth is a change, and a demand that grows asks again: when nodes are launched anyway, those come along that
// the next minutes may ask for.
Bound Together(const GuardInput& in, int) {
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  if (in.wanted <= in.summary.effective || !in.policy.forecast.enabled) return {};
  if (!in.policy.connections.enabled || per_node <= 0) return {};
  const auto most = in.state.forecast.Most();
  if (!most.has_value()) return {};
  const double exact = NodesFor(most->upper, per_node, in.policy);
  const int nodes = static_cast<int>(std::round(std::min(exact, 1e6)));
  return AtLeast(nodes, MakeReason(ReasonCode::kGuardTogether, most->upper, most->ahead, nodes));
}

// A removal is a change that the next growth may undo. It is worth it once the nodes have idled for long: one that is
// too many for eight windows, two for a quarter of that, as it is less likely that both are asked for again.
Bound Idle(const GuardInput& in, int desired) {
  constexpr int kWindows = 8;
  const int64_t surplus = in.summary.effective - Kept(in, desired);
  const absl::Duration left = kWindows * in.policy.nodes.stabilization - in.state.scale.idle;
  if (surplus <= 0 || left <= absl::ZeroDuration()) return {};
  // A signal that only steps does not know how many are too many, and goes slowly anyhow.
  if (in.wanted > std::ceil(in.counted - 1e-9)) return {};
  const absl::Duration remaining = absl::Ceil(left / (surplus * surplus), absl::Minutes(1));
  return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardIdle, surplus, remaining));
}

// What is paid anyway may as well serve. What was there before stays longer than what Headroom launched, so it does not
// leave in its stead.
Bound Paid(const GuardInput& in, int desired) {
  const absl::Duration paid_min = in.policy.nodes.paid_min;
  if (paid_min <= absl::ZeroDuration() || desired >= in.summary.effective) return {};
  int launched = 0, unpaid = 0;
  for (const auto& [id, node] : in.state.fleet.nodes()) {
    if (node.state != NodeState::kServing || node.launched_at == absl::InfinitePast()) continue;
    if (node.pinned || !node.Can("drain")) continue;
    ++launched;
    if (!node.IsPaidOut(in.now, paid_min)) ++unpaid;
  }
  if (unpaid == 0) return {};
  return AtLeast(in.summary.effective - (launched - unpaid), MakeReason(ReasonCode::kGuardPaid, unpaid, paid_min));
}

// Would the smaller fleet want to grow again at once? Then do not shrink to it: a tenth of slack, where no forecast can
// tell better.
Bound Projection(const GuardInput& in, int desired) {
  if (LikelyNeed(in).has_value()) return {};
  constexpr double kSlack = 1.1;
  const int enough = static_cast<int>(std::ceil(in.counted * kSlack));
  const int at_least = std::min(enough, in.summary.effective);
  const double target = in.policy.connections.target_ratio;
  const double position = in.counted * target / std::max(1, desired);
  return AtLeast(at_least, MakeReason(ReasonCode::kGuardProjection, desired, position, target));
}

// Nodes that have just joined serve what they have received, and the others carry the rest. Those that receive are work
// in flight, as machines that boot are: they keep others from leaving. For those that receive nothing others are asked
// for, but only as long as they are few: more would not receive anything either.
Bound Unfilled(const GuardInput& in, int) {
  const DataLack& lack = in.summary.lack;
  if (lack.nodes == 0) return {};
  const int kept = std::min(in.summary.effective, static_cast<int>(std::ceil(in.counted + lack.missing)));
  const bool in_vain = lack.starved >= in.policy.nodes.launch_failures_max;
  const int grown = lack.starved == 0 || in_vain ? 0 : static_cast<int>(std::ceil(in.counted + lack.starving));
  const int needed = std::max(kept, grown);
  return AtLeast(needed, MakeReason(ReasonCode::kGuardUnfilled, lack.nodes, lack.missing, needed));
}

// Projection of bytes: what is stored has to fit on the nodes that remain.
Bound Fits(const GuardInput& in, int) {
  constexpr double kFullRatio = 0.85;
  const FleetSummary& summary = in.summary;
  if (in.policy.nodes.data != DataPlacement::kBearing || summary.capacity_bytes <= 0) return {};
  const double target = in.policy.stored.target_ratio > 0 ? in.policy.stored.target_ratio : kFullRatio;
  const auto set = static_cast<double>(in.policy.stored.bytes_per_node);
  const double per_node = set > 0 ? set : summary.capacity_bytes / summary.storing;
  const int nodes = static_cast<int>(std::ceil(std::min(summary.stored_bytes / (per_node * target), 1e6)));
  return AtLeast(std::min(summary.effective, nodes), MakeReason(ReasonCode::kGuardFits, summary.stored_bytes, nodes));
}

// What is there already, and what only has to be taken back from its drain: no launch stands behind it.
int WithinReach(const GuardInput& in) {
  return in.summary.effective + in.summary.returnable;
}

// Back to what has served lately is no step into the unknown: however wrong a signal may be, that many were right once.
Bound Step(const GuardInput& in, int) {
  const ScaleMemory& scale = in.state.scale;
  const absl::Duration lead = in.state.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  const bool running = in.now - scale.step_began_at < lead;
  const int base = std::max(1, running ? scale.step_base : in.summary.effective);
  const int served = static_cast<int>(scale.served.Max(in.now, ScaleMemory::kServedWindow));
  const int grown = static_cast<int>(std::ceil(base * in.policy.nodes.growth_ratio_max));
  const int most = std::max({base + 1, grown, served});
  return AtMost(std::max(most, WithinReach(in)), MakeReason(ReasonCode::kGuardStep, most, lead));
}

// The part of the fleet whose load the others can take above their targets, were all signals wrong: by the signal in
// use that leaves them the least room, and within a tenth and three.
double RoomAbove(const Policy& policy) {
  constexpr double kLeast = 0.1, kMost = 0.3;
  double room = kMost;
  const auto leave = [&room](double target) { room = std::min(room, 1 - target); };
  if (policy.connections.enabled) leave(policy.connections.target_ratio);
  if (policy.in_flight.per_node_count > 0) leave(policy.in_flight.target_ratio);
  if (policy.throughput.bytes_per_second_per_node > 0) leave(policy.throughput.target_ratio);
  return std::max(room, kLeast);
}

Bound RemoveStep(const GuardInput& in, int) {
  constexpr double kRounding = 1e-9;
  const int leaving = in.summary.Leaving();
  const int set = in.policy.nodes.remove_count_max;
  const int carried = static_cast<int>((in.summary.effective + leaving) * RoomAbove(in.policy) + kRounding);
  const int most = set > 0 ? set : std::max(1, carried);
  return AtLeast(in.summary.effective - std::max(0, most - leaving), MakeReason(ReasonCode::kGuardRemoveStep, most));
}

// While servers restart, the others carry their load for a moment; that is no growth, and no time to remove one.
Bound Restarting(const GuardInput& in, int) {
  if (in.summary.restarting == 0) return {};
  Reason reason = MakeReason(ReasonCode::kGuardRestarting, in.summary.restarting);
  const bool short_of_slots = in.summary.rejected > 0 || in.summary.waiting > 0 || in.summary.at_limit > 0;
  Verdict verdict = AtLeast(in.summary.effective, std::move(reason));
  if (!short_of_slots) verdict.at_most = WithinReach(in);
  return verdict;
}

// A rolling update may start each new server before it stops the old one: the two are one node.
Bound RollingUpdate(const GuardInput& in, int) {
  if (in.summary.newcomers == 0) return {};
  return AtLeast(in.summary.effective,
                 MakeReason(ReasonCode::kGuardNewcomers, in.summary.newcomers, in.policy.nodes.restart_grace));
}

// The ratchet breaker: asked for, and nothing arrived.
Bound Backoff(const GuardInput& in, int) {
  const LaunchFailures& failures = in.state.fleet.launch_failures();
  if (failures.in_a_row < in.policy.nodes.launch_failures_max) return {};
  constexpr int kDoublingsMax = 5;
  const int doublings = std::min(failures.in_a_row - in.policy.nodes.launch_failures_max, kDoublingsMax);
  const absl::Duration left = failures.last_at + in.policy.nodes.launch_backoff * (1 << doublings) - in.now;
  if (left <= absl::ZeroDuration()) return {};
  return AtMost(WithinReach(in), MakeReason(ReasonCode::kGuardBackoff, failures.in_a_row, left));
}

// Nodes were asked for again and again, and since the oldest of those that are under way nothing has come: more would
// not come either. Limits carry on, and whatever arrives lets growth go on.
Bound Ratchet(const GuardInput& in, int) {
  constexpr double kLeads = 2;
  const absl::Duration lead = in.state.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  const absl::Duration waited = in.now - in.summary.asked_at;
  const bool in_vain = waited > kLeads * lead && in.state.fleet.arrived_at() < in.summary.asked_at;
  if (in.summary.asked < in.policy.nodes.launch_failures_max || !in_vain) return {};
  return AtMost(WithinReach(in),
                MakeReason(ReasonCode::kGuardRatchet, in.summary.asked, absl::Floor(waited, absl::Minutes(1))));
}

Bound JournalFailing(const GuardInput& in, int) {
  if (in.state.journal_error.empty()) return {};
  return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardJournal, in.state.journal_error));
}

// Data-bearing nodes leave only through a driver that evacuates; without one, removal is recommended and never done.
Bound Bearing(const GuardInput& in, int) {
  if (in.policy.nodes.data != DataPlacement::kBearing) return {};
  return AtLeast(in.summary.effective, MakeReason(ReasonCode::kGuardBearing));
}

// Lost nodes whose place is not filled.
int NotReplaced(const GuardInput& in) {
  return in.summary.ReportsAreLost(in.policy.control) ? in.summary.lost : 0;
}

Bound DataFloor(const GuardInput& in, int) {
  if (in.policy.nodes.data_floor == 0) return {};
  return AtLeast(in.policy.nodes.data_floor - NotReplaced(in),
                 MakeReason(ReasonCode::kGuardData, in.policy.nodes.data_floor));
}

Bound Minimum(const GuardInput& in, int) {
  const Bounds bounds = EffectiveBounds(in.state, in.policy, in.now);
  return AtLeast(bounds.min - NotReplaced(in), MakeReason(ReasonCode::kGuardMin, bounds.min));
}

// A node that serves is not given up for one that is still to come, or to be heard after a restart of the controller:
// that one may never serve, or no more.
Bound Coming(const GuardInput& in, int desired) {
  const int heard = in.summary.serving - in.summary.unheard;
  const int may_go = std::max(0, heard - desired);
  if (desired >= in.summary.effective - may_go) return {};
  return AtLeast(in.summary.effective - may_go, MakeReason(ReasonCode::kGuardComing, in.summary.effective - heard));
}

Bound Maximum(const GuardInput& in, int) {
  const Bounds bounds = EffectiveBounds(in.state, in.policy, in.now);
  // Above max on arrival: hold and say so. Somebody put those nodes there.
  if (in.summary.effective > bounds.max) {
    return AtMost(in.summary.effective, MakeReason(ReasonCode::kGuardAboveMax, in.summary.effective, bounds.max));
  }
  // Machines that are there count, whether they speak to us or not.
  const int room = std::max(bounds.max - in.summary.absent, in.summary.effective);
  return AtMost(room, MakeReason(ReasonCode::kGuardMax, bounds.max, in.wanted));
}

// A number that an operator set is walked only through the guards of safety.
enum class GuardKind { kAdvice, kSafety };
struct Guard {
  const char* name;
  Bound (*check)(const GuardInput& in, int desired);
  GuardKind kind = GuardKind::kSafety;
};

// Order = priority, lowest first. The bounds of safety stand last.
constexpr std::array<Guard, 7> kNeeds = {{
    {"override", Override},
    {"projection", Projection, GuardKind::kAdvice},
    {"unfilled", Unfilled, GuardKind::kAdvice},
    {"fits", Fits},
    {"stabilization", Stabilization, GuardKind::kAdvice},
    {"forecast", ForecastKeeps, GuardKind::kAdvice},
    {"together", Together, GuardKind::kAdvice},
}};
constexpr std::array<Guard, 21> kGuards = {{
    {"warm", Warm, GuardKind::kAdvice},
    {"cooldown", Cooldown, GuardKind::kAdvice},
    {"trouble", Trouble},
    {"anomaly", Anomaly},
    {"unknown_signal", UnknownSignal},
    {"reports_lost", ReportsLost},
    {"paid", Paid, GuardKind::kAdvice},
    {"idle", Idle, GuardKind::kAdvice},
    {"remove_step", RemoveStep},
    {"growth_step", Step},
    {"restarting", Restarting},
    {"rolling_update", RollingUpdate},
    {"backoff", Backoff},
    {"ratchet", Ratchet},
    {"journal", JournalFailing},
    {"bearing", Bearing},
    {"hold", Hold},
    {"data_floor", DataFloor},
    {"min", Minimum},
    {"coming", Coming},
    {"max", Maximum},
}};

void Walk(const char* name, Bound bound, int& desired, std::vector<Verdict>& verdicts) {
  if (!bound.has_value()) return;
  bound->guard = name;
  bound->before = desired;
  if (bound->at_least.has_value()) desired = std::max(desired, *bound->at_least);
  if (bound->at_most.has_value()) desired = std::min(desired, *bound->at_most);
  bound->after = desired;
  if (bound->after != bound->before) verdicts.push_back(*std::move(bound));
}

template <size_t count>
void WalkAll(const std::array<Guard, count>& guards, const GuardInput& in, int& desired,
             std::vector<Verdict>& verdicts) {
  const auto& set = in.state.override_set;
  const bool pinned_by_operator = set.has_value() && set->until > in.now && set->nodes > 0;
  for (const Guard& guard : guards) {
    if (pinned_by_operator && guard.kind == GuardKind::kAdvice) continue;
    Walk(guard.name, guard.check(in, desired), desired, verdicts);
  }
}

}  // namespace

Bounds EffectiveBounds(const State& state, const Policy& policy, absl::Time now) {
  Bounds bounds{policy.nodes.min, policy.nodes.max};
  const auto& set = state.override_set;
  if (set.has_value() && set->until > now) {
    if (set->nodes_min > 0) bounds.min = set->nodes_min;
    if (set->nodes_max > 0) bounds.max = set->nodes_max;
  }
  bounds.min = std::min(bounds.min, bounds.max);
  return bounds;
}

int Kept(const GuardInput& in, int needed) {
  for (const Bound& bound : {DataFloor(in, needed), Minimum(in, needed)}) {
    if (bound.has_value()) needed = std::max(needed, bound->at_least.value_or(needed));
  }
  return needed;
}

bool IsBelievable(const GuardInput& in) {
  const int any = in.summary.effective;
  return !UnknownSignal(in, any).has_value() && !Trouble(in, any).has_value() && !Anomaly(in, any).has_value() &&
         !ReportsLost(in, any).has_value();
}

int ApplyNeeds(const GuardInput& in, std::vector<Verdict>& verdicts) {
  int needed = in.wanted;
  WalkAll(kNeeds, in, needed, verdicts);
  return needed;
}

int ApplyGuards(const GuardInput& in, int needed, std::vector<Verdict>& verdicts) {
  WalkAll(kGuards, in, needed, verdicts);
  return needed;
}

bool HeldUp(const State& state, absl::Time now) {
  return ActiveHold(state, now, HoldDirection::kUp) != nullptr;
}
bool HeldDown(const State& state, absl::Time now) {
  return ActiveHold(state, now, HoldDirection::kDown) != nullptr;
}

}  // namespace headroom
