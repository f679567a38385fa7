#include "controller/lab/labelled_csv.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/base/status.h"
#include "controller/lab/trace.h"

namespace headroom::lab {
namespace {

constexpr const char* kLabelColumns[] = {"label", "anomaly", "is_anomaly", "is_anomaly_label"};

// Rows in a row that are marked are one anomaly.
void Mark(size_t row, std::vector<RowRange>& anomalies) {
  const bool goes_on = !anomalies.empty() && anomalies.back().last + 1 == row;
  if (!goes_on) anomalies.push_back({row, row});
  anomalies.back().last = row;
}

// NOT_FOUND: there is no such column.
absl::StatusOr<Trace> ReadLabels(const std::string& file) {
  for (const char* column : kLabelColumns) {
    absl::StatusOr<Trace> labels = ReadTrace(absl::StrCat(file, ":", column), Negatives::kKept);
    if (labels.ok() || !absl::IsNotFound(labels.status())) return labels;
  }
  return absl::NotFoundError("no label");
}

}  // namespace

absl::StatusOr<LabelledSeries> LoadLabelledCsv(const std::string& source) {
  HR_ASSIGN_OR_RETURN(Trace trace, ReadTrace(source, Negatives::kKept));
  const std::string file = TraceFile(source);
  if (std::find(std::begin(kLabelColumns), std::end(kLabelColumns), trace.column) != std::end(kLabelColumns)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": its first column is ", trace.column, ": name the one to be judged as FILE:COLUMN"));
  }
  const absl::StatusOr<Trace> labels = ReadLabels(file);
  if (!labels.ok() && !absl::IsNotFound(labels.status())) return labels.status();
  if (!labels.ok()) {
    trace.notes.push_back(absl::StrCat("no column says what is an anomaly (", absl::StrJoin(kLabelColumns, ", "),
                                       "): every alarm counts as false"));
  }
  LabelledSeries series{.name = source, .notes = std::move(trace.notes)};
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
