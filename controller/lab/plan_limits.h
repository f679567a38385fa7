#pragma once

#include <string>
#include <vector>

#include "controller/lab/plan.h"

// The limits of a plan: how far each is used in the days that are planned on, what they ask of min and max together,
// and when each breaks. A campaign and growth multiply demand and throughput, never what is stored.

namespace headroom::lab {

// Nodes are counted, so the last bits of a quotient add none; a million at most.
int WholeNodes(double nodes);

// Demand first; PlanLimit::until is not filled yet.
std::vector<PlanLimit> LimitsOf(const PlanInput& input, const PlanOptions& options);

// What the loop met: the highest demand in the demand's unit, of which a node carries so much, to be used up to
// `target`.
struct LoopUse {
  double peak = 0, per_node = 1, target = 1;
};

// The nodes that all limits, known by demand and by what a node carries, ask for, and the rest of the policy with them.
struct NodeBounds {
  // What is stored, the least throughput, and the policy's own min and data_floor.
  int least = 1;
  std::string least_of;  // what asks for them
  // The highest use of these days and the outlook's P95 while the plan lasts, with a zone gone where that is asked, and
  // what the policy names (data_floor, its calendar). Where the outlook ends before, never below the policy's max.
  int most = 1;
  std::string most_of;
  int told_days = 0;  // how far the outlooks of all of these tell
};
NodeBounds BoundsOf(const std::vector<PlanLimit>& limits, const PlanOptions& options, const LoopUse& use);

// Each is held against the operator's max and against the recommended one.
void FillBreaks(const PlanOptions& options, int recommended_max, std::vector<PlanLimit>& limits);

}  // namespace headroom::lab
