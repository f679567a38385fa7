#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace headroom::lab {

// The two methods that lead TSB-AD's list of simple detectors, as it runs them (NeurIPS 2024, with its best settings),
// to be compared with ours. Both see the whole series before they judge its first row. One score a row, higher is
// stranger; `window` (at least 2) is the length of what repeats.

// POLY: how far a window is from the polynomial of degree 4 through its neighbourhood (ten windows, without itself):
// root mean square. The first tenth of the rows, at most 500, scores 0.
std::vector<double> PolyScores(absl::Span<const double> values, size_t window);

// Sub-PCA: the distance of a sliding window, standardised by column, from each unit vector of the principal axes,
// weighted by one over the variance that the axis explains. Written to the middle of the window.
std::vector<double> SubPcaScores(absl::Span<const double> values, size_t window);

}  // namespace headroom::lab
