#include "controller/core/forecast/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace headroom::forecast {

Mixture::Mixture(std::vector<double> first, double memory_samples)
    : first_(std::move(first)),
      weights_(first_),
      regrets_(first_.size(), 0),
      squares_(first_.size(), 0),
      keep_(1 - 1 / memory_samples) {}

double Mixture::Mix(const std::vector<double>& predictions) const {
  return std::inner_product(predictions.begin(), predictions.end(), weights_.begin(), 0.0);
}

void Mixture::Learn(const std::vector<double>& predictions, double mix, double slope, double scale) {
  double sum = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const double regret = slope * (mix - predictions[i]) / scale;
    regrets_[i] = keep_ * regrets_[i] + regret;
    squares_[i] = keep_ * squares_[i] + regret * regret;
    weights_[i] = squares_[i] > 0 ? std::max(0.0, regrets_[i]) / squares_[i] : 0;
    sum += weights_[i];
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    weights_ = first_;
    return;
  }
  for (double& weight : weights_) weight /= sum;
}

void Mixture::Doubt() {
  constexpr double kKept = 0.1;
  for (double& regret : regrets_) regret *= kKept;
  for (double& square : squares_) square *= kKept * kKept;
}

}  // namespace headroom::forecast
