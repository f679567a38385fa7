#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace headroom::lab {

// Rows from `first` to `last`, both included.
struct RowRange {
  size_t first = 0;
  size_t last = 0;
  size_t rows() const { return last - first + 1; }
};

// LabelledSeries: a series with the ranges in which somebody who knows saw something wrong. Ranges are in order and do
// not overlap; `times`, `stamps` and `values` are equally long. Times may repeat (daylight saving) but are as in the
// file.
struct LabelledSeries {
  std::string name;                 // the file, as the labels call it
  std::vector<std::string> notes;   // what was repaired, one sentence each
  std::vector<absl::Time> times;    // UTC, whatever the zone of the source was
  std::vector<std::string> stamps;  // as written in the file
  std::vector<double> values;
  std::vector<RowRange> anomalies;

  std::vector<int> Labels() const {  // 1 in an anomaly, one a row
    std::vector<int> labels(values.size(), 0);
    for (const RowRange& range : anomalies) {
      for (size_t row = range.first; row <= range.last; ++row) labels[row] = 1;
    }
    return labels;
  }
};

}  // namespace headroom::lab
