#include "controller/lab/plan_limits.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "controller/lab/outlook.h"
#include "controller/lab/what_if.h"

namespace headroom::lab {
namespace {

constexpr char kStoredName[] = "bytes stored";  // it grows by what is kept, not by what is asked for

// What was used in the days that are planned on, as the what-if has it.
void MeasureUse(const Trace& trace, const WhatIf& what_if, int days, PlanLimit& limit) {
  absl::StatusOr<Imagined> imagined = Imagine(trace, *limit.outlook, what_if, days);
  if (!imagined.ok()) {
    limit.outlook->notes.push_back(absl::StrCat(limit.name, ": taken as it is: ", imagined.status().message()));
    imagined = Imagine(trace, *limit.outlook, {}, days);
  }
  if (!imagined.ok()) return;  // nothing was used
  std::optional<double> least;
  double newest = 0;
  for (const TraceSample& sample : imagined->trace.samples) {
    if (std::isnan(sample.value)) continue;
    newest = sample.value;
    least = std::min(least.value_or(sample.value), sample.value), limit.peak = std::max(limit.peak, sample.value);
  }
  limit.least = limit.name == kStoredName ? newest : least.value_or(0);
}

PlanLimit LimitOf(PlanLimit limit, const std::optional<Trace>& trace, const PlanOptions& options) {
  if (!trace.has_value()) {
    limit.cannot_tell = absl::StrCat("the input does not tell ", limit.name);
    return limit;
  }
  const bool asked_for = limit.name != kStoredName;
  limit.outlook = LookAhead(*trace, asked_for ? options.what_if.growth_per_day : std::nullopt);
  if (limit.outlook->peaks.empty()) limit.cannot_tell = "less than two days are known";
  if (limit.per_node <= 0) limit.cannot_tell = absl::StrCat("what one node carries of ", limit.name, " is not given");
  return limit;
}

// What the daily peak will ask for while the plan lasts, as far as can be told.
double PeakAhead(const Outlook& outlook, absl::Duration ahead) {
  double peak = 0;
  const auto days = static_cast<size_t>(std::ceil(absl::FDivDuration(ahead, absl::Hours(24))));
  for (size_t day = 0; day < std::min(days, outlook.peaks.size()); ++day) {
    peak = std::max(peak, outlook.peaks[day].high);
  }
  return peak;
}

void AskMost(int nodes, const std::string& of, NodeBounds& bounds) {
  if (nodes > bounds.most) bounds.most = nodes, bounds.most_of = of;
}

void AskLeast(int nodes, const std::string& of, NodeBounds& bounds) {
  if (nodes > bounds.least) bounds.least = nodes, bounds.least_of = of;
}

void AskOfPolicy(const PlanOptions& options, NodeBounds& bounds) {
  const Policy& policy = options.policies.front().policy;
  AskLeast(policy.nodes.min, "the policy's min", bounds);
  AskLeast(policy.nodes.data_floor, "the policy's data_floor", bounds);
  for (const CalendarEntry& entry : policy.calendar) {
    AskMost(entry.node_count, absl::StrCat("the policy's calendar (", entry.name, ")"), bounds);
  }
  if (options.has_max && absl::Hours(24) * bounds.told_days < options.what_if.ahead) {
    AskMost(policy.nodes.max, "the policy's max, kept since the past does not tell as far as the plan is to hold",
            bounds);
  }
}

}  // namespace

int WholeNodes(double nodes) {
  constexpr double kMost = 1e6;
  return static_cast<int>(std::min(kMost, std::ceil(nodes - 1e-9)));
}

std::vector<PlanLimit> LimitsOf(const PlanInput& input, const PlanOptions& options) {
  const Policy& policy = options.policies.front().policy;
  const double stored_target = policy.stored.target_ratio > 0 ? policy.stored.target_ratio : 1;
  PlanLimit demand = LimitOf({.name = "connections", .per_node = options.per_node}, input.demand, options);
  PlanLimit throughput = LimitOf(
      {.name = "throughput", .per_node = options.bytes_per_second_per_node, .target = policy.throughput.target_ratio},
      input.throughput, options);
  PlanLimit stored = LimitOf({.name = kStoredName, .per_node = options.bytes_per_node, .target = stored_target},
                             input.stored, options);
  if (input.throughput) MeasureUse(*input.throughput, options.what_if, options.days, throughput);
  if (input.stored) MeasureUse(*input.stored, {}, options.days, stored);
  return {std::move(demand), std::move(throughput), std::move(stored)};
}

NodeBounds BoundsOf(const std::vector<PlanLimit>& limits, const PlanOptions& options, const LoopUse& use) {
  const int zones = options.what_if.zones;
  const double left = zones > 1 ? (zones - 1.0) / zones : 1;
  const Outlook& demand = *limits.front().outlook;
  NodeBounds bounds{.most_of = limits.front().name, .told_days = static_cast<int>(demand.peaks.size())};
  const double peak = std::max(use.peak, PeakAhead(demand, options.what_if.ahead));
  AskMost(WholeNodes(peak / use.per_node / use.target / left), limits.front().name, bounds);
  if (options.per_node <= 0) return bounds;  // these nodes are relative, and those of all else are not
  for (auto limit = limits.begin() + 1; limit != limits.end(); ++limit) {
    if (!limit->outlook || limit->per_node <= 0) continue;
    const double carried = limit->per_node * limit->target;
    const double most = std::max(limit->peak, PeakAhead(*limit->outlook, options.what_if.ahead));
    AskMost(WholeNodes(most / carried / left), limit->name, bounds);
    AskLeast(WholeNodes(limit->least / carried), limit->name, bounds);
    bounds.told_days = std::min(bounds.told_days, static_cast<int>(limit->outlook->peaks.size()));
  }
  AskOfPolicy(options, bounds);
  AskMost(bounds.least, bounds.least_of, bounds);
  return bounds;
}

void FillBreaks(const PlanOptions& options, int recommended_max, std::vector<PlanLimit>& limits) {
  const int nodes = options.has_max ? options.policies.front().policy.nodes.max : recommended_max;
  for (PlanLimit& limit : limits) {
    limit.nodes = nodes, limit.capacity = nodes * limit.per_node, limit.recommended_nodes = recommended_max;
    if (!limit.cannot_tell.empty()) continue;
    limit.until = DaysUntil(*limit.outlook, limit.capacity);
    limit.recommended_until = DaysUntil(*limit.outlook, recommended_max * limit.per_node);
  }
}

}  // namespace headroom::lab
