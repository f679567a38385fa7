#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/runtime/executor.h"
#include "controller/runtime/journal.h"
#include "controller/runtime/mailbox.h"

namespace headroom {

// ControlLoop: the shell that every driver shares. One thread runs it (production: RunOnce, then Wait until its answer
// or a Post; simulation: jump there); anyone may Post, read Latest or Ask. It holds no rule: when to tick, and what to
// do, the core says.
//
// RunOnce: drain the mailbox into Observe (and the journal); tick if the core says it is time; for each action: observe
// ActionStarted, commit the intent of machine actions, hand it over. Limits go out before the commit. A journal error
// becomes JournalChanged; a machine action whose intent cannot be committed is not handed over when it shrinks
// (terminate), and is when it grows (launch).
class ControlLoop {
 public:
  using Question = std::function<void(const Autoscaler&)>;

  ControlLoop(Autoscaler core, Executor& executor, Journal& journal);

  // Never blocks on the core. Reports of one node replace each other. Any thread.
  void Post(Event event);
  // Runs `question` on the loop thread between ticks and waits for it, at most `timeout`. DEADLINE_EXCEEDED: the loop
  // did not get to it (it will not run later). Any thread but the loop's.
  absl::Status Ask(Question question, absl::Duration timeout);
  // The newest decision; never null after the first tick. Any thread.
  std::shared_ptr<const Decision> Latest() const;
  // Called on the loop thread after each decision, for streams and metrics. Set before the loop runs.
  void OnDecision(std::function<void(std::shared_ptr<const Decision>)> listener) { listener_ = std::move(listener); }

  // Does what is due at `now`; returns when it wants to run again unless something is posted. Loop thread only.
  absl::Time RunOnce(absl::Time now);
  // Sleeps until `until` or a Post. Loop thread only.
  void Wait(const std::function<absl::Time()>& now, absl::Time until);
  void Wake();

 private:
  void Observe(absl::Time now, Event event);
  void Carry(absl::Time now, const Decision& decision);

  Autoscaler core_;
  Executor& executor_;
  Journal& journal_;
  Mailbox mailbox_;
  std::function<void(std::shared_ptr<const Decision>)> listener_;
  mutable absl::Mutex latest_mutex_;
  std::shared_ptr<const Decision> latest_ ABSL_GUARDED_BY(latest_mutex_);
};

}  // namespace headroom
