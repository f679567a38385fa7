#pragma once

#include <array>

namespace headroom::forecast {

// Residuals: the distribution of scaled errors, the newer counting more: a histogram that is fine around zero and
// coarse far out (asinh), 2 kB. Copyable; thread-compatible.
class Residuals {
 public:
  // So many errors must lie beyond a quantile, were they all as old as now, before it can be told.
  static constexpr double kBeyond = 5;
  Residuals() = default;  // to be read into
  explicit Residuals(double memory_samples);

  // `weight`: the part of a sample that this error stands for.
  void Add(double scaled_error, double weight = 1);
  // Whether enough errors were seen to tell the p-quantile.
  bool CanTell(double p) const;
  // The p-quantile, within a bin's width (1.25 % of its size); 0 where nothing was added.
  double Quantile(double p) const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("growth", self.growth_);
    visit("weight", self.weight_);
    visit("total", self.total_);
    visit("count", self.count_);
    visit("bins", self.bins_);
  }

 private:
  static constexpr int kBins = 240;
  double growth_ = 0;  // a sample; instead of shrinking all the old, the new counts more
  double weight_ = 1;  // of the next one
  double total_ = 0;
  double count_ = 0;
  std::array<double, kBins> bins_{};
};

}  // namespace headroom::forecast
