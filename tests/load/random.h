#pragma once

#include <cmath>
#include <cstdint>
#include <random>

namespace headroom::load {

// Random: seeded chance whose bytes are the same in every build: raw bits of std::mt19937_64 and our own arithmetic, no
// std:: distribution. Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // Uniform in [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  // Uniform in 0..count-1; the bias is below count * 2^-53.
  int Below(int count) { return static_cast<int>(Uniform() * static_cast<double>(count)); }
  // Exponential with mean 1.
  double Exponential() { return -std::log1p(-Uniform()); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace headroom::load
