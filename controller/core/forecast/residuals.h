#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace headroom::forecast {

// Residuals: the distribution of scaled errors, the newer counting more: a histogram that is fine around zero and
// coarse far out (asinh), 2 kB. Copyable; thread-compatible.
class Residuals {
 public:
  Residuals() = default;  // to be read into
  explicit Residuals(double memory_samples);

  void Add(double scaled_error);
  // The p-quantile, within a bin's width (1.25 % of its size). Unknown: of too few errors to tell.
  std::optional<double> Quantile(double p) const;

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
  double growth_ = 1;  // instead of shrinking all the old, the new counts more
  double weight_ = 1;  // of the next one
  double total_ = 0;
  int64_t count_ = 0;
  std::array<double, kBins> bins_{};
};

}  // namespace headroom::forecast
