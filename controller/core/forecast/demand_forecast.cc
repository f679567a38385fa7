#include "controller/core/forecast/demand_forecast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace headroom::forecast {
namespace {

constexpr absl::Duration kShortStep = absl::Minutes(1), kLongStep = absl::Minutes(5);
constexpr absl::Duration kShortLeadMax = absl::Minutes(10);
constexpr int kSamples = 12;
constexpr int64_t kFreshSlots = 3;
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
  samples_.clear();
}

void DemandForecast::Observe(absl::Time now, std::optional<double> demand, absl::Duration lead) {
  const ForecasterOptions options = {.step = lead <= kShortLeadMax ? kShortStep : kLongStep,
                                     .horizons = {kHorizons.begin(), kHorizons.end()}};
  const bool fits = forecaster_.has_value() && forecaster_->options() == options && forecaster_->IsWhole();
  if (!fits) Begin(options);
  if (at_ != absl::InfinitePast()) Hold(now);
  at_ = now;
  demand_ = demand;
  Sample();
}

// At most kSamples a slot, however often it ticks.
void DemandForecast::Sample() {
  if (!demand_.has_value()) return;
  const absl::Duration step = forecaster_->options().step;
  const absl::Duration within = at_ - (absl::UnixEpoch() + SlotOf(at_, step) * step);
  if (within * kSamples >= step * static_cast<int64_t>(samples_.size())) samples_.push_back(*demand_);
}

void DemandForecast::Hold(absl::Time now) {
  const absl::Duration step = forecaster_->options().step;
  const absl::Time until = demand_.has_value() ? std::min(now, at_ + kHoldMax) : at_;
  const int64_t last = SlotOf(now, step);
  for (int64_t slot = SlotOf(at_, step); slot < last;) {
    const absl::Time end = absl::UnixEpoch() + (slot + 1) * step;
    Count(std::min(end, until) - at_);
    // A saved state is taken as it is, so its times may contradict each other.
    if (2 * known_ >= step && slot > forecaster_->newest_slot())
      forecaster_->Observe(slot, sum_ / absl::ToDoubleSeconds(known_), samples_);
    sum_ = 0;
    known_ = absl::ZeroDuration();
    samples_.clear();
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

// What was forecast an hour ago was not forecast for now.
bool DemandForecast::IsFresh() const {
  if (!forecaster_.has_value() || forecaster_->newest_slot() < 0) return false;
  return SlotOf(at_, forecaster_->options().step) - forecaster_->newest_slot() <= kFreshSlots;
}

int64_t DemandForecast::SlotsAhead(absl::Duration lead) const {
  const int64_t slots = SlotOf(at_ + lead, forecaster_->options().step) - forecaster_->newest_slot();
  return std::clamp(slots, kHorizons.front(), kHorizons.back());
}

std::optional<DemandForecast::Answer> DemandForecast::Highest(size_t first, size_t last, double p) const {
  Answer answer;
  for (size_t index = first; index <= last; ++index) {
    const auto forecast = forecaster_->Ahead(index);
    const std::optional<double> upper = forecast->Quantile(p);
    if (!upper.has_value()) return std::nullopt;
    if (index > first && *upper <= answer.upper) continue;
    answer = {
        .expected = forecast->expected, .upper = *upper, .ahead = (kHorizons[index] - 1) * forecaster_->options().step};
  }
  return answer;
}

absl::Duration DemandForecast::step() const {
  return forecaster_.has_value() ? forecaster_->options().step : kShortStep;
}

int64_t DemandForecast::SlotsMissing(absl::Duration lead, double p) const {
  const int64_t ahead = std::clamp<int64_t>(lead / step(), kHorizons.front(), kHorizons.back());
  const auto errors = static_cast<int64_t>(std::ceil(Residuals::kBeyond / std::min(p, 1 - p)));
  return std::max<int64_t>(0, errors + ahead - known_count());
}

std::optional<DemandForecast::Answer> DemandForecast::Ahead(absl::Duration lead, double p) const {
  if (!IsFresh()) return std::nullopt;
  const int64_t slots = SlotsAhead(lead);
  size_t last = 0;
  while (kHorizons[last] < slots) ++last;
  // Between two horizons the higher one is believed: a peak must not be met halfway.
  return Highest(kHorizons[last] == slots ? last : last - 1, last, p);
}

std::optional<DemandForecast::Answer> DemandForecast::Until(absl::Duration until, double p) const {
  if (!IsFresh()) return std::nullopt;
  size_t last = 0;
  while (kHorizons[last] < SlotsAhead(until)) ++last;
  return Highest(0, last, p);
}

}  // namespace headroom::forecast
