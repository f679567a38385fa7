#include "controller/lab/vus_pr.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "controller/base/check.h"

namespace headroom::lab {
namespace {

constexpr size_t kThresholds = 250;
constexpr size_t kLagMin = 3, kLagMax = 400, kLagUsedMax = 300, kLagDefault = 125;
constexpr size_t kLagRowsMax = 20000;

// Sums over the rows that each threshold, from the strictest to the loosest, counts as detected.
using PerThreshold = std::array<double, kThresholds>;

PerThreshold Accumulated(PerThreshold added) {
  for (size_t k = 1; k < kThresholds; ++k) added[k] += added[k - 1];
  return added;
}

// Surface: what does not depend on the margin, and the average precision at one margin.
class Surface {
 public:
  Surface(absl::Span<const double> scores, const std::vector<RowRange>& ranges)
      : ranges_(ranges), rows_(scores.size()), first_(scores.size()) {
    std::vector<double> sorted(scores.begin(), scores.end());
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    std::vector<double> thresholds(kThresholds);
    for (size_t k = 0; k < kThresholds; ++k) thresholds[k] = sorted[k * (rows_ - 1) / (kThresholds - 1)];
    PerThreshold predicted{}, inside{};
    for (size_t row = 0; row < rows_; ++row) {
      const auto found = std::lower_bound(thresholds.begin(), thresholds.end(), scores[row], std::greater<>());
      first_[row] = static_cast<size_t>(found - thresholds.begin());
      ++predicted[first_[row]];
    }
    for (const RowRange& range : ranges) {
      labelled_ += static_cast<double>(range.rows());
      for (size_t row = range.first; row <= range.last; ++row) ++inside[first_[row]];
    }
    predicted_ = Accumulated(predicted);
    inside_ = Accumulated(inside);
  }

  double AveragePrecision(size_t margin) const {
    const PerThreshold soft = Accumulated(Soft(margin));
    const PerThreshold found = Accumulated(FirstFound(margin / 2));
    double area = 0, recall_before = 0;
    for (size_t k = 0; k < kThresholds; ++k) {
      const double hits = inside_[k] + soft[k];
      const double wanted = (labelled_ + labelled_ + soft[k]) / 2;
      const double recall = std::min(hits / wanted, 1.0) * found[k] / found.back();
      area += (recall - recall_before) * hits / predicted_[k];
      recall_before = recall;
    }
    return area;
  }

 private:
  // The margins' labels, at the threshold that first detects the row. Margins that meet add up, to 1 at most.
  PerThreshold Soft(size_t margin) const {
    std::vector<double> label(rows_, 0.0);
    for (const RowRange& range : ranges_) {
      for (size_t away = 1; away <= margin / 2; ++away) {
        const double weight = std::sqrt(1.0 - static_cast<double>(away) / static_cast<double>(margin));
        if (range.first >= away) label[range.first - away] += weight;
        if (range.last + away < rows_) label[range.last + away] += weight;
      }
    }
    for (const RowRange& range : ranges_) {
      std::fill(label.begin() + static_cast<std::ptrdiff_t>(range.first),
                label.begin() + static_cast<std::ptrdiff_t>(range.last) + 1, 0.0);
    }
    PerThreshold added{};
    for (size_t row = 0; row < rows_; ++row) {
      if (label[row] > 0) added[first_[row]] += std::min(label[row], 1.0);
    }
    return added;
  }

  // How many ranges, with margins and merged where those meet, each threshold is the first to touch.
  PerThreshold FirstFound(size_t reach) const {
    PerThreshold added{};
    for (size_t i = 0; i < ranges_.size();) {
      const size_t begin = ranges_[i].first - std::min(ranges_[i].first, reach);
      size_t last = i;
      while (last + 1 < ranges_.size() && ranges_[last].last + reach + reach >= ranges_[last + 1].first) ++last;
      const size_t end = std::min(ranges_[last].last + reach, rows_ - 1);
      ++added[*std::min_element(first_.begin() + static_cast<std::ptrdiff_t>(begin),
                                first_.begin() + static_cast<std::ptrdiff_t>(end) + 1)];
      i = last + 1;
    }
    return added;
  }

  const std::vector<RowRange>& ranges_;
  size_t rows_;
  std::vector<size_t> first_;  // of each row: the strictest threshold that detects it
  double labelled_ = 0;
  PerThreshold predicted_, inside_;
};

double Autocorrelation(absl::Span<const double> centred, size_t lag) {
  double sum = 0;
  for (size_t row = lag; row < centred.size(); ++row) sum += centred[row] * centred[row - lag];
  return sum;
}

}  // namespace

double VusPr(absl::Span<const double> scores, const std::vector<RowRange>& ranges, size_t margin_rows_max) {
  HR_CHECK(!ranges.empty() && ranges.back().last < scores.size());
  const Surface surface(scores, ranges);
  double volume = 0;
  for (size_t margin = 0; margin <= margin_rows_max; ++margin) volume += surface.AveragePrecision(margin);
  return volume / static_cast<double>(margin_rows_max + 1);
}

size_t DominantLag(absl::Span<const double> values) {
  values = values.subspan(0, kLagRowsMax);
  double mean = 0;
  for (double value : values) mean += value / static_cast<double>(values.size());
  std::vector<double> centred(values.begin(), values.end());
  for (double& value : centred) value -= mean;
  std::vector<double> correlation;
  for (size_t lag = kLagMin; lag <= kLagMax && lag < values.size(); ++lag) {
    correlation.push_back(Autocorrelation(centred, lag));
  }
  size_t best = 0;
  for (size_t i = 1; i + 1 < correlation.size(); ++i) {
    const bool peak = correlation[i] > correlation[i - 1] && correlation[i] > correlation[i + 1];
    if (peak && (best == 0 || correlation[i] > correlation[best])) best = i;
  }
  const size_t lag = best + kLagMin;
  return best == 0 || lag > kLagUsedMax ? kLagDefault : lag;
}

}  // namespace headroom::lab
