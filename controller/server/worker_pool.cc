#include "controller/server/worker_pool.h"

#include <utility>

namespace headroom {

WorkerPool::WorkerPool(const Options& options) : queue_max_(options.queue_max) {
  for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Work(); });
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Submit(std::function<void()> job, absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  if (stopping_ || queue_.size() >= queue_max_) return false;
  queue_.emplace(Clock::now() + absl::ToChronoNanoseconds(delay), std::move(job));
  changed_.Signal();
  return true;
}

void WorkerPool::Work() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Duration left =
        queue_.empty() ? absl::InfiniteDuration() : absl::FromChrono(queue_.begin()->first - Clock::now());
    if (left > absl::ZeroDuration()) {
      changed_.WaitWithTimeout(&mutex_, left);
      continue;
    }
    const std::function<void()> job = std::move(queue_.extract(queue_.begin()).mapped());
    mutex_.Unlock();
    job();
    mutex_.Lock();
  }
}

}  // namespace headroom
