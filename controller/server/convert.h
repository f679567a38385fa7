#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/nodes/trial.h"
#include "controller/core/report.h"
#include "controller/runtime/wire_time.h"
#include "headroom/v1/admin.pb.h"
#include "headroom/v1/decision.pb.h"
#include "headroom/v1/load.pb.h"

// Wire <-> core. Inwards everything is checked, because a reporter may be wrong: a message with one bad value is
// refused whole (INVALID_ARGUMENT naming the field and the value), never clamped, so that no half truth reaches the
// core. What is absent on the wire stays unknown; what is there must be plausible. Outwards nothing can fail. Pure
// functions, any thread.

namespace headroom {

// Bounds of what a report may say. Beyond them it is a fault of the reporter, not a big cluster.
inline constexpr int64_t kConnectionsMax = 10'000'000;
inline constexpr int64_t kCounterMax = int64_t{1} << 53;  // exact in a double
inline constexpr int64_t kBytesMax = int64_t{1} << 62;    // a 100 Gbit/s node passes 2^53 bytes in 8 days
inline constexpr double kRatioTolerance = 0.01;           // pressure files round
inline constexpr absl::Duration kDurationMax = absl::Hours(24 * 365 * 100);
inline constexpr int32_t kProtocolVersion = 1;

absl::StatusOr<NodeHello> ToNodeHello(const v1::Hello& hello);
absl::StatusOr<NodeReport> ToNodeReport(const v1::NodeLoad& load);
absl::StatusOr<BalancerReport> ToBalancerReport(const v1::BalancerLoad& load);
// 1 to 253 of [a-z0-9.-].
absl::Status CheckReporterId(absl::string_view id);

// Why a message was refused, as a metric's label: "not_finite", "negative", "too_large", "ratio", "buckets", "id",
// "too_many", "too_long", "missing", "time", "text". "other" for a status that is not ours.
absl::string_view RefusalLabel(const absl::Status& status);
// All labels that RefusalLabel can answer.
const std::vector<std::string>& RefusalLabels();

// Whether sentences are rendered into `text`.
enum class Rendering { kCodesOnly, kSentences };

v1::Reason ToWire(const Reason& reason, Rendering rendering);
v1::Diagnosis ToWire(const Diagnosis& diagnosis, Rendering rendering);
v1::Decision ToWire(const Decision& decision, Rendering rendering);
v1::Mode ToWire(Mode mode);
v1::Trial ToWire(const Trial& trial);
// `now` gives the ages and which fixed limit still holds.
v1::Node ToWire(const Node& node, const Policy& policy, absl::Time now);
v1::Hold ToWire(const HoldChanged& hold);
v1::Override ToWire(const OverrideSet& override_set);
v1::LimitGrant ToWire(const GrantLimits& grant);
v1::Shed ToWire(const ShedConnections& shed);
v1::ServerTarget ToWire(const ServerTarget& target);

}  // namespace headroom
