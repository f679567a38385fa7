#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/policy.h"
#include "controller/runtime/journal_file.h"

namespace headroom {

// What a journal's records give when the core is given them again.
struct JournalReplay {
  Policy policy;  // in force at the beginning
  absl::Time from = absl::InfiniteFuture(), to = absl::InfinitePast();
  int64_t events = 0, ticks = 0;
  int64_t compared = 0;            // ticks whose decision is in the journal, and was the same
  int64_t not_kept = 0;            // ticks whose decision the journal has given up
  int64_t damaged = 0;             // decisions whose rows are not as they were written: nothing was held against them
  int restarts = 0;                // of the controller, over which nothing is compared
  std::vector<std::string> notes;  // gaps, damage: what was left out

  // Nothing: identical, as far as there is something to compare.
  struct Difference {
    uint64_t sequence = 0;
    absl::Time at;
    std::vector<std::string> fields;  // as Differences() says
  };
  std::optional<Difference> first;

  // With another policy: what it would have decided on the same facts, tick by tick.
  struct Divergence {
    uint64_t sequence = 0;
    absl::Time at;
    Decision recorded, other;
  };
  static constexpr size_t kDivergencesMax = 1000;
  std::vector<Divergence> divergences;  // the first of each stretch
  int64_t ticks_nodes_differ = 0, ticks_limits_differ = 0;
};

struct ReplayOptions {
  std::optional<Policy> other;  // nothing: only that of the journal
  // What a snapshot from which the replay goes on knows.
  std::function<void(const Fleet&)> on_snapshot;
  // Each fact that is replayed, with its time.
  std::function<void(absl::Time, const Event&)> on_event;
  // Each decision on the records under the journal's own policy.
  std::function<void(const Decision&)> on_decision;
  std::function<void(double ratio_done)> progress;
};

// Gives the production core every record of the journal, from its first snapshot on, and holds each decision against
// the one that is there: the same canonical bytes, renewals left out as the journal leaves them out; of an unchanged
// decision, the same content. Stops at the first difference, unless another policy is asked about: then both are
// this release's. A gap or damage is noted, and the replay goes on at the
// next snapshot. NOT_FOUND: nothing to replay. DATA_LOSS: no snapshot can be read.
absl::StatusOr<JournalReplay> ReplayJournal(JournalFile& journal, const ReplayOptions& options);

}  // namespace headroom
