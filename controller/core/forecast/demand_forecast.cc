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
constexpr double kMomentum = 0.5, kOrdinaryGrowth = 0.25;
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
  uppers_.clear();
}

void DemandForecast::Observe(absl::Time now, std::optional<double> demand, const Question& question) {
  const ForecasterOptions options = {.step = question.lead <= kShortLeadMax ? kShortStep : kLongStep,
                                     .horizons = {kHorizons.begin(), kHorizons.end()}};
  const bool fits = forecaster_.has_value() && forecaster_->options() == options && forecaster_->IsWhole();
  if (!fits) Begin(options);
  if (at_ != absl::InfinitePast()) Hold(now);
  if (uppers_.empty() || question.quantile != quantile_) Tell(question.quantile);
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
    if (2 * known_ >= step && slot > forecaster_->newest_slot()) {
      forecaster_->Observe(slot, sum_ / absl::ToDoubleSeconds(known_), samples_);
      uppers_.clear();
    }
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
  if (uppers_.empty() || forecaster_->newest_slot() < 0) return false;
  return SlotOf(at_, forecaster_->options().step) - forecaster_->newest_slot() <= kFreshSlots;
}

int64_t DemandForecast::SlotsAhead(absl::Duration lead) const {
  const int64_t slots = SlotOf(at_ + lead, forecaster_->options().step) - forecaster_->newest_slot();
  return std::clamp(slots, kHorizons.front(), kHorizons.back());
}

double DemandForecast::AskedBeyond(double quantile) {
  const double beyond = 1 - quantile;
  return std::min(2 * beyond, std::max(beyond, 0.5));
}

void DemandForecast::Tell(double quantile) {
  quantile_ = quantile;
  uppers_.clear();
  for (size_t index = 0; index < kHorizons.size(); ++index) {
    const auto forecast = forecaster_->Ahead(index);
    const std::optional<double> possible = forecast.has_value() ? forecast->Quantile(quantile) : std::nullopt;
    uppers_.emplace_back();
    if (!possible.has_value()) continue;
    const double asked = forecast->Quantile(1 - AskedBeyond(quantile)).value_or(*possible);
    uppers_.back() = {.asked = std::min(asked, *possible), .possible = *possible};
  }
}

std::optional<DemandForecast::Answer> DemandForecast::Highest(size_t first, size_t last, UpperOf upper) const {
  Answer answer;
  for (size_t index = first; index <= last; ++index) {
    if (!uppers_[index].has_value()) return std::nullopt;
    const double one = upper(index);
    if (index > first && one <= answer.upper) continue;
    answer = {.expected = forecaster_->Ahead(index)->expected,
              .upper = one,
              .ahead = (kHorizons[index] - 1) * forecaster_->options().step};
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

std::optional<DemandForecast::Answer> DemandForecast::Ahead(absl::Duration lead) const {
  if (!IsFresh()) return std::nullopt;
  const int64_t slots = SlotsAhead(lead);
  size_t last = 0;
  while (kHorizons[last] < slots) ++last;
  // Between two horizons the higher one is believed: a peak must not be met halfway.
  return Highest(kHorizons[last] == slots ? last : last - 1, last,
                 [this](size_t index) { return uppers_[index]->asked; });
}

std::optional<DemandForecast::Surprise> DemandForecast::Surprised(absl::Duration lead) const {
  if (!IsFresh() || !demand_.has_value() || !uppers_[0].has_value()) return std::nullopt;
  if (*demand_ <= uppers_[0]->possible) return std::nullopt;
  const double before = forecaster_->history().Or(SlotOf(at_ - lead, forecaster_->options().step), *demand_);
  const double growth = *demand_ - before;
  if (growth <= kOrdinaryGrowth * before) return std::nullopt;
  return Surprise{.demand = *demand_,
                  .upper = uppers_[0]->possible,
                  .growth = growth,
                  .ahead = *demand_ + kMomentum * (growth - kOrdinaryGrowth * before)};
}

std::optional<DemandForecast::Answer> DemandForecast::Until(absl::Duration until) const {
  if (!IsFresh()) return std::nullopt;
  size_t last = 0;
  while (kHorizons[last] < SlotsAhead(until)) ++last;
  return Highest(0, last, [this](size_t index) { return uppers_[index]->possible; });
}

std::optional<DemandForecast::Answer> DemandForecast::Most() const {
  if (!IsFresh()) return std::nullopt;
  const double quantile = 1 - (1 - quantile_) / 2;
  return Highest(0, kHorizons.size() - 1, [&](size_t index) {
    const double possible = uppers_[index]->possible;
    return std::max(forecaster_->Ahead(index)->Quantile(quantile).value_or(possible), possible);
  });
}

}  // namespace headroom::forecast
