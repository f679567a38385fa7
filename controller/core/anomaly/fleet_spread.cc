#include "controller/core/anomaly/fleet_spread.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace headroom {
namespace {

constexpr int kMantissaBits = 19;  // of a float's 23: sixteen buckets an octave remain
constexpr int kExponentBias = 127;
constexpr double kBucketWidth = 0.05;  // of its value
constexpr double kSigmaOfMad = 1.4826;

}  // namespace

size_t FleetSpread::BucketOf(double position) {
  constexpr int kFirst = (kExponentBias + kFirstOctave) * static_cast<int>(kSubBuckets);
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(position));
  const int bucket = static_cast<int>(bits >> kMantissaBits) - kFirst;
  return static_cast<size_t>(std::clamp(bucket, 0, static_cast<int>(kBuckets) - 1));
}

double FleetSpread::MiddleOf(size_t bucket) {
  const double octave = static_cast<double>(bucket / kSubBuckets) + kFirstOctave;
  const double within = (static_cast<double>(bucket % kSubBuckets) + 0.5) / static_cast<double>(kSubBuckets);
  return bucket == 0 ? 0 : std::exp2(octave) * (1 + within);
}

void FleetSpread::Add(const Node& node) {
  if (!node.Carries() || node.state == NodeState::kDraining) return;
  if (now_ - node.last_report_at > silent_after_) {
    ++silent_count_;
    if (first_silent_ == nullptr) first_silent_ = &node;
    return;
  }
  const int64_t limit = node.OwnLimitCount();
  if (limit <= 0) return;
  const double position = static_cast<double>(node.DemandCount()) / static_cast<double>(limit);
  ++count_;
  limit_sum_ += static_cast<double>(limit);
  ++counts_[BucketOf(position)];
  if (hottest_ != nullptr && position <= hottest_position_) return;
  hottest_ = &node;
  hottest_position_ = position;
}

double FleetSpread::Quantile(double p) const {
  if (count_ == 0) return 0;
  auto left = static_cast<int>(std::ceil(p * count_));
  size_t bucket = 0;
  while (bucket + 1 < kBuckets && (left -= counts_[bucket]) > 0) ++bucket;
  return MiddleOf(bucket);
}

double FleetSpread::Sigma() const {
  if (count_ == 0) return 0;
  const double median = Median();
  std::array<int32_t, kBuckets> apart{};
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    if (counts_[bucket] > 0) apart[BucketOf(std::abs(MiddleOf(bucket) - median))] += counts_[bucket];
  }
  int left = (count_ + 1) / 2;
  size_t bucket = 0;
  while (bucket + 1 < kBuckets && (left -= apart[bucket]) > 0) ++bucket;
  const double limit = limit_sum_ / count_;
  return std::max({kSigmaOfMad * MiddleOf(bucket), kBucketWidth * median, std::sqrt(median / limit), 1 / limit});
}

}  // namespace headroom
