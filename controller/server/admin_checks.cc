#include "controller/server/admin_checks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "controller/server/checker.h"
#include "controller/server/convert.h"

namespace headroom {
namespace {

constexpr size_t kReasonMax = 500;
constexpr size_t kActorMax = 200;
constexpr absl::Duration kDurationUsual = absl::Hours(1);
constexpr absl::Duration kHoldMax = absl::Hours(24 * 7);
constexpr int kNodesMax = 20'000;

}  // namespace

absl::Status CheckReason(const std::string& reason, ReasonRule rule) {
  if (reason.empty() && rule == ReasonRule::kRequired) {
    return absl::InvalidArgumentError("reason: say why, for those who read the journal later");
  }
  Checker check;
  check.Text("reason", reason, kReasonMax);
  return check.status();
}

absl::Status CheckActor(const std::string& actor) {
  Checker check;
  check.Text("actor", actor, kActorMax);
  return check.status();
}

absl::StatusOr<absl::Duration> CheckDuration(bool present, const google::protobuf::Duration& duration) {
  if (!present) return kDurationUsual;
  const absl::Duration asked = FromWire(duration);
  if (asked >= absl::Seconds(1) && asked <= kHoldMax) return asked;
  return absl::InvalidArgumentError(
      absl::StrCat("duration: ", absl::FormatDuration(asked),
                   " is outside 1s to 168h; what must last longer belongs into the policy"));
}

absl::Status CheckOverride(const v1::SetOverrideRequest& request, const NodePolicy& policy) {
  for (const int value : {request.nodes_min(), request.nodes_max(), request.nodes()}) {
    if (value < 0 || value > kNodesMax) {
      return absl::InvalidArgumentError(absl::StrCat("override: ", value, " nodes are outside 0 to ", kNodesMax));
    }
  }
  const int min = request.nodes_min() > 0 ? request.nodes_min() : policy.min;
  const int max = request.nodes_max() > 0 ? request.nodes_max() : policy.max;
  const int floor = std::max(min, policy.data_floor);
  if (min > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("override: min ", min, " exceeds max ", max,
                     "; what the override leaves out comes from the policy, so set both"));
  }
  if (min < policy.data_floor) {
    return absl::InvalidArgumentError(
        absl::StrCat("override: min ", min, " is below the policy's data_floor ", policy.data_floor));
  }
  if (request.nodes() != 0 && (request.nodes() < floor || request.nodes() > max)) {
    return absl::InvalidArgumentError(absl::StrCat("override: ", request.nodes(), " nodes are outside ", floor, " to ",
                                                   max, "; set min or max as well"));
  }
  return absl::OkStatus();
}

absl::Status CheckNodeLimit(int64_t limit_count, const FleetLimitPolicy& policy) {
  const int64_t floor = policy.law.floor_count, ceiling = policy.law.ceiling_count;
  if (limit_count == 0 || (limit_count >= floor && limit_count <= ceiling)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("limit_count: ", limit_count, " is outside the policy's limits.floor ",
                                                 floor, " to limits.ceiling ", ceiling, "; 0 lifts a fixed limit"));
}

absl::StatusOr<Mode> CheckMode(v1::Mode mode) {
  if (mode == v1::MODE_LIVE) return Mode::kLive;
  if (mode == v1::MODE_DRY_RUN) return Mode::kDryRun;
  return absl::InvalidArgumentError(absl::StrCat("mode: ", static_cast<int>(mode), " is not live or dry_run"));
}

absl::StatusOr<HoldDirection> CheckDirection(v1::HoldDirection direction) {
  switch (direction) {
    case v1::HOLD_DIRECTION_UNSPECIFIED:
      return HoldDirection::kNone;
    case v1::HOLD_DIRECTION_UP:
      return HoldDirection::kUp;
    case v1::HOLD_DIRECTION_DOWN:
      return HoldDirection::kDown;
    case v1::HOLD_DIRECTION_BOTH:
      return HoldDirection::kBoth;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("direction: ", static_cast<int>(direction), " is not up, down, both or none"));
  }
}

}  // namespace headroom
