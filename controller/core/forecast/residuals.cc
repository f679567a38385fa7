#include "controller/core/forecast/residuals.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace headroom::forecast {
namespace {

constexpr double kFine = 4;      // 1 / kFine: below it bins are of equal width, beyond it they grow
constexpr double kPerUnit = 20;  // bins for each unit of asinh
constexpr double kWeightMax = 1e12;

}  // namespace

Residuals::Residuals(double memory_samples) : growth_(std::expm1(1 / memory_samples)) {}

void Residuals::Add(double scaled_error, double weight) {
  const double bin = std::floor(std::asinh(scaled_error * kFine) * kPerUnit) + kBins / 2.0;
  bins_[static_cast<size_t>(std::clamp(bin, 0.0, kBins - 1.0))] += weight * weight_;
  total_ += weight * weight_;
  count_ += weight;
  weight_ *= 1 + weight * growth_;
  if (weight_ < kWeightMax) return;
  for (double& one : bins_) one /= weight_;
  total_ /= weight_;
  weight_ = 1;
}

bool Residuals::CanTell(double p) const {
  return count_ * std::min(p, 1 - p) >= kBeyond;
}

double Residuals::Quantile(double p) const {
  if (total_ <= 0) return 0;
  const auto edge = [](double bin) { return std::sinh((bin - kBins / 2.0) / kPerUnit) / kFine; };
  const double target = p * total_;
  double below = 0;
  // What is far below all errors is empty.
  const auto* const first = std::find_if(bins_.begin(), bins_.end(), [](double one) { return one != 0; });
  for (auto bin = static_cast<size_t>(first - bins_.begin()); bin < bins_.size(); ++bin) {
    if (bins_[bin] > 0 && below + bins_[bin] >= target) {
      return edge(static_cast<double>(bin) + (target - below) / bins_[bin]);
    }
    below += bins_[bin];
  }
  return edge(kBins);
}

}  // namespace headroom::forecast
