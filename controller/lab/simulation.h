#pragma once

#include "controller/lab/rival.h"
#include "controller/lab/series.h"
#include "controller/lab/task.h"

namespace headroom::lab {

// What a policy came to, over the steps that count.
struct Outcome {
  double node_hours = 0;        // paid
  double unserved_hours = 0;    // node-hours of demand that nobody served
  double offered_hours = 0;     // node-hours of demand
  double actions = 0;           // ticks on which the desired count changed
  double above_safe_ratio = 0;  // of the time; only where limits are raised
  // What could serve, a step each; only where it was asked for.
  Series<float> supply;

  double cost() const { return node_hours + kShortagePrice * unserved_hours; }
  double unserved_ratio() const { return offered_hours > 0 ? unserved_hours / offered_hours : 0; }
};

// What a rival's metric shows: all that is offered, or at most what the ready nodes can do, as CPU use does.
enum class Sight { kOffered, kCapped };
enum class Record { kTotals, kSupply };

struct RunOptions {
  Sight sight = Sight::kOffered;
  Record record = Record::kTotals;
};

// Runs a rival over the whole course, history included. Starts with as many full nodes as the first demand needs.
// About 2 ns a step and what the rival takes.
Outcome Simulate(const Demand& demand, Rival& rival, const RunOptions& options);

// The same nodes where limits may be raised: a node's safe capacity is kSafeRatio of its knee, and a raised limit lets
// it serve up to the knee. `outcome` has its supply.
inline constexpr double kSafeRatio = 0.75;
Outcome WithRaisedLimits(const Demand& demand, const Outcome& outcome);

// The nodes that everybody starts with.
int InitialNodes(const Demand& demand);

}  // namespace headroom::lab
