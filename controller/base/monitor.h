#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace headroom {

// Monitor: a mutex with one condition, whose waits follow the monotonic clock. Those of absl::Mutex and absl::CondVar
// (20220623) end at a time of day: when the clock is set back by an hour, they last an hour longer. Thread-safe.
class ABSL_LOCKABLE Monitor {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

  // Wakes all that wait.
  void Notify() { changed_.notify_all(); }
  // Gives the lock up until Notify(), until `longest` (at most an hour) has passed, or for no reason.
  void Wait(absl::Duration longest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
    std::unique_lock lock(mutex_, std::adopt_lock);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(std::clamp(longest, absl::ZeroDuration(), absl::Hours(1))));
    lock.release();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

class ABSL_SCOPED_LOCKABLE MonitorLock {
 public:
  explicit MonitorLock(Monitor& monitor) ABSL_EXCLUSIVE_LOCK_FUNCTION(monitor) : monitor_(monitor) { monitor_.Lock(); }
  ~MonitorLock() ABSL_UNLOCK_FUNCTION() { monitor_.Unlock(); }
  MonitorLock(const MonitorLock&) = delete;
  MonitorLock& operator=(const MonitorLock&) = delete;

 private:
  Monitor& monitor_;
};

}  // namespace headroom
