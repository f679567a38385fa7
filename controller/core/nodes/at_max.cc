#include "controller/core/nodes/at_max.h"

#include <algorithm>
#include <cmath>

namespace headroom {
namespace {

constexpr absl::Duration kMarkEvery = absl::Minutes(1), kTellEvery = absl::Minutes(1), kQuiet = absl::Minutes(2);
constexpr absl::Duration kForecastMax = absl::Hours(1);
// Later than this is not "first to break" but next week's business.
constexpr absl::Duration kLeftMax = absl::Hours(24);

constexpr std::array<absl::string_view, kResources> kNames = {"connections", "throughput", "requests in flight",
                                                              "bytes stored"};

std::array<double, kResources> UsedBy(const FleetSummary& summary) {
  return {static_cast<double>(summary.demand), summary.sent_bytes + summary.received_bytes,
          static_cast<double>(summary.in_flight), summary.stored_bytes};
}

// What the fleet bears at its largest, limits raised as far as they go. 0: nobody told.
std::array<double, kResources> CapacityOf(const AtMaxInput& in) {
  const FleetSummary& summary = in.summary;
  const double nodes = std::max(in.max, summary.carrying);
  const double share = summary.carrying > 0 ? nodes / summary.carrying : 0;  // of those that are still to come
  double connections = static_cast<double>(summary.ceiling) * share;
  const auto budget = static_cast<double>(in.policy.limits.budget_count);
  if (budget > 0) connections = std::min(connections, budget);
  const auto bytes = static_cast<double>(in.policy.stored.bytes_per_node);
  double stored = 0;
  if (in.policy.stored.target_ratio > 0) stored = bytes > 0 ? nodes * bytes : summary.capacity_bytes * share;
  return {connections, nodes * static_cast<double>(in.policy.throughput.bytes_per_second_per_node),
          nodes * static_cast<double>(in.policy.in_flight.per_node_count), stored};
}

// When the forecast, as likely as not, exceeds the capacity.
absl::Duration LeftByForecast(const forecast::DemandForecast& forecast, double capacity) {
  for (const int minutes : {1, 2, 4, 6, 9, 12, 20, 30, 45, 60}) {
    const auto answer = forecast.Ahead(absl::Minutes(minutes));
    if (!answer.has_value()) break;
    if (answer->expected > capacity) return std::min(std::max(answer->ahead, absl::Minutes(1)), kForecastMax);
  }
  return absl::InfiniteDuration();
}

}  // namespace

void AtMax::Mark(absl::Time now, const Used& used) {
  if (now - marked_at_ < kMarkEvery) return;
  before_at_ = marked_at_;
  before_ = marked_;
  marked_at_ = now;
  marked_ = used;
}

Reason AtMax::Tell(const AtMaxInput& in, const Used& used) const {
  const Used capacity = CapacityOf(in);
  // Over at least a minute where there is one.
  const bool old = marked_at_ == in.now && before_at_ != absl::InfinitePast();
  const absl::Time since = old ? before_at_ : marked_at_;
  const Used& then = old ? before_ : marked_;
  const double seconds = absl::ToDoubleSeconds(in.now - since);
  size_t first = kResources, fullest = kResources;
  absl::Duration left = kLeftMax;
  for (size_t i = 0; i < kResources; ++i) {
    if (capacity[i] <= 0) continue;
    const double per_second = seconds > 0 ? (used[i] - then[i]) / seconds : 0;
    absl::Duration breaks = absl::InfiniteDuration();
    if (used[i] >= capacity[i]) breaks = absl::ZeroDuration();
    if (per_second > 0 && breaks > absl::ZeroDuration()) breaks = absl::Seconds((capacity[i] - used[i]) / per_second);
    if (i == static_cast<size_t>(Resource::kConnections) && breaks > absl::ZeroDuration())
      breaks = std::min(breaks, LeftByForecast(in.forecast, capacity[i]));
    if (breaks < left) {
      left = breaks;
      first = i;
    }
    if (fullest == kResources || used[i] * capacity[fullest] > used[fullest] * capacity[i]) fullest = i;
  }
  if (first == kResources && fullest == kResources)
    return MakeReason(ReasonCode::kAlarmAtMax, in.max, in.wanted, "", "", "", "");
  if (first == kResources) {
    return MakeReason(ReasonCode::kAlarmAtMax, in.max, in.wanted, "", "", kNames[fullest],
                      std::round(100 * used[fullest] / capacity[fullest]) / 100);
  }
  std::optional<absl::Duration> told;  // nothing: it is over
  if (left > absl::ZeroDuration())
    told = left < absl::Minutes(1) ? absl::Ceil(left, absl::Seconds(1)) : absl::Floor(left, absl::Minutes(1));
  return MakeReason(ReasonCode::kAlarmAtMax, in.max, in.wanted, kNames[first], told, "", "");
}

std::optional<Reason> AtMax::Judge(const AtMaxInput& in) {
  const Used used = UsedBy(in.summary);
  Mark(in.now, used);
  const bool binds = in.wanted > in.max, is_on = alarm_.code != ReasonCode::kNone;
  if (binds) bound_at_ = in.now;
  if (!binds && (!is_on || in.now - bound_at_ >= kQuiet)) {
    alarm_ = {};
    return std::nullopt;
  }
  if (binds && (!is_on || in.now - told_at_ >= kTellEvery)) {
    alarm_ = Tell(in, used);
    told_at_ = in.now;
  }
  return alarm_;
}

}  // namespace headroom
