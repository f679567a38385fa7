#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

#include "controller/core/fleet/fleet.h"

namespace headroom {

// FleetSpread: how the load lies over the nodes, gathered in a tick's walk for a few nanoseconds a node: a histogram of
// their positions (demand over the node's own connection limit), the hottest node, and who is silent. Quantiles are
// right to 3 %. Not kept between ticks.
class FleetSpread {
 public:
  FleetSpread(absl::Duration silent_after, absl::Time now) : silent_after_(silent_after), now_(now) {}
  void Add(const Node& node);

  // Nodes that serve, tell their limit and have reported lately.
  int count() const { return count_; }
  // Of the positions; 0 where there is none. The median is the lower one, so that one of two can stand out.
  double Median() const { return Quantile(0.5); }
  double P95() const { return Quantile(0.95); }
  // Robust standard deviation: 1.4826 x the median absolute deviation, no less than what counting connections and the
  // histogram's width bring about.
  double Sigma() const;

  const Node* hottest() const { return hottest_; }  // null: none
  double hottest_position() const { return hottest_position_; }
  int silent_count() const { return silent_count_; }
  const Node* first_silent() const { return first_silent_; }  // null: none

 private:
  static constexpr int kFirstOctave = -14;
  static constexpr size_t kSubBuckets = 16;  // an octave
  static constexpr size_t kBuckets = 24 * kSubBuckets;

  static size_t BucketOf(double position);
  static double MiddleOf(size_t bucket);
  double Quantile(double p) const;

  absl::Duration silent_after_;
  absl::Time now_;
  std::array<int32_t, kBuckets> counts_{};
  int count_ = 0, silent_count_ = 0;
  double limit_sum_ = 0;
  const Node* hottest_ = nullptr;
  double hottest_position_ = 0;
  const Node* first_silent_ = nullptr;
};

}  // namespace headroom
