#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/lab/trace.h"

namespace headroom::lab {

// Traces made from a seed. All begin on a Monday at midnight and have a mean of about 1000.
//   diurnal   days and weekends
//   campaign  the same, and each Friday from 18:00 to 22:00 three times of it
//   bursty    the same, and about six times a day a burst of 2 to 8 times that fades within half an hour
//   step      a level that jumps about twice a day
//   noisy     a level under noise of 30 % that lasts some five minutes
struct SyntheticOptions {
  std::string shape = "diurnal";
  absl::Duration length = absl::Hours(24 * 14);
  absl::Duration step = absl::Minutes(1);
  uint64_t seed = 1;
};

const std::vector<std::string>& SyntheticShapes();

// INVALID_ARGUMENT: a shape that is not known, a step below a second or over an hour, a length below two steps or of
// more rows than a trace may have.
absl::StatusOr<Trace> MakeTrace(const SyntheticOptions& options);

}  // namespace headroom::lab
