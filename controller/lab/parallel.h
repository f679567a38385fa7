#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace headroom::lab {

// Does the jobs on `threads` threads, the calling one included, which alone is told how many are done.
inline void DoInParallel(const std::vector<std::function<void()>>& jobs, int threads,
                         const std::function<void(int done)>& progress) {
  std::atomic<size_t> next = 0;
  std::atomic<int> done = 0;
  const auto work = [&](const std::function<void(int)>& report) {
    for (size_t job = next++; job < jobs.size(); job = next++) {
      jobs[job]();
      report(++done);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < std::min(threads, static_cast<int>(jobs.size())); ++i) others.emplace_back(work, [](int) {});
  work(progress);
  for (std::thread& other : others) other.join();
  progress(done);
}

}  // namespace headroom::lab
