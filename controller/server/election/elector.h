#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/server/election/candidate.h"

namespace headroom {

// Elector: keeps a candidate at it on a thread of its own, and tells how it stands. Time is the monotonic clock's:
// leadership ends by itself when it could not be renewed, also while the thread that renews it is stuck. It is led
// once: who has lost it and would have it again does not know what happened in between. Thread-safe.
class Elector {
 public:
  explicit Elector(std::unique_ptr<Candidate> candidate);
  // Does not release: see Release().
  ~Elector();

  Standing standing() const;
  // Nobody else can lead for so long from now on; zero: this process does not lead, or may not any more.
  absl::Duration TimeLeft() const;
  bool Leads() const { return TimeLeft() > absl::ZeroDuration(); }
  // It has led and does not any more: it never will again.
  bool HasLost() const;
  // Asks the engine anew and waits for its answer: whether this process leads. False after `timeout`.
  bool Recheck(absl::Duration timeout);
  // Readable whenever the standing has become another one; read it with Drain().
  int fd() const { return event_fd_; }
  void Drain();
  // Ends the tries and gives leadership back. To be called once everything that it guarded has ended.
  absl::Status Release();

 private:
  void Run();
  void Stop();
  void Take(const Standing& standing) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration TimeLeftLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<Candidate> candidate_;
  const int event_fd_;
  mutable Monitor mutex_;
  Standing standing_ ABSL_GUARDED_BY(mutex_);
  bool has_led_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_lost_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t asked_ ABSL_GUARDED_BY(mutex_) = 0;  // rounds asked for out of turn, begun and ended
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace headroom
