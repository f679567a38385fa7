#pragma once

#include <cmath>
#include <cstdint>
#include <random>

namespace headroom::sim {

// Distributions of our own: those of the standard library differ between builds, and a seed must mean one run.
using Random = std::mt19937_64;

// Uniform in [0, 1).
inline double Uniform(Random& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}
// Exponential with mean 1.
inline double Exponential(Random& random) {
  return -std::log1p(-Uniform(random));
}
// Uniform in [0, count).
inline uint32_t Index(Random& random, uint32_t count) {
  return static_cast<uint32_t>(((random() >> 32) * uint64_t{count}) >> 32);
}

}  // namespace headroom::sim
