#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace headroom {

// DeviceModel: a declared storage device for demonstrations, off by default: each request takes `latency` in the
// device, which serves `parallel` at once and the others in the order in which they came. It only computes when a
// request is done; the caller waits. A request that gives up keeps its place, as in a real device. Thread-safe.
class DeviceModel {
 public:
  struct Options {
    absl::Duration latency = absl::ZeroDuration();  // zero: no device
    int64_t parallel = 0;                           // 0: any number at once
  };
  explicit DeviceModel(const Options& options) : options_(options) {}

  const Options& options() const { return options_; }
  bool enabled() const { return options_.latency > absl::ZeroDuration(); }

  // When a request that arrives at `now` is done.
  absl::Time Reserve(absl::Time now) {
    std::lock_guard lock(mutex_);
    const absl::Time done = DoneAt(now);
    time_spent_ += done - now;
    return done;
  }
  // Of all requests so far, waiting included.
  absl::Duration time_spent() const {
    std::lock_guard lock(mutex_);
    return time_spent_;
  }

 private:
  absl::Time DoneAt(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (options_.parallel <= 0) return now + options_.latency;
    absl::Time start = now;
    if (static_cast<int64_t>(busy_until_.size()) == options_.parallel) {
      start = std::max(now, busy_until_.top());
      busy_until_.pop();
    }
    busy_until_.push(start + options_.latency);
    return start + options_.latency;
  }

  const Options options_;
  mutable std::mutex mutex_;
  absl::Duration time_spent_ ABSL_GUARDED_BY(mutex_);
  // When each place in the device becomes free, earliest first; at most `parallel`.
  std::priority_queue<absl::Time, std::vector<absl::Time>, std::greater<>> busy_until_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
