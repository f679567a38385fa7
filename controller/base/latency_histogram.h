#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "absl/time/time.h"

namespace headroom {

// LatencyHistogram: the log-linear histogram of the load protocol. 120 buckets: bucket 0 holds everything below 256 us,
// then 8 buckets an octave up to 7.9 s, and the last bucket holds the rest. A quantile is wrong by at most 6 %.
// Counts are cumulative since the start of the process, so that reports may be lost: subtract two to get a window.
// Value type, not thread-safe. Fields: `counts[i]`, how many latencies fell into bucket i.
struct LatencyHistogram {
  static constexpr int kBuckets = 120;
  static constexpr int kSubBits = 3;          // 8 buckets an octave
  static constexpr int kFirstOctaveBits = 8;  // the first octave begins at 2^8 us

  std::array<int64_t, kBuckets> counts{};

  static constexpr int BucketOf(int64_t micros) {
    if (micros < (int64_t{1} << kFirstOctaveBits)) return 0;
    const int octave = static_cast<int>(std::bit_width(static_cast<uint64_t>(micros))) - 1 - kFirstOctaveBits;
    const int sub = static_cast<int>((micros >> (octave + kFirstOctaveBits - kSubBits)) & ((1 << kSubBits) - 1));
    return std::min(1 + (octave << kSubBits) + sub, kBuckets - 1);
  }
  // The lower bound of bucket i in microseconds; LowerMicros(i + 1) is its upper bound.
  static constexpr int64_t LowerMicros(int bucket) {
    if (bucket <= 0) return 0;
    const int octave = (bucket - 1) >> kSubBits, sub = (bucket - 1) & ((1 << kSubBits) - 1);
    return ((int64_t{1} << kSubBits) + sub) << (octave + kFirstOctaveBits - kSubBits);
  }

  void Add(absl::Duration latency) { ++counts[static_cast<size_t>(BucketOf(absl::ToInt64Microseconds(latency)))]; }
  int64_t Total() const;
  // The latency below which `quantile` (0..1) of the values lie, in the middle of its bucket; zero when empty.
  absl::Duration Quantile(double quantile) const;
  // What is asked of every report, in one go. The mean is of the middles of the buckets; zero when empty.
  struct Digest {
    absl::Duration mean, p50, p99;
  };
  Digest Summary() const;
  // What was added between `earlier` and this; a bucket that went backwards counts as zero.
  LatencyHistogram Since(const LatencyHistogram& earlier) const;
  LatencyHistogram& operator+=(const LatencyHistogram& other);
  LatencyHistogram& operator-=(const LatencyHistogram& other);
  // Of a sum: one of its parts is now `to`.
  void Replace(const LatencyHistogram& from, const LatencyHistogram& to);
  bool operator==(const LatencyHistogram&) const = default;

 private:
  absl::Duration QuantileOf(double quantile, int64_t total) const;
};

}  // namespace headroom
