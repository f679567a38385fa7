#pragma once

#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/diagnosis/cluster_series.h"
#include "controller/core/diagnosis/evidence.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

// What diagnosis remembers between ticks.
struct DiagnosisMemory {
  ClusterSeries series;
  Diagnosis last;
  TroubleTimes trouble;
  absl::Time ill_at = absl::InfinitePast();         // the last tick with a symptom
  absl::Time hurt_at = absl::InfinitePast();        // the last tick with more than well used slots
  Cause leader = Cause::kNone;                      // the cause that stands out now ...
  absl::Time leads_since = absl::InfinitePast();    // ... and since when without a break
  absl::Time faded_since = absl::InfiniteFuture();  // nothing speaks for the named cause any more since then
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("series", self.series);
    visit("last", self.last);
    visit("trouble", self.trouble);
    visit("ill_at", self.ill_at);
    visit("hurt_at", self.hurt_at);
    visit("leader", self.leader);
    visit("leads_since", self.leads_since);
    visit("faded_since", self.faded_since);
  }
};

// Names the cause of what is wrong now and rules out the others, each with its number; kNone when nothing is wrong,
// kCannotTell when something is but no cause stands out. It compares the last seconds with the cluster's own calm past
// (control.baseline_window), which is left alone while there is trouble. Nodes that are gone and that nobody feels, no
// more of them than the quorum bears, are told (kCannotTell) and are no trouble (memory.trouble has no onset). A cause
// is named once it has led for its patience (1 to 5 s), stays named until another one has led for 3 s, and is dropped
// after 10 s of calm, or when it has been ruled out for 3 s. Called once per tick, with a `now` that never goes back
// and a survey of memory.series to which every node was added; deterministic.
struct DiagnosisInput {
  const Fleet& fleet;
  const FleetSummary& summary;
  const Policy& policy;
  absl::Time now;
};
Diagnosis Diagnose(const DiagnosisInput& in, Survey&& survey, DiagnosisMemory& memory);

}  // namespace headroom
