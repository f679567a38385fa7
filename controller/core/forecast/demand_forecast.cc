#include "controller/core/forecast/demand_forecast.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace headroom::forecast {
namespace {

constexpr absl::Duration kShortStep = absl::Minutes(1), kLongStep = absl::Minutes(5);
constexpr absl::Duration kShortLeadMax = absl::Minutes(10);
constexpr std::array<int64_t, 6> kHorizons = {1, 2, 4, 6, 9, 12};
// A demand that nobody has told anew for so long is not known to last.
constexpr absl::Duration kHoldMax = absl::Minutes(1);

int64_t SlotOf(absl::Time at, absl::Duration step) {
  absl::Duration within;
  return absl::IDivDuration(at - absl::UnixEpoch(), step, &within);
}

}  // namespace

void DemandForecast::Begin(const ForecasterOptions& options) {
  forecaster_.emplace(options);
  sum_ = 0;
  known_ = absl::ZeroDuration();
}

void DemandForecast::Observe(absl::Time now, std::optional<double> demand, absl::Duration lead) {
  const ForecasterOptions options = {.step = lead <= kShortLeadMax ? kShortStep : kLongStep,
                                     .horizons = {kHorizons.begin(), kHorizons.end()}};
  const bool fits = forecaster_.has_value() && forecaster_->options() == options && forecaster_->IsWhole();
  if (!fits) Begin(options);
  if (at_ != absl::InfinitePast()) Hold(now);
  at_ = now;
  demand_ = demand;
}

void DemandForecast::Hold(absl::Time now) {
  const absl::Duration step = forecaster_->options().step;
  const absl::Time until = demand_.has_value() ? std::min(now, at_ + kHoldMax) : at_;
  const int64_t last = SlotOf(now, step);
  for (int64_t slot = SlotOf(at_, step); slot < last;) {
    const absl::Time end = absl::UnixEpoch() + (slot + 1) * step;
    Count(std::min(end, until) - at_);
    if (2 * known_ >= step) forecaster_->Observe(slot, sum_ / absl::ToDoubleSeconds(known_));
    sum_ = 0;
    known_ = absl::ZeroDuration();
    slot = until > end ? slot + 1 : last;  // of those between nothing is known
    at_ = absl::UnixEpoch() + slot * step;
  }
  Count(until - at_);
}

void DemandForecast::Count(absl::Duration held) {
  if (held <= absl::ZeroDuration()) return;
  sum_ += demand_.value_or(0) * absl::ToDoubleSeconds(held);
  known_ += held;
}

std::optional<DemandForecast::Answer> DemandForecast::Ahead(absl::Duration lead, double p) const {
  if (!forecaster_.has_value() || forecaster_->newest_slot() < 0) return std::nullopt;
  const absl::Duration step = forecaster_->options().step;
  const int64_t slots =
      std::clamp(SlotOf(at_ + lead, step) - forecaster_->newest_slot(), kHorizons.front(), kHorizons.back());
  size_t last = 0;
  while (kHorizons[last] < slots) ++last;
  Answer answer{.ahead = lead};
  // Between two horizons the higher one is believed: a peak must not be met halfway.
  for (size_t index = kHorizons[last] == slots ? last : last - 1; index <= last; ++index) {
    const auto forecast = forecaster_->Ahead(index);
    const std::optional<double> upper = forecast->Quantile(p);
    if (!upper.has_value()) return std::nullopt;
    if (*upper < answer.upper) continue;
    answer.expected = forecast->expected;
    answer.upper = *upper;
  }
  return answer;
}

}  // namespace headroom::forecast
