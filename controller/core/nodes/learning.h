#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/reason.h"

namespace headroom {

// What a young controller still learns, and how long it takes: a reason for each thing that is not ready, of so many
// that there are. Signals that cannot tell are among them. Pure.
struct Learning {
  int total = 0;
  std::vector<Reason> open;
};
Learning LearningOf(const Autoscaler& core, const std::vector<Demand>& demands, absl::Time now);

}  // namespace headroom
