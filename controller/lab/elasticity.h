#pragma once

#include <optional>
#include <vector>

#include "controller/lab/simulation.h"
#include "controller/lab/task.h"

namespace headroom::lab {

// The SPEC RG Cloud metrics of a run (SPEC-RG-2016-01), over the steps that count. Demand is the number of whole nodes
// that the offered demand needs; supply is what could serve, a booting node 0, a ramping one a part.
struct Elasticity {
  double accuracy_under_percent = 0;   // mean shortage over demand
  double accuracy_over_percent = 0;    // mean excess over demand
  double timeshare_under_percent = 0;  // time with a shortage
  double timeshare_over_percent = 0;   // time with an excess
  double instability_percent = 0;      // time in which supply and demand do not change the same way
  double jitter_per_hour = 0;          // changes of supply less changes of demand; negative: calmer than demand
};

// `outcome` was recorded with its supply.
Elasticity MeasureElasticity(const Demand& demand, const Outcome& outcome);

// Of several runs; of none: zeros.
Elasticity MeanElasticity(const std::vector<Elasticity>& runs);

// The geometric mean of the ratios of the first four of `reference` over those of `run`; above 1: better than the
// reference. Nothing where one of them is zero.
std::optional<double> ElasticSpeedup(const Elasticity& run, const Elasticity& reference);

}  // namespace headroom::lab
