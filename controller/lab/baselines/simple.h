#pragma once

#include "controller/lab/baselines/setting.h"
#include "controller/lab/baselines/sliding.h"
#include "controller/lab/rival.h"

// What needs no product: one count for ever, and the plainest forecasts.

namespace headroom::lab {

// The static count of least cost, known in hindsight. O(steps).
int BestStaticNodes(const Demand& demand);

// StaticCount: always the same.
class StaticCount final : public Rival {
 public:
  explicit StaticCount(const Setting& setting) : nodes_(setting.nodes) {}
  int period_steps() const override { return StepsOf(3600); }
  int Decide(const Meter&, const Nodes&) override { return nodes_; }

 private:
  const int nodes_;
};

// The demand of the next lead time (boot and ramp): as now, or as far on as it went in the last lead time.
enum class Forecast { kLastValue, kSlope };
double ForecastDemand(Forecast forecast, const Meter& meter);

// ForecastCount: ceil(forecast / target), the largest of the hold time. It sees the last step's demand without delay
// and decides each 5 s.
class ForecastCount final : public Rival {
 public:
  ForecastCount(Forecast forecast, const Setting& setting);
  int period_steps() const override { return 1; }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr int kHoldSteps = StepsOf(300);

 private:
  const Forecast forecast_;
  const double target_;
  SlidingMax recommendations_;
};

}  // namespace headroom::lab
