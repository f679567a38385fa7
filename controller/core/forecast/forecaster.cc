#include "controller/core/forecast/forecaster.h"

#include <algorithm>
#include <cstddef>

#include "controller/base/check.h"
#include "controller/core/forecast/season.h"

namespace headroom::forecast {
namespace {

constexpr int64_t kHistoryDays = 9;  // a week, and what lies beside
constexpr double kLevelDays = 2;
constexpr double kLevelMin = 1e-9;
constexpr int64_t kSeasonsPerDay = 2;  // how often the season is looked for

}  // namespace

Forecaster::Forecaster(const ForecasterOptions& options)
    : options_(options), slots_{.per_day = absl::Hours(24) / options.step}, history_(kHistoryDays * slots_.per_day) {
  HR_CHECK(options_.step * slots_.per_day == absl::Hours(24));
  for (const int64_t ahead : options_.horizons) {
    HR_CHECK(ahead > 0);
    horizons_.emplace_back(slots_, ahead);
  }
}

void Forecaster::Observe(int64_t slot, double value, const std::vector<double>& samples) {
  HR_CHECK(slot > history_.newest() && value >= 0);
  history_.Add(slot, value);
  ++known_count_;
  const double share =
      std::max(1.0 / static_cast<double>(known_count_), 1 / (kLevelDays * static_cast<double>(slots_.per_day)));
  level_ += share * (value - level_);
  const int64_t asked = slot / std::max<int64_t>(1, slots_.per_day / kSeasonsPerDay);
  if (asked != season_asked_) season_ = FindSeason(history_, slots_.per_day);
  season_asked_ = asked;
  const Horizon::Now now{history_, season_, std::max(level_, kLevelMin), samples};
  for (Horizon& horizon : horizons_) horizon.Observe(now);
}

bool Forecaster::IsWhole() const {
  return history_.size() == kHistoryDays * slots_.per_day && options_.step * slots_.per_day == absl::Hours(24) &&
         horizons_.size() == options_.horizons.size() &&
         std::all_of(horizons_.begin(), horizons_.end(), [](const Horizon& one) { return one.IsWhole(); });
}

std::optional<Forecaster::Forecast> Forecaster::Ahead(size_t index) const {
  if (history_.newest() < 0) return std::nullopt;
  const Horizon& horizon = horizons_[index];
  return Forecast{.expected = horizon.expected(), .horizon = &horizon};
}

}  // namespace headroom::forecast
