#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace headroom::sim {

// Dice: what chance decides about an incident. The same seed throws the same, in every build.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed * 7919 + 13) { random_.discard(4); }
  double Between(double low, double high) {
    return low + (high - low) * static_cast<double>(random_() >> 11) * 0x1p-53;
  }
  // As likely to be in one octave as in another.
  double Scale(double low, double high) { return low * std::exp(Between(0, std::log(high / low))); }
  int Whole(int low, int high) { return low + static_cast<int>(random_() % static_cast<uint64_t>(high - low + 1)); }
  bool Chance(double p) { return Between(0, 1) < p; }

 private:
  std::mt19937_64 random_;
};

// The model's clock knows nothing between two nanoseconds.
inline absl::Duration Whole(double seconds) {
  return absl::Milliseconds(std::llround(1000 * seconds));
}

}  // namespace headroom::sim
