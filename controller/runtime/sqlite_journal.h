#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "controller/runtime/journal.h"
#include "controller/runtime/journal_store.h"

namespace headroom {

// SqliteJournal: the journal in a state directory, written by a thread of its own, so that a slow disk costs the
// control loop nothing but the wait for intents (kIntentWaitMax). A commit that fails (disk full, I/O error) keeps what
// it could not write and is tried again by the next; what is kept is bounded: a newer snapshot makes older events
// needless, and beyond kRecordsMax reports and ticks are left out, beyond kDecisionsMax, kDecisionsBytesMax and
// kIntentsMax the oldest decisions and intents.
//
// Reports are recorded while they stay below report_bytes_per_second_max. Above it they are left out, which is said
// once, until the rate has halved: a restart then continues from the last snapshot and the other facts.
class SqliteJournal final : public Journal {
 public:
  struct Options {
    std::string state_dir;
    JournalStore::Bounds bounds;
    int64_t report_bytes_per_second_max = 1'000'000;
    std::function<void(absl::string_view)> say;  // one line for the log; any thread
    std::function<void()> before_write;          // a slow disk, in tests
  };
  static constexpr absl::Duration kIntentWaitMax = absl::Milliseconds(500);
  // A disk that takes longer for one commit does not answer.
  static constexpr absl::Duration kStuckAfter = absl::Seconds(5);
  static constexpr size_t kRecordsMax = 50'000;
  static constexpr size_t kDecisionsMax = 1'000;
  static constexpr size_t kDecisionsBytesMax = size_t{64} << 20;  // about
  static constexpr size_t kIntentsMax = 10'000;

  // Errors: see JournalStore::Open.
  static absl::StatusOr<std::unique_ptr<SqliteJournal>> Open(Options options);
  // Tries to write what is queued, once.
  ~SqliteJournal() override;

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
  // Counts reports per second of the loop's time and says whether they may be recorded.
  class ReportGate {
   public:
    bool Admit(absl::Time at, int64_t bytes, int64_t bytes_per_second_max);
    bool closed() const { return closed_; }

   private:
    absl::Time second_began_at_ = absl::InfinitePast();
    int64_t bytes_ = 0;
    bool closed_ = false;
  };

  SqliteJournal(Options options, std::unique_ptr<JournalStore> store, std::unique_ptr<JournalReader> reader);
  void Record(absl::Time at, std::optional<Event> event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RecordBatch& Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return queued_.snapshot ? queued_.after : queued_.before;
  }
  // A commit that begins after this call.
  int64_t Request() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WaitFor(int64_t ticket, absl::Duration longest);
  // The disk has not answered for so long.
  bool Silent(absl::Duration longest) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write();
  void WriteOnce(int64_t ticket) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts what could not be written before what was queued since.
  void TakeBack(JournalWrite failed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BoundRecords() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Bound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Explain(const absl::Status& status) const;

  const Options options_;
  absl::Mutex store_mutex_;  // taken by whoever writes: the thread, or Recover() before the loop runs
  const std::unique_ptr<JournalStore> store_ ABSL_PT_GUARDED_BY(store_mutex_);
  mutable absl::Mutex reader_mutex_;
  const std::unique_ptr<JournalReader> reader_ ABSL_PT_GUARDED_BY(reader_mutex_);

  mutable absl::Mutex mutex_;
  JournalWrite queued_ ABSL_GUARDED_BY(mutex_);
  std::set<ActionId> open_intents_ ABSL_GUARDED_BY(mutex_);
  ReportGate gate_ ABSL_GUARDED_BY(mutex_);
  int64_t record_bytes_ ABSL_GUARDED_BY(mutex_) = 300;
  int64_t requested_ ABSL_GUARDED_BY(mutex_) = 0;  // commits asked for, begun and ended
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);  // of the newest that ended
  absl::Time writing_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread writer_;
};

}  // namespace headroom
