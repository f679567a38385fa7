#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "controller/sim/scenario.h"

namespace headroom::lab {

// A trace as the curve of a scenario: FILE or FILE:COLUMN, its median step. What is missing is held over from before;
// what is missing at the beginning is left out. The errors are those of ReadTrace.
absl::StatusOr<sim::RecordedCurve> ReadScenarioCurve(const std::string& source);

}  // namespace headroom::lab
