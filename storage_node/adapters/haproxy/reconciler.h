#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "storage_node/adapters/haproxy/control.h"

namespace headroom::haproxy {

// A server as it should be.
struct DesiredServer {
  std::string name;
  Endpoints endpoints;  // canonical
  bool draining = false;
  int64_t session_count_max = 0;  // 0: leave as it is; in mode http a server without a limit gets the first one
  int weight = 0;                 // 0: 100 for a server that is added, else leave as it is
  // Its definition was refused: it is neither added nor changed, and not missed either.
  bool frozen = false;

  bool operator==(const DesiredServer& other) const;
};

// The whole fleet behind the backend, by name.
using DesiredServers = std::map<std::string, DesiredServer>;

enum class StepKind { kAdd, kEnable, kReady, kSetEndpoints, kSetLimit, kSetWeight, kDrain, kRemove };

// One change at HAProxy; `server` holds what the step needs.
struct Step {
  StepKind kind;
  DesiredServer server;
};
absl::string_view Name(StepKind kind);

// What must be remembered between rounds. Lives as long as one HAProxy process does.
struct Memory {
  std::string life;                                                   // the process that this is about
  std::set<std::string> added;                                        // servers that we added; all others were found
  std::map<std::string, absl::Time> absent_since;                     // servers shown that are not desired
  std::map<std::pair<StepKind, std::string>, absl::Time> held_until;  // steps that have failed
};

struct ReconcileOptions {
  int steps_per_round_max = 32;
  absl::Duration absence_grace = absl::Seconds(5);  // a server missing from the list this long is drained and removed
  // Mode http: the limit of a server that has none, added by us or found, while the controller has not set one. 0:
  // none.
  int64_t session_count_first = 0;
  absl::Duration retry_pause = absl::Seconds(1);  // before a step that failed is tried again
};

// Plan: the steps that bring what HAProxy shows to what is desired, most urgent first, at most `steps_per_round_max`.
// Pure; no step when all is well. Rules, in this order of weight:
// - an empty list asks for nothing: zero is suspicious;
// - the last serving server is never drained, and only drained (or maintained) servers without sessions are removed;
// - additions and cancelled drains come before anything that takes capacity away;
// - drain is the controller's word: it is set and taken back as desired. Maintenance is the operator's: such a server
// is
//   left alone while it is desired (an addition that was interrupted is told from it and completed);
// - a server that we found (static, or of an agent before us) keeps its definition as long as that works: its address
//   is changed only while it is down;
// - a server whose name can be no node's is a stranger: never touched;
// - limits are set only where HAProxy holds the slots (mode http), raises before cuts.
std::vector<Step> Plan(const DesiredServers& desired, const BackendView& view, const Memory& memory,
                       const ReconcileOptions& options, absl::Time now);

// What a round did, for the log: one outcome per step tried.
struct Outcome {
  Step step;
  absl::Status status;
};

// Reconciler: keeps the backend equal to the last list. Round() after each look; a step that fails is tried again by a
// later round, because the plan is made anew from what HAProxy shows. Not thread-safe.
class Reconciler {
 public:
  explicit Reconciler(ReconcileOptions options) : options_(options) {}

  std::vector<Outcome> Round(HaproxyControl& control, const DesiredServers& desired, const BackendView& view,
                             absl::Time now);

 private:
  void Remember(const DesiredServers& desired, const BackendView& view, absl::Time now);

  const ReconcileOptions options_;
  Memory memory_;
};

}  // namespace headroom::haproxy
