#pragma once

#include <array>
#include <vector>

namespace headroom::forecast {

inline constexpr int kFeatures = 26;
using Features = std::array<double, kFeatures>;

// LinearPredictor: recursive least squares with exponential forgetting (Haykin, Adaptive Filter Theory, ch. 10). It
// begins as "the next value is the feature `begins_as`", so that a series of which little is known is predicted by its
// last value. O(kFeatures^2) a sample, 3.5 kB. Copyable; thread-compatible.
class LinearPredictor {
 public:
  LinearPredictor() = default;  // to be read into
  LinearPredictor(double memory_samples, int begins_as);

  double Predict(const Features& features) const;
  // `weight`: how much this sample counts, 1 as any other.
  void Learn(const Features& features, double target, double weight);
  // Whether what was read has the shape that this release computes with.
  bool IsWhole() const { return covariance_.size() == kFeatures * (kFeatures + 1) / 2; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("forgetting", self.forgetting_);
    visit("coefficients", self.coefficients_);
    visit("covariance", self.covariance_);
  }

 private:
  double forgetting_ = 1;
  Features coefficients_{};
  std::vector<double> covariance_;  // lower triangle, row by row
};

}  // namespace headroom::forecast
