#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "controller/runtime/journal.h"

namespace headroom {

// MemoryJournal: a journal without a disk, for simulation and tests: it keeps what it is given and can be told to fail.
// Everything is "on disk" at once. Keeps the newest `records_max` records (none unless asked) and kDecisionsMax
// decisions, or nothing at all where nobody will read it; no snapshots. Threads as Journal.
class MemoryJournal final : public Journal {
 public:
  static constexpr size_t kDecisionsMax = 10'000;
  enum class Keeps : uint8_t { kDecisions, kNothing };

  explicit MemoryJournal(size_t records_max = 0) : records_max_(records_max) {}
  explicit MemoryJournal(Keeps keeps) : records_max_(0), keeps_(keeps) {}

  absl::StatusOr<Recovered> Recover() override;
  absl::Status WriteTerm(int64_t term, absl::Duration longest) override;
  void RecordEvent(absl::Time at, Event&& event) override;
  void RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) override;
  void RecordSnapshot(absl::Time, const Autoscaler&) override {}  // its records begin at the start
  absl::Status CommitIntents(absl::Time at, const std::vector<Action>& intents) override;
  absl::Status Commit() override { return health_; }
  absl::Status Sync(absl::Duration) override { return health_; }
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page& page) const override;
  absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const override;

  // From now on every commit answers so.
  void Fail(absl::Status health) { health_ = std::move(health); }
  const std::deque<Recorded>& records() const { return records_; }

 private:
  void Record(Recorded record);

  const size_t records_max_;
  const Keeps keeps_ = Keeps::kDecisions;
  absl::Status health_;
  Recovered kept_;
  std::deque<Recorded> records_;
  mutable absl::Mutex decisions_mutex_;
  std::deque<std::shared_ptr<const Decision>> decisions_ ABSL_GUARDED_BY(decisions_mutex_);
};

}  // namespace headroom
