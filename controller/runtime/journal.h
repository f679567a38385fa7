#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/core/policy.h"

namespace headroom {

// One thing the core was given, in the order in which it was given: an event, or a tick.
struct Recorded {
  absl::Time at;
  std::optional<Event> event;  // nothing: a tick

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("at", self.at);
    visit("event", self.event);
  }
};

// The core as it once was.
struct Snapshot {
  absl::Time at;
  Policy policy;
  State state;
};

// What a restart begins with.
struct Recovered {
  std::optional<Snapshot> snapshot;  // the newest good one; nothing: a fresh journal
  std::vector<Recorded> since;       // what the core was given after it, in order
  // Nothing is missing in `since`, so that its ticks can be taken again. Otherwise (reports left out, a bad row, a
  // shortened ring) events are facts still, but ticks would take the gap for silence.
  bool complete = true;
  int64_t term_max = 0;       // highest term in the store
  uint64_t sequence_max = 0;  // of the decisions in it
  // Machine actions whose outcome was never written: to be checked against the provider, never repeated blindly.
  std::vector<Action> open_intents;
  std::vector<std::string> notes;  // what was damaged and left out
};

// A decision in the journal: `decision` and all after it up to sequence_last, at `until`, said the same. Renewals of
// grants are left out.
struct JournalEntry {
  Decision decision;
  uint64_t sequence_last = 0;
  absl::Time until;
};

// Journal: the memory that outlives the process. Rules: the intent of a machine action is on disk before it is handed
// over; limits never wait for the disk; a journal that fails says so, and the controller stops shrinking but goes on
// raising and growing from memory. Calls that record and commit come from the loop thread only; reading calls from any
// thread. Bounded in bytes; an unchanged decision extends its row.
class Journal {
 public:
  virtual ~Journal() = default;

  // What the last process left. Before the first call that records.
  virtual absl::StatusOr<Recovered> Recover() = 0;
  // The term is on disk when this returns OK; it is not used before. UNAVAILABLE: not within `longest`, or at once
  // where the disk has been silent for as long already; it stays queued, and asking again finds it written.
  virtual absl::Status WriteTerm(int64_t term, absl::Duration longest) = 0;
  // Queue for the next group commit. No disk, no waiting.
  virtual void RecordEvent(absl::Time at, Event&& event) = 0;
  virtual void RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) = 0;
  virtual void RecordSnapshot(absl::Time at, const Autoscaler& core) = 0;
  // The last one of this process: it is in no case left for a later one.
  virtual void RecordLastSnapshot(absl::Time at, const Autoscaler& core) { RecordSnapshot(at, core); }
  // Commits what is queued, with these intents. OK: it is on disk. May wait, half a second at most.
  virtual absl::Status CommitIntents(absl::Time at, const std::vector<Action>& intents) = 0;
  // Begins to commit what is queued and does not wait. The status is the journal's health: that of the newest commit
  // that ended, or UNAVAILABLE while the disk does not answer. What could not be written is kept (bounded) and tried
  // again by the next call.
  virtual absl::Status Commit() = 0;
  // Commits what was recorded before the call and waits for it, at most `longest`. Any thread.
  virtual absl::Status Sync(absl::Duration longest) = 0;

  struct Page {
    uint64_t before_sequence = 0;
    int count = 50;
    bool only_acting = false;  // those that did something or changed the diagnosis
    absl::Time since = absl::InfinitePast();
  };
  // Newest first, before `before_sequence` (0: from the newest).
  virtual absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page& page) const = 0;
  // NOT_FOUND: no such decision (any more).
  virtual absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const = 0;
};

}  // namespace headroom
