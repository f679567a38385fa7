#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controller/lab/baselines/rivals.h"
#include "controller/lab/elasticity.h"
#include "controller/lab/simulation.h"
#include "controller/lab/task.h"

// The comparison: every policy on the standard task, each rival tuned per trace for its lowest cost.
// Tuning and scoring use the same three seeds, so a rival's setting is the best of its grid in hindsight. All numbers
// are means over the seeds.

namespace headroom::lab {

struct PolicyResult {
  std::string name;
  Standing standing = Standing::kRival;
  std::string setting;
  double cost = 0;
  double cost_over_optimum = 0;
  double unserved_ratio = 0;
  double node_hours = 0;
  double actions = 0;
  std::optional<double> above_safe_ratio;  // of the time; where limits are raised
  Elasticity elasticity;
  std::optional<double> elastic_speedup;  // over the best static count
};

// One table of one trace: ours, ours with raised limits, the optimum, the rivals in the order given.
struct Scores {
  std::vector<PolicyResult> policies;
  std::string best_rival;
  // Where a policy of ours takes part (the first one counts).
  std::optional<double> ours_over_best_rival;
  std::optional<double> gap_closed;  // (best rival - ours) / (best rival - optimum); nothing where there is no gap
  std::string lost_because;          // one sentence, where ours costs more than the best rival

  const PolicyResult& Of(const std::string& name) const;
};

struct TraceResult {
  std::string name;
  std::vector<std::string> notes;
  double scored_hours = 0;
  double mean_nodes = 0, peak_nodes = 0;  // of demand, where it counts
  double day_autocorrelation = 0;         // of 5-minute means at a lag of one day; NaN: too short
  double optimum_bound = 0;               // what a node without a ramp would cost: the optimum costs as much or more
  Scores offered;                         // every metric shows the offered demand
  Scores capped;                          // every metric ends at what the ready nodes can do
};

struct Progress {
  int runs_done = 0, runs = 0;
};

struct CompareOptions {
  int threads = 1;
  // Called now and then from the calling thread.
  std::function<void(const Progress&)> progress = [](const Progress&) {};
};

inline constexpr char kOptimumName[] = "optimum";
inline constexpr char kWithLimits[] = "_with_limits";  // after the name of ours; no figure hangs on it

// A run takes about 3 ns a step, seed and setting. Memory: about 30 bytes a step and seed, and 8 a step and thread.
TraceResult CompareOn(std::shared_ptr<const Course> course, const std::vector<Contender>& contenders,
                      const CompareOptions& options);

}  // namespace headroom::lab
