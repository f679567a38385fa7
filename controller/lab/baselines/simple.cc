#include "controller/lab/baselines/simple.h"

#include <algorithm>
#include <cmath>

namespace headroom::lab {
namespace {

constexpr int kLeadSteps = NodeLaw().boot_steps + NodeLaw().ramp_steps;

// unserved[n]: node-steps of scored demand above n nodes.
Series<double> UnservedAbove(const Demand& demand) {
  // above[n]: steps that need more than n whole nodes; part[n]: what of the next node those that end there need.
  Series<double> above(kNodesMax + 1), part(kNodesMax + 1);
  double beyond = 0;
  for (int step = demand.course->first_scored; step < demand.steps(); ++step) {
    const double offered = demand.offered[step];
    const int whole = static_cast<int>(std::min<double>(offered, kNodesMax));
    if (offered > kNodesMax) beyond += offered - kNodesMax;
    above[whole] += 1;
    part[whole] += offered > kNodesMax ? 0 : offered - whole;
  }
  Series<double> unserved(kNodesMax + 1);
  unserved[kNodesMax] = beyond;
  double steps_above = above[kNodesMax];
  for (int n = kNodesMax - 1; n >= 0; --n) {
    unserved[n] = unserved[n + 1] + steps_above + part[n];
    steps_above += above[n];
  }
  return unserved;
}

}  // namespace

int BestStaticNodes(const Demand& demand) {
  const Series<double> unserved = UnservedAbove(demand);
  const double scored = demand.course->scored_steps();
  int best = kNodesMin;
  for (int n = kNodesMin; n <= kNodesMax; ++n) {
    if (n * scored + kShortagePrice * unserved[n] < best * scored + kShortagePrice * unserved[best]) best = n;
  }
  return best;
}

double ForecastDemand(Forecast forecast, const Meter& meter) {
  const int now = meter.now();
  const double last = meter.Mean(now - 1, now);
  if (forecast == Forecast::kLastValue) return last;
  const double before = meter.Mean(now - 1 - kLeadSteps, now - kLeadSteps);
  return std::isnan(before) ? last : std::max(0.0, 2 * last - before);
}

ForecastCount::ForecastCount(Forecast forecast, const Setting& setting)
    : forecast_(forecast), target_(setting.target), recommendations_(Entries(setting.hold_steps, 1)) {}

int ForecastCount::Decide(const Meter& meter, const Nodes& nodes) {
  const double demand = ForecastDemand(forecast_, meter);
  if (std::isnan(demand)) return nodes.present;
  return recommendations_.Add(static_cast<int>(std::ceil(demand / target_)));
}

}  // namespace headroom::lab
