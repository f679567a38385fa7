#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headroom {

// The words of a plan's command line. Each fault is INVALID_ARGUMENT and says what is understood.

// "2026-11-27T18:00:00Z", "2026-11-27 18:00" (UTC), "2026-11-27" or unix seconds.
absl::StatusOr<absl::Time> ParseMoment(absl::string_view text);
// "10m", "90s", "14d"; longer than nothing.
absl::StatusOr<absl::Duration> ParseSpan(absl::string_view text);
// "5%/month" as a ratio a day: 1.05^(1/30) - 1. Also /day, /week, /year.
absl::StatusOr<double> ParseGrowth(absl::string_view text);
// "500", "2k", "64Mi", "1.5G": a number above 0.
absl::StatusOr<double> ParseAmount(absl::string_view text);

}  // namespace headroom
