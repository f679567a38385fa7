#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"

namespace headroom {

// WorkerPool: a few threads for calls that block, with a bounded queue ordered by time. Submit() from any thread, never
// blocks. Stop(), and the destructor, wait for jobs that run and drop those that wait.
class WorkerPool {
 public:
  struct Options {
    int threads = 1;
    size_t queue_max = 1000;
  };
  explicit WorkerPool(const Options& options);
  ~WorkerPool() { Stop(); }
  // Takes nothing from now on. One thread at a time.
  void Stop();

  // Runs `job` on one of the threads, not before `delay` has passed. false: the queue is full, the job is dropped.
  [[nodiscard]] bool Submit(std::function<void()> job, absl::Duration delay = absl::ZeroDuration());

 private:
  // No time of day: it may be set back.
  using Clock = std::chrono::steady_clock;

  void Work();

  const size_t queue_max_;
  Monitor mutex_;
  std::multimap<Clock::time_point, std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace headroom
