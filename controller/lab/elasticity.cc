#include "controller/lab/elasticity.h"

#include <algorithm>
#include <cmath>

#include "controller/base/check.h"

namespace headroom::lab {
namespace {

int Sign(double difference) {
  return (difference > 0 ? 1 : 0) - (difference < 0 ? 1 : 0);
}

}  // namespace

Elasticity MeasureElasticity(const Demand& demand, const Outcome& outcome) {
  const Course& course = *demand.course;
  HR_CHECK(outcome.supply.size() == course.steps);
  Elasticity sum;
  double last_needed = 0, last_supply = 0;
  for (int step = 0; step < course.steps; ++step) {
    const double needed = std::max(1.0, std::ceil(demand.offered[step]));
    const double supply = double{outcome.supply[step]};
    if (course.scored_before[step + 1] > course.scored_before[step] && step > 0) {
      sum.accuracy_under_percent += std::max(0.0, needed - supply) / needed;
      sum.accuracy_over_percent += std::max(0.0, supply - needed) / needed;
      sum.timeshare_under_percent += supply < needed ? 1 : 0;
      sum.timeshare_over_percent += supply > needed ? 1 : 0;
      sum.instability_percent += Sign(supply - last_supply) != Sign(needed - last_needed) ? 1 : 0;
      sum.jitter_per_hour += (supply != last_supply ? 1 : 0) - (needed != last_needed ? 1 : 0);
    }
    last_needed = needed, last_supply = supply;
  }
  const double scored = course.scored_steps();
  for (double* percent : {&sum.accuracy_under_percent, &sum.accuracy_over_percent, &sum.timeshare_under_percent,
                          &sum.timeshare_over_percent, &sum.instability_percent}) {
    *percent *= 100 / scored;
  }
  sum.jitter_per_hour /= scored * kHoursPerStep;
  return sum;
}

Elasticity MeanElasticity(const std::vector<Elasticity>& runs) {
  Elasticity mean;
  for (const Elasticity& run : runs) {
    const double share = 1.0 / static_cast<double>(runs.size());
    mean.accuracy_under_percent += share * run.accuracy_under_percent;
    mean.accuracy_over_percent += share * run.accuracy_over_percent;
    mean.timeshare_under_percent += share * run.timeshare_under_percent;
    mean.timeshare_over_percent += share * run.timeshare_over_percent;
    mean.instability_percent += share * run.instability_percent;
    mean.jitter_per_hour += share * run.jitter_per_hour;
  }
  return mean;
}

std::optional<double> ElasticSpeedup(const Elasticity& run, const Elasticity& reference) {
  const double better = reference.accuracy_under_percent * reference.accuracy_over_percent *
                        reference.timeshare_under_percent * reference.timeshare_over_percent;
  const double own =
      run.accuracy_under_percent * run.accuracy_over_percent * run.timeshare_under_percent * run.timeshare_over_percent;
  if (better <= 0 || own <= 0) return std::nullopt;
  return std::sqrt(std::sqrt(better / own));
}

}  // namespace headroom::lab
