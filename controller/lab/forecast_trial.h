#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/lab/slot_series.h"

// The trial of forecasts: every method forecasts every five-minute slot of a series 5, 15 and 30 minutes ahead,
// learning as it goes, and is scored on the forecasts made after the first 40 %. Slots that are not known are not
// scored.
//
// Ours is the production Forecaster of core/forecast at its step of five minutes. A rival's quantile is its forecast
// plus that quantile of its last 2,016 errors (a week), plain or divided by the root of the forecast, whichever of the
// two has the lower P95 pinball loss in hindsight.

namespace headroom::lab {

inline constexpr std::array<int, 3> kTrialHorizons = {1, 3, 6};  // in slots
inline constexpr std::array<double, 3> kTrialQuantiles = {0.5, 0.9, 0.95};
inline constexpr char kOursName[] = "headroom";
inline constexpr double kRatioMin = 1e-3;  // so that who errs by nothing on one series is not above all on all

struct MethodScore {
  std::string name;
  double wape = 0;                         // sum of |error| over the sum of values
  double wape_over_last = 0;               // relative to the last value's; NaN: that one never errs
  std::array<double, 3> pinball{};         // mean loss at kTrialQuantiles, over the mean value
  double coverage = 0;                     // share of slots at or below the P95
  std::optional<double> changed_coverage;  // ... in the days after level changes; nothing: there are none
  std::optional<double> moment_coverage;   // ours: share of moments below it, fed with moments as the core is
};

struct HorizonScores {
  absl::Duration ahead;
  std::vector<MethodScore> methods;  // ours first, then as ForecastRivals()
  const MethodScore& Of(const std::string& name) const;
};

struct ForecastScores {
  std::string name;
  std::vector<std::string> notes;
  int64_t slots = 0, scored = 0;
  std::vector<absl::Time> level_changes;  // in the scored part, see LevelChanges()
  std::vector<HorizonScores> horizons;    // in the order of kTrialHorizons
};

// Nothing: not one slot can be scored. Takes about 0.2 ms a slot.
std::optional<ForecastScores> TryForecasts(const SlotSeries& series);

struct ForecastSummary {
  absl::Duration ahead;
  struct Method {
    std::string name;
    // Geometric means over the series on which the last value errs, each ratio at least kRatioMin; NaN: there is none.
    double wape_over_last = 0;
    std::array<double, 3> pinball_over_last{};
    double coverage_min = 0, coverage_max = 0;
  };
  std::vector<Method> methods;
  int series = 0, pinball_below_ridge = 0;  // series on which our P95 pinball is below the ridge's
  int covered = 0;                          // series on which our P95 covers 93 to 97 %
  int changed = 0, changed_covered = 0;     // series with level changes; with 90 to 98 % in the days after
};
std::vector<ForecastSummary> SummariseForecasts(const std::vector<ForecastScores>& all);

// series[] = {name, slots, scored, level_changes[], horizons[] = {minutes, methods[] = {name, wape, wape_over_last,
// pinball_p50, pinball_p90, pinball_p95, coverage_p95, ...}}}, summary[], skipped[].
std::string ForecastJson(const std::vector<ForecastScores>& all, const std::vector<std::string>& skipped);

}  // namespace headroom::lab
