#include "controller/server/worker_pool.h"

#include <utility>

namespace headroom {

WorkerPool::WorkerPool(const Options& options) : queue_max_(options.queue_max) {
  for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Work(); });
}

void WorkerPool::Stop() {
  {
    MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

bool WorkerPool::Submit(std::function<void()> job, absl::Duration delay) {
  MonitorLock lock(mutex_);
  if (stopping_ || queue_.size() >= queue_max_) return false;
  queue_.emplace(Clock::now() + absl::ToChronoNanoseconds(delay), std::move(job));
  mutex_.Notify();
  return true;
}

void WorkerPool::Work() {
  MonitorLock lock(mutex_);
  while (!stopping_) {
    const absl::Duration left =
        queue_.empty() ? absl::InfiniteDuration() : absl::FromChrono(queue_.begin()->first - Clock::now());
    if (left > absl::ZeroDuration()) {
      mutex_.Wait(left);
      continue;
    }
    const std::function<void()> job = std::move(queue_.extract(queue_.begin()).mapped());
    mutex_.Unlock();
    job();
    mutex_.Lock();
  }
}

}  // namespace headroom
