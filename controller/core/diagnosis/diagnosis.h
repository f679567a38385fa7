#pragma once

#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/diagnosis/cluster_series.h"
#include "controller/core/fleet.h"
#include "controller/core/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

// What diagnosis remembers between ticks.
struct DiagnosisMemory {
  ClusterSeries series;
  Diagnosis last;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("series", self.series);
    visit("last", self.last);
  }
};

// Names the cause of what is wrong now and rules out the others, each with its number; kNone when nothing is wrong,
// kCannotTell when something is but no cause stands out. Called once per tick; deterministic; O(nodes).
Diagnosis Diagnose(const Fleet& fleet, const FleetSummary& summary, const Policy& policy, DiagnosisMemory& memory,
                   absl::Time now);

}  // namespace headroom
