#pragma once

#include <string>
#include <vector>

#include "controller/core/autoscaler.h"
#include "controller/core/policy.h"
#include "controller/runtime/journal.h"

namespace headroom {

// Gives `core` what was recorded and returns the canonical bytes of all its decisions, one after another. The same
// records give the same bytes: from the start, and from a saved state in the middle. Records of ticks must not go back
// in time.
std::string Replay(const std::vector<Recorded>& records, Autoscaler& core);
std::string Replay(const std::vector<Recorded>& records, Policy policy);

}  // namespace headroom
