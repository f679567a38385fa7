#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "controller/base/check.h"

namespace headroom::sim {

// One thing that will happen. `subject` and `serial` name what it happens to; a subject that has moved on has another
// serial, so nothing is ever taken out of a queue early.
struct Timer {
  int64_t at_nanos = std::numeric_limits<int64_t>::max();
  uint64_t order = 0;  // of their making: ties of time
  uint32_t subject = 0, serial = 0;
  uint8_t kind = 0;

  bool operator<(const Timer& other) const {
    return at_nanos != other.at_nanos ? at_nanos < other.at_nanos : order < other.order;
  }
};

// Timers: what happens next. Timers that are all made with the same delay (time-outs) go through a queue each, which
// costs nothing next to the heap; all others through the heap. Deterministic: by time, then by order of making.
class Timers {
 public:
  static constexpr int kQueues = 2;

  // Any delay.
  void Add(Timer timer) {
    timer.order = ++made_;
    heap_.push_back(timer);
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  // Never earlier than what was added to this queue before.
  void AddInOrder(int queue, Timer timer) {
    std::deque<Timer>& line = queues_[queue];
    HR_CHECK(line.empty() || line.back().at_nanos <= timer.at_nanos);
    timer.order = ++made_;
    line.push_back(timer);
  }

  int64_t NextAt() const { return Next().at_nanos; }
  // The earliest; NextAt() must not be the end of time.
  Timer Pop() {
    int from = kQueues;
    Timer next = heap_.empty() ? Timer{} : heap_.front();
    for (int queue = 0; queue < kQueues; ++queue) {
      if (!queues_[queue].empty() && queues_[queue].front() < next) {
        next = queues_[queue].front();
        from = queue;
      }
    }
    if (from < kQueues) {
      queues_[from].pop_front();
    } else {
      std::pop_heap(heap_.begin(), heap_.end(), Later);
      heap_.pop_back();
    }
    return next;
  }

 private:
  static bool Later(const Timer& a, const Timer& b) { return b < a; }
  Timer Next() const {
    Timer next = heap_.empty() ? Timer{} : heap_.front();
    for (const std::deque<Timer>& line : queues_) {
      if (!line.empty() && line.front() < next) next = line.front();
    }
    return next;
  }

  std::vector<Timer> heap_;
  std::deque<Timer> queues_[kQueues];
  uint64_t made_ = 0;
};

}  // namespace headroom::sim
