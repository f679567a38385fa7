#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

struct LimitPlan {
  std::vector<LimitDecision> decisions;  // changed or bound
  std::vector<Action> actions;           // grants; ids are set by the autoscaler
  std::vector<Reason> alarms;
};

// One step of the limit law for every node that carries load, under the operators' fixed limits, the holds and the
// shared budget; grants for what changed and for leases that are due. Writes the law's memory into the nodes.
LimitPlan PlanLimits(State& state, const Policy& policy, absl::Time now);

// After a scale-out new nodes receive nothing from old connections: sheds idle connections of the fuller nodes, a fifth
// at a time, until the young ones have their share.
std::vector<Action> PlanRebalance(State& state, const FleetSummary& summary, const Policy& policy, absl::Time now);

}  // namespace headroom
