#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

#include "controller/core/autoscaler.h"
#include "controller/core/event.h"
#include "headroom/v1/admin.pb.h"

// What a command of an operator must be, in one sentence each. Pure.

namespace headroom {

// At most 500 bytes without control characters; where one is required, not empty.
enum class ReasonRule { kRequired, kOptional };
absl::Status CheckReason(const std::string& reason, ReasonRule rule);
absl::Status CheckActor(const std::string& actor);
// Absent: 1 h. At least 1 s, at most 7 d.
absl::StatusOr<absl::Duration> CheckDuration(bool present, const google::protobuf::Duration& duration);
// The override must leave min <= nodes <= max once the policy fills what it leaves out.
absl::Status CheckOverride(const v1::SetOverrideRequest& request, const NodePolicy& policy);
absl::Status CheckNodeLimit(int64_t limit_count, const FleetLimitPolicy& policy);
absl::StatusOr<Mode> CheckMode(v1::Mode mode);
absl::StatusOr<HoldDirection> CheckDirection(v1::HoldDirection direction);

}  // namespace headroom
