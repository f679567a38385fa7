#include "controller/core/limits/law.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace headroom {
namespace {

int64_t Demand(const LimitInputs& inputs) {
  return inputs.open_count + inputs.waiting_count;
}

// Demand where it will be before the next report can be answered. Only growth is projected: a falling slope must not
// hide demand that is there.
int64_t ProjectedDemand(const LimitPolicy& policy, const LimitInputs& inputs) {
  const double growth = std::max(0.0, inputs.open_slope_per_second) * absl::ToDoubleSeconds(policy.look_ahead);
  // Never more than doubled by a slope: a burst of two reports is no trend.
  return Demand(inputs) + std::min<int64_t>(static_cast<int64_t>(growth), Demand(inputs));
}

double Utilization(const LimitInputs& inputs, int64_t limit) {
  return limit <= 0 ? 0 : static_cast<double>(Demand(inputs)) / static_cast<double>(limit);
}

int64_t Scaled(int64_t count, double ratio) {
  return static_cast<int64_t>(std::ceil(static_cast<double>(count) * ratio));
}

int64_t SafeLow(const LimitPolicy& policy, const LimitInputs& inputs) {
  const int64_t active = std::max(inputs.active_count, inputs.active_peak_count);
  return std::max(policy.floor_count, active + policy.reserve_count);
}

absl::Duration IdleTimeout(const LimitPolicy& policy, const LimitInputs& inputs, double utilization) {
  const absl::Duration longest = inputs.configured_idle_timeout;
  if (longest <= policy.idle_timeout_min) return longest;
  const double pressure =
      std::clamp((utilization - policy.raise_at_ratio) / std::max(1e-9, 1.0 - policy.raise_at_ratio), 0.0, 1.0);
  if (pressure <= 0) return longest;
  return absl::Trunc(longest - (longest - policy.idle_timeout_min) * pressure, absl::Milliseconds(100));
}

void Remember(LimitMemory& memory, int64_t limit, absl::Time now) {
  memory.limit_count = limit;
  memory.changed_at = now;
}

// Less work is done by no fewer requests in service (with fewer it is clients who ask for less), and by more than
// counting alone explains: the difference of two Poisson rates over the same time has the variance of their sum.
bool LostGoodput(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory) {
  constexpr double kSigmas = 3;
  const double before = memory.watch_goodput_per_second, now = inputs.goodput_per_second;
  const double chance = kSigmas * std::sqrt((before + now) / std::max(1.0, inputs.goodput_seconds));
  return inputs.active_count >= memory.watch_active_count && now < policy.watch_goodput_ratio_min * before &&
         before - now > chance;
}

bool RaiseWentBad(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory) {
  if (inputs.open_count <= memory.watch_from_count) return false;  // the new room is not in use, so it is not the cause
  const bool less_work = LostGoodput(policy, inputs, memory);
  const bool slower =
      inputs.latency_p50.has_value() && memory.watch_latency > absl::ZeroDuration() &&
      *inputs.latency_p50 > policy.watch_latency_ratio_max * memory.watch_latency + policy.latency_slack;
  return less_work || slower;
}

// Judges a raise that is being watched. True when it must be taken back.
bool JudgeWatch(const LimitPolicy& policy, const LimitInputs& inputs, LimitMemory& memory, absl::Time now) {
  if (memory.watch_from_count == 0) return false;
  if (now - memory.changed_at > policy.watch) {
    memory.watch_from_count = 0;
    return false;
  }
  if (!inputs.health_is_new || now - memory.watch_since < policy.watch_settle) return false;
  memory.watch_bad_count = RaiseWentBad(policy, inputs, memory) ? memory.watch_bad_count + 1 : 0;
  return memory.watch_bad_count >= 2;
}

void BeginWatch(const LimitInputs& inputs, LimitMemory& memory, absl::Time now) {
  // Raises that follow each other are one raise: it is held against what was before the first of them.
  if (memory.watch_from_count == 0) {
    memory.watch_from_count = std::max(memory.limit_count, inputs.configured_count);
    memory.watch_goodput_per_second = inputs.goodput_per_second;
    memory.watch_active_count = inputs.active_count;
    memory.watch_latency = inputs.latency_p50.value_or(absl::ZeroDuration());
    memory.watch_since = now;
    memory.watch_bad_count = 0;
  }
}

struct Step {
  int64_t limit;
  LimitCause cause;
};

Step RollBack(const LimitPolicy& policy, const LimitInputs& inputs, LimitMemory& memory, absl::Time now) {
  memory.bad_count = memory.limit_count;
  memory.bad_since = now;
  const int64_t back = std::max(memory.watch_from_count, SafeLow(policy, inputs));
  memory.watch_from_count = 0;
  memory.watch_bad_count = 0;
  return {std::min(back, memory.limit_count), LimitCause::kRollBack};
}

Step Raise(const LimitPolicy& policy, const LimitInputs& inputs, int64_t limit, const CeilingAnswer& ceiling) {
  // A raise is worth a grant: a rising demand must not be followed by a hundred small ones.
  const int64_t tenth = limit / 10;
  const int64_t wanted = std::max({limit + policy.reserve_count, limit + tenth,
                                   Scaled(ProjectedDemand(policy, inputs), 1 + policy.headroom_ratio)});
  const int64_t stepped = std::min(wanted, Scaled(limit, policy.step_ratio_max));
  const int64_t raised = std::min(stepped, std::max(ceiling.count, limit));
  return {raised, raised > limit ? LimitCause::kDemand : LimitCause::kCeiling};
}

constexpr absl::Duration kCutSettle = absl::Seconds(2);  // from one change of the limit to a cut

Step Cut(const LimitPolicy& policy, const LimitInputs& inputs, int64_t limit) {
  const int64_t cut =
      std::max(SafeLow(policy, inputs), static_cast<int64_t>(static_cast<double>(limit) * policy.cut_ratio));
  return {std::min(limit, cut), LimitCause::kCutUnhealthy};
}

// Would the configured limit do? With a tenth of slack, so that going home is not followed by a raise.
bool FitsAtHome(const LimitPolicy& policy, const LimitInputs& inputs, double slack) {
  return static_cast<double>(inputs.open_peak_count) <=
         slack * policy.raise_at_ratio * static_cast<double>(inputs.configured_count);
}

// One step back, by half-life since the last change, in steps of at least 5 % so that a grant is worth sending.
Step Decay(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory, absl::Time now) {
  const int64_t limit = memory.limit_count;
  // Home is the configured limit where the recent peak fits into it, else room above that peak.
  const int64_t room = FitsAtHome(policy, inputs, 1.0) ? inputs.configured_count
                                                       : Scaled(inputs.open_peak_count, policy.decay_peak_ratio);
  const int64_t home = std::max({inputs.configured_count, SafeLow(policy, inputs), room});
  if (limit <= home) return {limit, LimitCause::kSteady};
  const absl::Time since = std::max(memory.changed_at, memory.calm_since + policy.decay_after);
  const double halvings = absl::FDivDuration(now - since, policy.decay_half_life);
  const int64_t decayed = std::max(home, Scaled(limit, std::exp2(-std::min(halvings, 8.0))));
  const bool worth =
      limit - decayed >= std::max<int64_t>(4, limit / 20) || (decayed == home && home == inputs.configured_count);
  return worth ? Step{decayed, LimitCause::kDecay} : Step{limit, LimitCause::kSteady};
}

// Calm: the limit is twice what is used, or the configured one would do.
bool IsCalm(const LimitPolicy& policy, const LimitInputs& inputs, LimitMemory& memory, absl::Time now) {
  const bool roomy = Utilization(inputs, memory.limit_count) < policy.decay_at_ratio;
  const bool needless = memory.limit_count > inputs.configured_count && FitsAtHome(policy, inputs, 0.9);
  if (!roomy && !needless) {
    memory.calm_since = absl::InfinitePast();
    return false;
  }
  if (memory.calm_since == absl::InfinitePast()) memory.calm_since = now;
  return now - memory.calm_since >= policy.decay_after;
}

Step Decide(const LimitPolicy& policy, const LimitInputs& inputs, LimitMemory& memory, absl::Time now) {
  const int64_t limit = memory.limit_count;
  const double utilization = Utilization(inputs, limit);
  const bool calm = IsCalm(policy, inputs, memory, now);
  const std::optional<LimitCause> veto = HealthVeto(policy, inputs);
  if (inputs.health_is_new) memory.unhealthy_count = veto.has_value() ? memory.unhealthy_count + 1 : 0;
  if (JudgeWatch(policy, inputs, memory, now)) return RollBack(policy, inputs, memory, now);

  const CeilingAnswer ceiling = LowestCeiling(policy, inputs, memory, now);
  const double projected = static_cast<double>(ProjectedDemand(policy, inputs));
  // Those that wait are part of the demand; beside free slots it is not slots that they wait for.
  const bool needs_room = projected > policy.raise_at_ratio * static_cast<double>(limit);
  if (veto.has_value()) {
    // A cut bites only where the limit is what lets the work in; an idle node keeps its tested size.
    // What confirms a cut is a report of its own and says nothing yet of what the cut did.
    const bool settled = now - memory.changed_at >= kCutSettle;
    const bool lasts = inputs.health_is_new && settled && memory.unhealthy_count >= policy.unhealthy_steps;
    if (lasts && utilization > policy.decay_at_ratio) return Cut(policy, inputs, limit);
    return {limit, needs_room ? *veto : LimitCause::kSteady};
  }
  if (needs_room && memory.watch_bad_count > 0) return {limit, LimitCause::kSteady};  // the last raise is on trial
  if (needs_room) return Raise(policy, inputs, limit, ceiling);
  if (limit < inputs.configured_count) {
    return {
        std::min({inputs.configured_count, Scaled(limit, 1 + policy.headroom_ratio), std::max(ceiling.count, limit)}),
        LimitCause::kRestore};
  }
  if (calm) return Decay(policy, inputs, memory, now);
  return {limit, LimitCause::kSteady};
}

// Pressure is judged against the room that the limit gives: a raise that suffices needs no haste with idle ones.
void SetLimit(const LimitPolicy& policy, const LimitInputs& inputs, int64_t limit, LimitAnswer& answer) {
  answer.limit_count = limit;
  answer.utilization_ratio = Utilization(inputs, limit);
  answer.idle_timeout = IdleTimeout(policy, inputs, answer.utilization_ratio);
}

LimitAnswer Answer(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory, const Step& step,
                   absl::Time now) {
  const CeilingAnswer ceiling = LowestCeiling(policy, inputs, memory, now);
  LimitAnswer answer;
  SetLimit(policy, inputs, step.limit, answer);
  answer.projected_count = ProjectedDemand(policy, inputs);
  answer.cause = step.cause;
  answer.ceiling_count = ceiling.count;
  if (step.limit >= ceiling.count) answer.bound_by = ceiling.name;
  return answer;
}

}  // namespace

CeilingAnswer LowestCeiling(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory,
                            absl::Time now) {
  CeilingAnswer lowest{policy.ceiling_count, Ceiling::kOperator};
  const auto consider = [&lowest](std::optional<int64_t> count, Ceiling name) {
    if (count.has_value() && *count < lowest.count) lowest = {*count, name};
  };
  consider(inputs.fd_count_max, Ceiling::kFds);
  consider(inputs.memory_count_max, Ceiling::kMemory);
  consider(inputs.knee_count_max, Ceiling::kKnee);
  if (memory.bad_count > 0 && now - memory.bad_since < policy.bad_memory) {
    const auto below = static_cast<int64_t>(static_cast<double>(memory.bad_count) * policy.cut_ratio);
    consider(std::max(below, inputs.configured_count), Ceiling::kTriedAndBad);
  }
  return lowest;
}

std::optional<LimitCause> HealthVeto(const LimitPolicy& policy, const LimitInputs& inputs) {
  if (inputs.latency_p50.has_value() && inputs.latency_baseline.has_value() &&
      *inputs.latency_p50 > *inputs.latency_baseline + policy.latency_slack &&  // as most are not: spares arithmetic
      *inputs.latency_p50 > policy.latency_ratio_max * *inputs.latency_baseline + policy.latency_slack) {
    return LimitCause::kVetoLatency;
  }
  if (inputs.memory_full_ratio.value_or(0) > policy.memory_full_ratio_max) return LimitCause::kVetoMemory;
  if (inputs.io_full_ratio.value_or(0) > policy.io_full_ratio_max) return LimitCause::kVetoIo;
  if (inputs.work_throughput_correlation.value_or(1) < kPlateauCorrelation) return LimitCause::kVetoPlateau;
  return std::nullopt;
}

LimitAnswer NextLimit(const LimitPolicy& policy, const LimitInputs& inputs, LimitMemory& memory, absl::Time now) {
  const int64_t before = memory.limit_count;
  const Step step = Decide(policy, inputs, memory, now);
  // Up to its configured limit a node is on tested ground: only beyond it a raise is a trial.
  const bool tries = step.cause == LimitCause::kDemand && step.limit > std::max(before, inputs.configured_count);
  if (tries) BeginWatch(inputs, memory, now);
  if (step.limit != before) Remember(memory, step.limit, now);
  memory.wanted_count = step.limit;
  memory.cause = step.cause;
  return Answer(policy, inputs, memory, step, now);
}

LimitAnswer Overruled(const LimitPolicy& policy, const LimitInputs& inputs, LimitAnswer answer, int64_t limit_count) {
  SetLimit(policy, inputs, limit_count, answer);
  return answer;
}

LimitAnswer KeepLimit(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory, absl::Time now) {
  const bool lasts = memory.cause >= LimitCause::kCeiling && memory.cause <= LimitCause::kVetoPlateau;
  const int64_t wanted = std::max(memory.wanted_count, memory.limit_count);
  const LimitCause otherwise = wanted > memory.limit_count ? LimitCause::kDemand : LimitCause::kSteady;
  return Answer(policy, inputs, memory, {wanted, lasts ? memory.cause : otherwise}, now);
}

absl::string_view CeilingName(Ceiling ceiling) {
  static constexpr std::array<absl::string_view, 8> kNames = {"none", "operator", "fds",    "memory",
                                                              "knee", "bad",      "budget", "lease"};
  return kNames[static_cast<size_t>(ceiling)];
}

absl::string_view LimitCauseName(LimitCause cause) {
  static constexpr std::array<absl::string_view, 11> kNames = {
      "steady",       "demand",        "ceiling", "veto_latency", "veto_memory", "veto_io",
      "veto_plateau", "cut_unhealthy", "restore", "decay",        "roll_back"};
  return kNames[static_cast<size_t>(cause)];
}

}  // namespace headroom
