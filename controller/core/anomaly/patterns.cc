#include "controller/core/anomaly/patterns.h"

#include <algorithm>
#include <cmath>

namespace headroom {
namespace {

constexpr double kSteps = 512;
constexpr double kDeviationMax = 12;  // beyond it, all is equally strange
constexpr uint32_t kUse = 1024;       // what a use counts; each new pattern fades all earlier uses by a 1024th
constexpr uint32_t kUsesMax = 1u << 30;

static_assert(kSteps * kDeviationMax * 2 < 32768 / 2.0);

}  // namespace

PatternBook::Nearest PatternBook::FindNearest() const {
  std::array<int32_t, kPatterns> squares{};
  for (size_t sample = 0; sample < kLength; ++sample) {
    const int16_t* of_all = &patterns_[sample * kPatterns];
    const int16_t own = window_[sample];
    for (size_t i = 0; i < kPatterns; ++i) {
      const auto apart = static_cast<int16_t>(of_all[i] - own);
      squares[i] += (int32_t{apart} * apart) >> 4;  // 12 squares of 28 bits do not fit otherwise
    }
  }
  const auto end = squares.begin() + std::min<std::ptrdiff_t>(known_, kPatterns);
  const auto best = std::min_element(squares.begin(), end);
  const double mean = static_cast<double>(*best) * 16 / kLength;
  return {static_cast<size_t>(best - squares.begin()), std::sqrt(mean) / kSteps};
}

double PatternBook::Add(double deviation, double new_distance, double rate) {
  std::rotate(window_.begin(), window_.begin() + 1, window_.end());
  window_.back() = static_cast<int16_t>(std::lround(std::clamp(deviation, -kDeviationMax, kDeviationMax) * kSteps));
  if (++held_ < kLength) return -1;
  held_ = kLength;
  if (known_ == 0) {
    Learn({.distance = new_distance + 1}, new_distance, rate);
    return -1;
  }
  const Nearest nearest = FindNearest();
  Learn(nearest, new_distance, rate);
  return nearest.distance;
}

void PatternBook::Learn(const Nearest& nearest, double new_distance, double rate) {
  size_t pattern = nearest.pattern;
  if (nearest.distance > new_distance) {
    pattern = known_ < kPatterns ? known_++
                                 : static_cast<size_t>(std::min_element(uses_.begin(), uses_.end()) - uses_.begin());
    for (uint32_t& uses : uses_) uses -= (uses + kUse - 1) / kUse;
    uses_[pattern] = 0;
    rate = 1;
  }
  for (size_t sample = 0; sample < kLength; ++sample) {
    int16_t& known = patterns_[sample * kPatterns + pattern];
    known = static_cast<int16_t>(known + static_cast<int>(rate * (window_[sample] - known)));
  }
  uses_[pattern] = std::min(uses_[pattern] + kUse, kUsesMax);
}

}  // namespace headroom
