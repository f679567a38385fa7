#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace headroom {

// PhaseTimes: how long one phase of a node's life took, of the last twenty nodes that went through it. Copyable;
// thread-compatible; saved with the fleet.
class PhaseTimes {
 public:
  static constexpr size_t kTimesMax = 20, kTimesMin = 5;
  static constexpr double kLateRatio = 3;
  static constexpr absl::Duration kDeadlineMin = absl::Seconds(30);

  void Add(absl::Duration time) {
    times_.push_back(time);
    if (times_.size() > kTimesMax) times_.erase(times_.begin());
  }
  // Nothing: fewer than kTimesMin were seen.
  std::optional<absl::Duration> P95() const {
    if (times_.size() < kTimesMin) return std::nullopt;
    std::vector<absl::Duration> sorted = times_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[(sorted.size() * 95 + 99) / 100 - 1];
  }
  // From when on a node is late: kLateRatio times the p95, never later than `bound`, the policy's.
  absl::Duration Deadline(absl::Duration bound) const {
    const std::optional<absl::Duration> usual = P95();
    return usual.has_value() ? std::min(bound, std::max(kLateRatio * *usual, kDeadlineMin)) : bound;
  }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("times", self.times_);
  }

 private:
  std::vector<absl::Duration> times_;
};

}  // namespace headroom
