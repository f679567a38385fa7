#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

#include "controller/lab/labelled_series.h"

namespace headroom::lab {

// The volume under the surface of precision and recall (Paparrizos et al., VLDB 2022; as TSB-AD, NeurIPS 2024, computes
// it): the average precision of a score against ranges that carry a soft margin on both sides, averaged over the
// margins from 0 to `margin_rows_max`. Thresholds are 250 equally spaced ranks of the score. Recall counts how much of
// the ranges is found, times the part of the ranges that is found at all. In [0, 1]; only the order of the scores
// matters. `ranges` are in order, do not overlap, lie within the scores and are at least one. O(rows log rows + margins
// * rows in margins).
double VusPr(absl::Span<const double> scores, const std::vector<RowRange>& ranges, size_t margin_rows_max);

// The length of what repeats in the series: the lag of the highest local maximum of its autocorrelation among lags 3 to
// 400 of its first 20,000 rows; 125 where there is none or it lies beyond 300. The margin, and the rivals' window.
size_t DominantLag(absl::Span<const double> values);

}  // namespace headroom::lab
