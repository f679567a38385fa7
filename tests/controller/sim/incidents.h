#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/sim/runner.h"

namespace headroom::sim {

// An incident whose cause is known, in a cluster at the level of single requests.
struct Incident {
  Cause cause = Cause::kNone;
  Scenario scenario;
  absl::Duration begins;  // from the start; until then all is well
  absl::Duration felt;    // its onset: what builds up is not felt at once
  // Whether a report reaches the controller; empty: all do.
  std::function<bool(absl::Time, const NodeId&)> is_heard;
};

// Makes incidents of one cause. `kRules`: by who knows the rules of diagnosis. `kIndependent`: after what people wrote
// of their outages (mixtures, ramps, partial faults, faults during a deploy or in a calm night), without a look at the
// rules.
enum class Maker : uint8_t { kRules, kIndependent };
Incident MakeIncident(Cause cause, Maker maker, uint64_t seed);

// What diagnosis made of it.
struct Outcome {
  Cause expected = Cause::kNone;
  Cause named = Cause::kNone;        // 30 s after the onset
  bool slipped = false;              // named another cause for a moment before
  absl::Duration after;              // the onset, the right one was named; infinite: it was not by then
  int ruled_out = 0, left_open = 0;  // other causes, in the sentence of then
  std::string sentence;
};
// In dry run three seeds of four, live the fourth.
Outcome Diagnose(const Incident& incident);

}  // namespace headroom::sim
