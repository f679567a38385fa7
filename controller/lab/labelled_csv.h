#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "controller/lab/labelled_series.h"

namespace headroom {

// A CSV file, plain or gzip, whose header starts with unix_seconds: the value is the second column; a column "label"
// marks the rows of anomalies by anything but 0 (without it there are none). Rows with an empty value are left out.
// INVALID_ARGUMENT names file and line: a cell that is no number, times that do not rise, no rows, more than 20
// million; NOT_FOUND.
absl::StatusOr<LabelledSeries> LoadLabelledCsv(const std::string& path);

}  // namespace headroom
