#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "controller/lab/labelled_series.h"

namespace headroom::lab {

// FILE or FILE:COLUMN: a trace file (trace.h), but negative values are values. The first value, or the column, is
// judged; the first of the columns label, anomaly, is_anomaly and is_anomaly_label that there is marks the rows of
// anomalies by anything but 0. Where there is none it is noted. Rows with an unknown value are left out. Errors and
// repairs are those of ReadTrace(); INVALID_ARGUMENT, too, where the value would be the label.
absl::StatusOr<LabelledSeries> LoadLabelledCsv(const std::string& source);

}  // namespace headroom::lab
