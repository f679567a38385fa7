#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/event.h"

namespace headroom {

// One thing the core was given, in the order in which it was given: an event, or a tick.
struct Recorded {
  absl::Time at;
  std::optional<Event> event;  // nothing: a tick
};

// What a restart begins with.
struct Recovered {
  std::optional<State> state;        // newest snapshot; nothing: a fresh journal
  std::vector<Recorded> since;       // what the core was given after it, in order
  int64_t term_max = 0;              // highest term in the store
  std::vector<Action> open_intents;  // machine actions whose outcome was never written; checked against the provider
};

// Journal: the memory that outlives the process. Rules: the intent of a machine action is on disk before it is handed
// over; limits never wait for the disk; a journal that fails says so, and the controller stops shrinking but goes on
// raising and growing from memory. Writing calls come from the loop thread only (one writing connection); reading
// calls from any thread. Bounded in bytes; an unchanged decision extends its row.
class Journal {
 public:
  virtual ~Journal() = default;

  virtual absl::StatusOr<Recovered> Recover() = 0;
  // The term is on disk before it is used.
  virtual absl::Status WriteTerm(int64_t term) = 0;
  // Queue for the next group commit.
  virtual void RecordEvent(absl::Time at, const Event& event) = 0;
  virtual void RecordTick(absl::Time at, const Decision& decision) = 0;
  virtual void RecordSnapshot(absl::Time at, const State& state) = 0;
  // Commits what is queued, with these intents. Returns when it is on disk.
  virtual absl::Status CommitIntents(const std::vector<Action>& intents) = 0;
  // Commits what is queued.
  virtual absl::Status Commit() = 0;

  struct Page {
    uint64_t before_sequence = 0;
    int count = 50;
    bool only_acting = false;
    absl::Time since = absl::InfinitePast();
  };
  // Newest first, before `before_sequence` (0: from the newest).
  virtual absl::StatusOr<std::vector<Decision>> Decisions(const Page& page) const = 0;
  // NOT_FOUND: no such decision (any more).
  virtual absl::StatusOr<Decision> FindDecision(uint64_t sequence) const = 0;
};

}  // namespace headroom
