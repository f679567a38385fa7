#include "controller/core/forecast/linear_predictor.h"

#include <cmath>
#include <cstddef>
#include <numeric>

namespace headroom::forecast {
namespace {

// Where features carry nothing new, forgetting alone would let the covariance grow without end ("wind-up").
constexpr double kMeanVarianceMax = 1e6;

constexpr size_t RowAt(size_t row) {
  return row * (row + 1) / 2;
}

}  // namespace

LinearPredictor::LinearPredictor(double memory_samples, int begins_as)
    : forgetting_(std::exp(-1 / memory_samples)), covariance_(RowAt(kFeatures), 0) {
  for (size_t i = 0; i < kFeatures; ++i) covariance_[RowAt(i) + i] = 1;
  coefficients_[static_cast<size_t>(begins_as)] = 1;
}

double LinearPredictor::Predict(const Features& features) const {
  return std::inner_product(features.begin(), features.end(), coefficients_.begin(), 0.0);
}

void LinearPredictor::Learn(const Features& features, double target, double weight) {
  Features gain{};
  for (size_t i = 0; i < kFeatures; ++i) {
    const double* const row = &covariance_[RowAt(i)];
    double sum = 0;  // of its own, so that it stays in a register
    for (size_t j = 0; j < i; ++j) {
      sum += row[j] * features[j];
      gain[j] += row[j] * features[i];
    }
    gain[i] = sum + row[i] * features[i];
  }
  const double error = target - Predict(features);
  const double energy = std::inner_product(features.begin(), features.end(), gain.begin(), forgetting_ / weight);
  double variance = 0;
  for (size_t i = 0; i < kFeatures; ++i) {
    coefficients_[i] += gain[i] * error / energy;
    variance += covariance_[RowAt(i) + i];
  }
  const double growth = variance < kMeanVarianceMax * kFeatures ? 1 / forgetting_ : 1;
  for (size_t i = 0; i < kFeatures; ++i) {
    double* const row = &covariance_[RowAt(i)];
    const auto next = [&](size_t j) { return (row[j] - gain[i] * gain[j] / energy) * growth; };
    size_t j = 0;
    for (; j < i; j += 2) {  // by twos: the divisions, which are what it costs, are done in pairs
      const double first = next(j), second = next(j + 1);
      row[j] = first;
      row[j + 1] = second;
    }
    if (j == i) row[i] = next(i);
  }
}

}  // namespace headroom::forecast
