#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "controller/lab/labelled_series.h"

namespace headroom::lab {

// A trace file (trace.h) whose first value is judged and whose column "label", where there is one, marks the rows of
// anomalies by anything but 0. Rows with an unknown value are left out. Errors and repairs are those of ReadTrace().
absl::StatusOr<LabelledSeries> LoadLabelledCsv(const std::string& path);

}  // namespace headroom::lab
