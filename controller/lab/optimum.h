#pragma once

#include <cstdint>

#include "controller/lab/rival.h"
#include "controller/lab/series.h"
#include "controller/lab/task.h"

// The clairvoyant optimum: the node counts of least cost for one who knows the future, under the same boot, ramp and
// minimum payment as everybody.
//
// Where the youngest leaves first the k-th node serves the slice of demand between k - 1 and k nodes, so the levels are
// independent: each is an exact on/off dynamic program over time, O(steps) a level. (A level is off, or launched and on
// until its minimum is paid, or on and free to leave.) The sum of the counts is then run with the oldest leaving first,
// who has paid its minimum, which costs the same or less than the levels one by one.
// One thing is left out: while several nodes ramp at once, each is charged for its own slice though together they could
// serve more. RampFreeBound() says how much that can be.

namespace headroom::lab {

struct Plan {
  Series<uint8_t> nodes;  // wanted, a step each; at least terms.nodes_min
  double cost_steps = 0;  // paid node-steps + 100 x unserved node-steps, level by level
};

// Under the law of the course's terms, or another one. Does not know of losses of nodes.
Plan FindOptimum(const Demand& demand);
Plan FindOptimum(const Demand& demand, const NodeLaw& law);

// The cost, in node-steps, of the optimum where a node serves fully from the end of its boot: a lower bound of what any
// policy costs whose youngest node leaves first.
double RampFreeBound(const Demand& demand);

// Schedule: does what the plan says. The plan outlives it.
class Schedule final : public Rival {
 public:
  explicit Schedule(const Plan& plan) : plan_(plan) {}
  int period_steps() const override { return 1; }
  int Decide(const Meter& meter, const Nodes&) override { return plan_.nodes[meter.now()]; }
  Victims victims() const override { return Victims::kOldest; }

 private:
  const Plan& plan_;
};

}  // namespace headroom::lab
