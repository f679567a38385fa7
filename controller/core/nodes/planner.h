#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

struct NodePlan {
  int effective = 0;
  int desired = 0;
  const char* signal = "";  // the signal that asked for most
  absl::Time now;
};

// Turns a number of nodes into actions: cancels drains before it launches, spreads launches over zones, chooses
// victims, drains before it terminates, and never takes nodes of two zones at once.
std::vector<Action> PlanNodes(const State& state, const FleetSummary& summary, const Policy& policy,
                              const NodePlan& plan);

// Whether a balancer's new report shows something else than it was told, and could follow: an order may be lost on its
// way. What it keeps for its sessions, as its last server or for its operator is not astray.
bool IsAstray(const BalancerReport& report, const std::vector<ServerTarget>& told);

// The list of servers that every balancer should have, when it changed since they were last told or is due again.
std::vector<Action> PlanServers(State& state, const Policy& policy);

// A look at the provider's machines when one is due.
std::vector<Action> PlanLook(const State& state, const Policy& policy, absl::Time now);

}  // namespace headroom
