#pragma once

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "controller/core/event.h"

namespace headroom {

// Mailbox: the only way into the control loop. Reports of one node (or balancer) replace each other, so its size is
// bounded by the reporters plus kOthersMax other events. Post() from any thread; Drain() from the loop only. Order is
// kept between events, except that a replaced report takes the place of the older one... and never moves before a join
// or leave of its node.
class Mailbox {
 public:
  static constexpr size_t kOthersMax = 100'000;

  void Post(Event event);
  std::vector<Event> Drain();

 private:
  absl::Mutex mutex_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
