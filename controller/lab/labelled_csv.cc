#include "controller/lab/labelled_csv.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/lab/trace.h"

namespace headroom::lab {
namespace {

// Rows in a row that are marked are one anomaly.
void Mark(size_t row, std::vector<RowRange>& anomalies) {
  const bool goes_on = !anomalies.empty() && anomalies.back().last + 1 == row;
  if (!goes_on) anomalies.push_back({row, row});
  anomalies.back().last = row;
}

}  // namespace

absl::StatusOr<LabelledSeries> LoadLabelledCsv(const std::string& path) {
  HR_ASSIGN_OR_RETURN(Trace trace, ReadTrace(path));
  const absl::StatusOr<Trace> labels = ReadTrace(absl::StrCat(path, ":label"));
  if (!labels.ok() && !absl::IsNotFound(labels.status())) return labels.status();
  LabelledSeries series{.name = path, .notes = std::move(trace.notes)};
  for (size_t i = 0; i < trace.samples.size(); ++i) {
    const auto [seconds, value] = trace.samples[i];
    if (std::isnan(value)) continue;
    const double label = labels.ok() ? labels->samples[i].value : 0;
    if (label != 0 && !std::isnan(label)) Mark(series.values.size(), series.anomalies);
    series.times.push_back(absl::FromUnixSeconds(seconds));
    series.stamps.push_back(absl::StrCat(seconds));
    series.values.push_back(value);
  }
  return series;
}

}  // namespace headroom::lab
