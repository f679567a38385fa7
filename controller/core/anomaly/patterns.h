#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace headroom {

// PatternBook: the shapes that a series takes over kLength samples, as up to kPatterns representatives, learned online:
// what is close to a known pattern moves it a little, what is not becomes a new one in the place of the least used.
// Samples are deviations from the usual; they are kept in whole steps of 1 / 512, so distances are exact everywhere.
// A value; O(kLength * kPatterns) whole-number steps a sample, about 0.2 microseconds.
class PatternBook {
 public:
  static constexpr size_t kLength = 12;
  static constexpr size_t kPatterns = 64;

  // How far the newest kLength samples are from the nearest known pattern, root mean square, in the samples' unit;
  // negative: too early to tell. Learns them.
  double Add(double deviation, double new_distance, double rate);
  // Forgets the newest samples: they are not followed by the next.
  void Break() { held_ = 0; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("window", self.window_);
    visit("held", self.held_);
    visit("patterns", self.patterns_);
    visit("uses", self.uses_);
    visit("known", self.known_);
  }

 private:
  struct Nearest {
    size_t pattern = 0;
    double distance = 0;
  };
  Nearest FindNearest() const;
  void Learn(const Nearest& nearest, double new_distance, double rate);

  std::array<int16_t, kLength> window_{};  // oldest first
  uint32_t held_ = 0;
  std::array<int16_t, kLength * kPatterns> patterns_{};  // the first sample of each, the second of each, ...
  std::array<uint32_t, kPatterns> uses_{};
  uint32_t known_ = 0;
};

}  // namespace headroom
