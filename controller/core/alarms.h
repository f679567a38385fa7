#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

struct AlarmInput {
  State& state;
  const FleetSummary& summary;
  const Policy& policy;
  int wanted = 0;
  const std::vector<Demand>& demands;
  absl::Time now;
};

// What needs a person, as long as it does: at max, nodes lost, launches stuck, a signal long unknown, journal or
// provider failing, nodes refused because the fleet is full.
void RaiseAlarms(const AlarmInput& in, std::vector<Reason>& alarms);

}  // namespace headroom
