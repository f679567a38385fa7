#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

struct GuardInput {
  const State& state;
  const FleetSummary& summary;
  const Policy& policy;
  const std::vector<Demand>& demands;
  const Diagnosis& diagnosis;
  absl::Time now;
  int wanted = 0;      // what the signals want, rounded up; the effective count where none can tell
  double counted = 0;  // what those signals want that can say how many, unrounded
};

// The bounds that override and policy set together.
struct Bounds {
  int min = 1, max = 1;
};
Bounds EffectiveBounds(const State& state, const Policy& policy, absl::Time now);

// Walks the wanted number through all guards, in the order of the arrays in guards.cc, safety last so that nothing can
// override it: first through those that say how many nodes are needed, then that number through those that say what may
// be changed now. Each guard states its direction by the bound it sets. Verdicts of guards that spoke are appended.
int ApplyNeeds(const GuardInput& in, std::vector<Verdict>& verdicts);
int ApplyGuards(const GuardInput& in, int needed, std::vector<Verdict>& verdicts);

// What stays whatever is needed: the bounds of policy and operators are needs, too.
int Kept(const GuardInput& in, int needed);

// Whether what is told now can vouch for a removal: every signal knows, and nothing is wrong, lost or unusual.
bool IsBelievable(const GuardInput& in);

// Whether an operator forbids growing or shrinking now.
bool HeldUp(const State& state, absl::Time now);
bool HeldDown(const State& state, absl::Time now);

}  // namespace headroom
