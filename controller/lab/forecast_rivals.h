#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace headroom::lab {

// PointForecast: a way to forecast a series of five-minute slots, one slot after the other. Single-threaded.
class PointForecast {
 public:
  virtual ~PointForecast() = default;
  // The next slot; a slot that is not known comes as the last that was.
  virtual void Observe(double value) = 0;
  // Of the slot `ahead` after the newest; one of the horizons that it was made for.
  virtual double Predict(int ahead) const = 0;
};

struct ForecastRival {
  std::string name;
  std::function<std::unique_ptr<PointForecast>(const std::vector<int>& horizons)> make;
};

inline constexpr char kLastValueName[] = "last_value";
inline constexpr char kRidgeName[] = "ridge";

// What our forecaster is held against:
//   last_value
//   seasonal_naive  the same slot yesterday
//   holt_winters    additive, level 0.3, season 0.2, period of a day
//   crane_dsp       crane.h
//   ridge           a recursive least squares for each horizon, forgetting 0.9998, over a constant, the last ten
//                   values, the target's slot yesterday with its neighbours, two days and a week ago, the present slot
//                   yesterday and a week ago, and the medians of both slots over seven days
std::vector<ForecastRival> ForecastRivals();

}  // namespace headroom::lab
