#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace headroom::load {

// Histogram: latencies in log-linear buckets, as HdrHistogram keeps them: exact below 64 us, then 64 buckets an octave,
// so a quantile is wrong by less than 0.8 % (two significant digits). The maximum is exact. Longer ones than
// kLongestMicros count as that. About 6 kB when filled, nothing when empty. Value type, not thread-safe.
//
// The load protocol's LatencyHistogram (controller/base) is coarser: 6 %, made to travel in each report.
class Histogram {
 public:
  static constexpr uint64_t kLongestMicros = uint64_t{15} * 60 * 1'000'000;

  void Add(absl::Duration latency) {
    latency = std::clamp(latency, absl::ZeroDuration(), absl::Microseconds(kLongestMicros));
    if (counts_.empty()) counts_.resize(kBuckets);
    ++counts_[BucketOf(static_cast<uint64_t>(absl::ToInt64Microseconds(latency)))];
    ++total_;
    max_ = std::max(max_, latency);
  }

  Histogram& operator+=(const Histogram& other) {
    if (other.total_ == 0) return *this;
    if (counts_.empty()) counts_.resize(kBuckets);
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
    return *this;
  }

  int64_t total() const { return total_; }
  absl::Duration max() const { return max_; }

  // The smallest latency that at least `quantile` (0..1) of the values do not exceed, taken in the middle of its bucket
  // and never above the maximum; zero when empty.
  absl::Duration Quantile(double quantile) const {
    if (total_ == 0) return absl::ZeroDuration();
    const double wanted = std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(total_));
    const int64_t rank = std::clamp<int64_t>(static_cast<int64_t>(wanted), 1, total_);
    int64_t seen = 0;
    size_t bucket = 0;
    while ((seen += counts_[bucket]) < rank) ++bucket;
    return std::min(absl::Nanoseconds(500 * static_cast<int64_t>(Lower(bucket) + Lower(bucket + 1))), max_);
  }

 private:
  static constexpr uint64_t kPerOctave = 64;
  static constexpr size_t kPerOctaveBits = 6;
  static_assert(kPerOctave == uint64_t{1} << kPerOctaveBits);

  static constexpr size_t BucketOf(uint64_t micros) {
    if (micros < kPerOctave) return micros;
    const auto octave = static_cast<size_t>(std::bit_width(micros)) - 1 - kPerOctaveBits;
    return octave * kPerOctave + (micros >> octave);
  }
  static constexpr uint64_t Lower(size_t bucket) {
    if (bucket < kPerOctave) return bucket;
    const uint64_t octave = bucket / kPerOctave - 1;
    return (kPerOctave + bucket % kPerOctave) << octave;
  }
  static_assert(kLongestMicros < uint64_t{1} << 30);
  static constexpr size_t kBuckets = (30 - kPerOctaveBits + 1) * kPerOctave;  // as many as 30 bits need

  std::vector<uint32_t> counts_;
  int64_t total_ = 0;
  absl::Duration max_;
};

}  // namespace headroom::load
