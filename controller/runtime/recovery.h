#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/policy.h"
#include "controller/runtime/journal.h"

namespace headroom {

// The highest term of another controller that is believed. A hello may say more, and only its node then refuses us:
// taken over, it would soon be beyond what any hello may carry, and lock out the whole cluster for ever.
constexpr int64_t kTermSeenMax = int64_t{1} << 52;

// Brings the core back to where the last process left it, kill -9 included, under a new term (one above the highest in
// the journal, written before it is used) and under `policy`, the one of now. Loads the newest snapshot and gives the
// core again what was recorded after it; the decisions of those ticks were carried out then and are dropped. Where the
// record has gaps only its facts are used. The controller's own absence is taken as nobody's silence: streams have
// ended, but nodes are given the time that they had, those that are being launched too. Machine actions without an
// outcome stay in flight until the provider's list, which the core asks for, or their timeout tells. Errors of the
// journal pass through.
absl::StatusOr<Autoscaler> Recover(Journal& journal, Policy policy, absl::Time now);

}  // namespace headroom
