#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/runtime/journal.h"
#include "controller/runtime/state_store.h"

namespace headroom {

// What a StateStore holds: the newest snapshot, the facts since then that a successor cannot learn anew from nodes and
// provider, and the machine actions whose outcome is open.
struct SharedState {
  int64_t term = 0;  // of the controller that wrote it
  uint64_t sequence = 0;
  absl::Time at = absl::InfinitePast();  // of the snapshot; the infinite past: there is none yet
  std::string policy, state;             // archives
  std::vector<Recorded> since;
  std::vector<Action> intents;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("term", self.term);
    visit("sequence", self.sequence);
    visit("at", self.at);
    visit("policy", self.policy);
    visit("state", self.state);
    visit("since", self.since);
    visit("intents", self.intents);
  }
};
// Compressed, behind a line of text with the term and the sequence, which every release can read. DATA_LOSS: broken
// bytes, or of a release that says what this one does not know.
std::string PackShared(const SharedState& state);
absl::StatusOr<SharedState> UnpackShared(absl::string_view bytes);
// The line alone: no more than term and sequence. DATA_LOSS: not even that.
absl::StatusOr<SharedState> UnpackHead(absl::string_view bytes);

// SharedJournal: a journal on this machine whose essence is at a StateStore too, so that a standby elsewhere goes on
// from there. What this machine has is taken where it was the last to lead; otherwise what the store has, and this
// machine's journal is of this term only once it has that, too. The term and
// intents are in the store before they are used; everything else follows within kSaveInterval. A store that does not
// answer, or that another controller has written, is a journal that fails: raises and growth go on, from memory. Where
// the state does not fit into the store, what was learned is left out, and then the nodes: term, intents, facts and
// what operators said of the whole cluster are saved all the same, and Commit() says what is missing for as long as it
// is (RESOURCE_EXHAUSTED).
// Threads as Journal; it saves from a thread of its own.
class SharedJournal final : public Journal {
 public:
  struct Options {
    int64_t term_min = 0;  // the election's number: terms are above it
    // Somebody else has written: asks the election anew whether this one leads still. Null: it does. Any thread.
    std::function<bool()> still_leads;
    absl::Duration save_timeout = absl::Seconds(5);
    size_t bytes_max = StateStore::kBytesMax;
    std::function<void(absl::string_view)> say;  // one line for the log; any thread
  };
  static constexpr absl::Duration kSaveInterval = absl::Seconds(1);
  // Each save is a whole revision in etcd, which keeps all of them until it is compacted: a snapshot before which
  // nothing worth keeping happened waits for so long.
  static constexpr absl::Duration kQuietSnapshotInterval = absl::Minutes(10);
  static constexpr absl::Duration kIntentWaitMax = absl::Milliseconds(500);
  // A store that takes longer for one save does not answer.
  static constexpr absl::Duration kStuckAfter = absl::Seconds(5);
  // Facts between two snapshots. Beyond it no more is kept of actions until the next one, and operators' words take
  // their places.
  static constexpr size_t kSinceMax = 2'000;

  SharedJournal(std::unique_ptr<Journal> local, std::unique_ptr<StateStore> store, Options options);
  // Saves what is due, once.
  ~SharedJournal() override;

  absl::StatusOr<Recovered> Recover() override;
  absl::Status WriteTerm(int64_t term, absl::Duration longest) override;
  void RecordEvent(absl::Time at, Event&& event) override;
  void RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) override;
  void RecordSnapshot(absl::Time at, const Autoscaler& core) override;
  void RecordLastSnapshot(absl::Time at, const Autoscaler& core) override;
  absl::Status CommitIntents(absl::Time at, const std::vector<Action>& intents) override;
  absl::Status Commit() override;
  absl::Status Sync(absl::Duration longest) override;
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page& page) const override {
    return local_->Decisions(page);
  }
  absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const override { return local_->FindDecision(sequence); }

 private:
  // A save that begins after this call.
  int64_t Request() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WaitFor(int64_t ticket, absl::Duration longest);
  // The store has not answered for so long.
  bool IsSilent(absl::Duration longest) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Recovered> LoadShared(int64_t& term_max);
  void CloseIntents(const Recovered& local, const Recovered& adopted);
  void Begin(const Recovered& chosen);
  bool HasFacts() const;
  void Keep(Recorded record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SaveLoop();
  void SaveOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Pack(SharedState state, const std::shared_ptr<const Snapshot>& snapshot);
  absl::Status Save(const std::string& packed, int64_t term);
  absl::Status SaveOver(absl::string_view packed, int64_t term);

  const std::unique_ptr<Journal> local_;
  const std::unique_ptr<StateStore> store_;  // of the saving thread, once Recover() has ended
  const Options options_;

  mutable Monitor mutex_;
  SharedState state_ ABSL_GUARDED_BY(mutex_);                         // without the snapshot
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);  // the newest; null: there is none yet
  bool is_dirty_ ABSL_GUARDED_BY(mutex_) = false;                     // something is to be saved when its time has come
  int64_t requested_ ABSL_GUARDED_BY(mutex_) = 0;                     // saves asked for, begun and ended
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);    // of the newest that ended
  absl::Status left_out_ ABSL_GUARDED_BY(mutex_);  // what did not fit into it; OK: nothing
  int64_t saved_term_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration saving_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();  // by the monotonic clock
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // The saving thread's: the snapshot that was encoded last, and as much of it as fits.
  enum class Detail : uint8_t { kWhole, kWithoutLearned, kWithoutNodes };
  struct Encoded {
    std::shared_ptr<const Snapshot> of;
    Detail detail = Detail::kWhole;
    std::string policy, state;
  };
  static Encoded Encode(std::shared_ptr<const Snapshot> snapshot, Detail detail);
  static absl::Status LeftOut(Detail detail);
  Encoded encoded_;
  // The loop thread's: the term that the local journal is not told before it has what was adopted; 0: none.
  bool has_adopted_ = false;
  absl::Time snapshot_at_ = absl::InfinitePast();  // of this leadership
  int64_t local_term_ = 0;
  std::thread saver_;
};

}  // namespace headroom
