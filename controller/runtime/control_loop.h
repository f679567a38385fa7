#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "controller/base/clock.h"
#include "controller/core/autoscaler.h"
#include "controller/runtime/executor.h"
#include "controller/runtime/journal.h"
#include "controller/runtime/mailbox.h"

namespace headroom {

// ControlLoop: the shell that every driver shares. One thread runs it (production: RunOnce, then Wait until its answer
// or a Post; simulation: jump there); anyone may Post, read Latest or Ask. It holds no rule: when to tick, and what to
// do, the core says.
//
// RunOnce: drain the mailbox into Observe and the journal; answer questions; tick if the core says it is time, and
// carry the decision out: first all that is no machine action, without any disk, then machine actions, each observed as
// started, its intent committed, and handed over. An intent that cannot be committed stops a terminate (which is
// observed as failed, so that the next tick sees the gap) and never a launch; a dry run has no intents. What was
// observed and decided is committed every kCommitInterval, with a snapshot every kSnapshotInterval; a change of the
// journal's health becomes JournalChanged.
//
// The core's time never goes backwards: where the clock was set back, or an earlier process ran on a faster one, the
// core runs ahead of it by as much, and stays ahead over restarts until the clock has caught up. A clock that then goes
// forward by more than the loop waited for has been set right: the core is ahead by so much less, and no report looks
// old for it. All times that are compared with the core's (the end of a hold, the age of a report) are taken from
// CoreTime() or a CoreClock.
class ControlLoop {
 public:
  using Question = std::function<void(const Autoscaler&)>;
  static constexpr absl::Duration kCommitInterval = absl::Milliseconds(200);
  static constexpr absl::Duration kSnapshotInterval = absl::Minutes(1);
  static constexpr size_t kQuestionsMax = 256;
  // A wait that is overslept by more shows that the clock was set forward.
  static constexpr absl::Duration kOversleptMax = absl::Seconds(2);

  ControlLoop(Autoscaler core, Executor& executor, Journal& journal);

  // Never blocks on the core. RESOURCE_EXHAUSTED: see Mailbox. Any thread.
  absl::Status Post(Event&& event) { return mailbox_.Post(std::move(event)); }
  absl::Status PostAll(std::vector<Event>& events) { return mailbox_.PostAll(events); }
  // Runs `question` on the loop thread between ticks and waits for it, at most `timeout`. DEADLINE_EXCEEDED: the loop
  // did not get to it (it will not run later). UNAVAILABLE, at once: the loop has ended. RESOURCE_EXHAUSTED:
  // kQuestionsMax wait already. Any thread but the loop's.
  absl::Status Ask(Question question, absl::Duration timeout);
  // The newest decision; never null after the first tick. Any thread.
  std::shared_ptr<const Decision> Latest() const;
  // Called on the loop thread after each decision, for streams and metrics. Set before the loop runs.
  void OnDecision(std::function<void(std::shared_ptr<const Decision>)> listener) { listener_ = std::move(listener); }

  // Gives the executor of a mode. Called on the loop thread when the core's mode has become another one, before
  // anything is decided in it; what it posts is observed before that, too. Without it the executor stays. Set before
  // the loop runs.
  void OnMode(std::function<Executor&(Mode)> executor_of) { executor_of_ = std::move(executor_of); }

  // Called on the loop thread with a node that joined and that the core, full, did not take in. Set before the loop
  // runs.
  void OnRefused(std::function<void(const NodeId&)> listener) { refused_ = std::move(listener); }

  // Does what is due at `now`; returns when it wants to run again unless something is posted. Loop thread only.
  absl::Time RunOnce(absl::Time wall);
  // Sleeps until `until` or a Post; calm reports gather for Mailbox::kGather. Loop thread only.
  void Wait(const std::function<absl::Time()>& now, absl::Time until) { mailbox_.Wait(until - now()); }
  void Wake() { mailbox_.Wake(); }
  // What the core's time is when the clock says `wall`. Any thread.
  absl::Time CoreTime(absl::Time wall) const;
  // Ends the questions and writes a last snapshot for a quick start of the next process. Loop thread only, at the end.
  absl::Status Finish(absl::Time wall);

 private:
  // One Ask(): runs at most once, and not after its asker has gone.
  struct Asked {
    Question question;
    bool taken = false, answered = false;
  };

  absl::Time Advance(absl::Time wall);
  void ObserveAll(absl::Time now);
  void Observe(absl::Time now, Event&& event);
  void AnswerQuestions();
  void Tick(absl::Time now);
  void Carry(absl::Time now, const Decision& decision);
  void CarryMachines(absl::Time now, Mode mode, const std::vector<Action>& actions);
  void Commit(absl::Time now);
  void TellHealth(absl::Time now, const absl::Status& health);

  Autoscaler core_;
  Executor* executor_;
  Mode mode_;  // that executor_ is of
  Journal& journal_;
  Mailbox mailbox_;
  std::vector<Event> batch_;  // its memory is used again
  std::function<void(std::shared_ptr<const Decision>)> listener_;
  std::function<void(const NodeId&)> refused_;
  std::function<Executor&(Mode)> executor_of_;
  // Of the core's time, written by the loop thread only.
  std::atomic<int64_t> last_nanos_;
  std::atomic<int64_t> ahead_nanos_{0};
  std::atomic<int64_t> wanted_nanos_;  // when the loop last wanted to run next
  absl::Time committed_at_ = absl::InfinitePast();
  absl::Time snapshot_at_ = absl::InfinitePast();
  std::string journal_error_;
  bool uncommitted_ = false;  // something was recorded since the last commit began, or that commit failed

  absl::Mutex questions_mutex_;
  std::deque<std::shared_ptr<Asked>> questions_ ABSL_GUARDED_BY(questions_mutex_);
  bool finished_ ABSL_GUARDED_BY(questions_mutex_) = false;
  mutable absl::Mutex latest_mutex_;
  std::shared_ptr<const Decision> latest_ ABSL_GUARDED_BY(latest_mutex_);
};

// CoreClock: the core's time as a clock, for those that give it times or compare theirs with its own. Thread-safe.
class CoreClock final : public Clock {
 public:
  CoreClock(const Clock& wall, const ControlLoop& loop) : wall_(wall), loop_(loop) {}
  absl::Time Now() const override { return loop_.CoreTime(wall_.Now()); }

 private:
  const Clock& wall_;
  const ControlLoop& loop_;
};

}  // namespace headroom
