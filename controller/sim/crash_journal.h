#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"

#include "controller/runtime/journal.h"

namespace headroom::sim {

// CrashJournal: a disk in virtual time that can be full, under a process that can be killed. It keeps the rules of the
// real one: what is recorded is queued, a commit begins to write it and does not wait, one for intents and terms does;
// what could not be written is kept and tried again. A crash forgets what was queued, and what was being written with
// it or not. A restart gets its snapshot through the production archive. Reads of decisions are not simulated. Bounded
// by what the core is given within a minute, or while it is told to fail. Not thread-safe.
class CrashJournal final : public Journal {
 public:
  enum class Reports : uint8_t { kKept, kLeftOut };  // as where they are too many
  explicit CrashJournal(Reports reports = Reports::kKept) : reports_(reports) {}

  // From now on every commit answers so.
  void Fail(absl::Status health) { health_ = std::move(health); }
  enum class Landed : uint8_t { kNo, kYes };  // what was being written
  void Crash(Landed landed);

  absl::StatusOr<Recovered> Recover() override;
  absl::Status WriteTerm(int64_t term, absl::Duration longest) override;
  void RecordEvent(absl::Time at, Event&& event) override;
  void RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) override;
  void RecordSnapshot(absl::Time at, const Autoscaler& core) override;
  absl::Status CommitIntents(absl::Time at, const std::vector<Action>& intents) override;
  absl::Status Commit() override;
  absl::Status Sync(absl::Duration longest) override;
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page& page) const override;
  absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const override;

 private:
  // What one transaction writes.
  struct Batch {
    std::optional<Snapshot> snapshot;
    std::vector<Recorded> since;  // after the snapshot, where there is one
    bool complete = true;
    std::vector<Action> intents;
    std::vector<ActionId> ended;
    uint64_t sequence_max = 0;
    int64_t term = 0;
  };
  static void Append(Batch& to, Batch later);
  void Land();

  const Reports reports_;
  absl::Status health_;
  Batch queued_, writing_, disk_;
};

}  // namespace headroom::sim
