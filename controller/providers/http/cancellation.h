#pragma once

#include <functional>
#include <map>

#include "absl/base/thread_annotations.h"

#include "controller/base/monitor.h"

namespace headroom {

// Cancellation: tells calls that nobody waits for their answer any more. Thread-safe; outlives the calls it is given
// to.
class Cancellation {
 public:
  // Calls `wake` when Cancel() is called, at once where it was: from that thread, and never after the end of its life.
  class Listener {
   public:
    Listener(Cancellation& cancellation, std::function<void()> wake);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    Cancellation& cancellation_;
    int id_ = 0;
  };

  // For good. A listener must not end, and none begin, inside of what it wakes.
  void Cancel();
  bool is_cancelled() const;

 private:
  mutable Monitor mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int, std::function<void()>> wakes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
