#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
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
  // Given: the onset is when this becomes true, kFeltMax after `felt` at the latest.
  std::function<bool(const World&)> is_felt;
  static constexpr absl::Duration kFeltMax = absl::Minutes(2);
  std::set<Cause> meanwhile;                       // other causes that may be named before the onset
  std::pair<absl::Duration, int> launches{{}, 0};  // nodes that somebody starts by hand: when, how many
};

// Makes incidents of one cause (kNone: of none, harmless events only). `kRules` and `kOutages`: one after the causes,
// one after outages (mixtures, ramps, partial faults), both by who knows the rules of diagnosis. `kPostmortems`: from
// what is published of outages, on sites of every kind, among noise and harmless events, written before the rules were
// read (postmortems.cc). `kChronicles`: further ones after what operators have told, by who knew the rules
// (chronicles.cc).
enum class Maker : uint8_t { kRules, kOutages, kPostmortems, kChronicles };
Incident MakeIncident(Cause cause, Maker maker, uint64_t seed);
Incident MakePostmortem(Cause cause, uint64_t seed);
Incident MakeChronicle(Cause cause, uint64_t seed);

// What diagnosis made of it.
struct Outcome {
  Cause expected = Cause::kNone;
  Cause named = Cause::kNone;        // 30 s after the onset
  bool slipped = false;              // named another cause for a moment before
  absl::Duration after;              // the onset, the right one was named; infinite: it was not by then
  int ruled_out = 0, left_open = 0;  // other causes, in the sentence of then
  std::string sentence;
  std::map<Cause, int> mistakes;  // other causes that were named since it began, and in how many decisions
};
// In dry run three seeds of four, live the fourth. Mistakes are counted until `until` after the onset, 30 s at least.
Outcome Diagnose(const Incident& incident, absl::Duration until = absl::ZeroDuration());

}  // namespace headroom::sim
