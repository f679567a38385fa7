#pragma once

#include <cstdint>

namespace headroom::forecast {

// The same chance on every machine (splitmix64).
class Chance {
 public:
  double Between(double low, double high) {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return low + (high - low) * static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_ = 1;
};

}  // namespace headroom::forecast
