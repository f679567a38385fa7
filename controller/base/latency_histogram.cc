#include "controller/base/latency_histogram.h"

#include <cmath>
#include <numeric>

namespace headroom {
namespace {

// Lower and upper bound of each bucket, added up.
constexpr std::array<int64_t, LatencyHistogram::kBuckets> TwiceMiddles() {
  std::array<int64_t, LatencyHistogram::kBuckets> twice{};
  for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket) {
    twice[static_cast<size_t>(bucket)] =
        LatencyHistogram::LowerMicros(bucket) + LatencyHistogram::LowerMicros(bucket + 1);
  }
  return twice;
}
constexpr std::array<int64_t, LatencyHistogram::kBuckets> kTwiceMiddleMicros = TwiceMiddles();

// Goes up through the buckets once, whatever many quantiles it is asked for; they ascend.
class Climb {
 public:
  Climb(const LatencyHistogram& histogram, int64_t total) : counts_(histogram.counts), total_(total) {}
  absl::Duration To(double quantile) {
    const auto rank = static_cast<int64_t>(std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(total_)));
    const int64_t wanted = std::max<int64_t>(rank, 1);
    while (bucket_ + 1 < counts_.size() && below_ + counts_[bucket_] < wanted) below_ += counts_[bucket_++];
    return absl::Microseconds(kTwiceMiddleMicros[bucket_] / 2);
  }

 private:
  const std::array<int64_t, LatencyHistogram::kBuckets>& counts_;
  const int64_t total_;
  size_t bucket_ = 0;
  int64_t below_ = 0;
};

}  // namespace

int64_t LatencyHistogram::Total() const {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

absl::Duration LatencyHistogram::Quantile(double quantile) const {
  return QuantileOf(quantile, Total());
}

absl::Duration LatencyHistogram::QuantileOf(double quantile, int64_t total) const {
  return total == 0 ? absl::ZeroDuration() : Climb(*this, total).To(quantile);
}

LatencyHistogram::Digest LatencyHistogram::Summary() const {
  size_t end = counts.size();  // what is slower than all is half of it
  while (end > 0 && counts[end - 1] == 0) --end;
  int64_t total = 0, twice_micros = 0;
  for (size_t bucket = 0; bucket < end; ++bucket) {
    total += counts[bucket];
    twice_micros += counts[bucket] * kTwiceMiddleMicros[bucket];
  }
  if (total == 0) return {};
  Climb climb(*this, total);
  return {absl::Microseconds(twice_micros / 2) / total, climb.To(0.5), climb.To(0.99)};
}

LatencyHistogram LatencyHistogram::Since(const LatencyHistogram& earlier) const {
  LatencyHistogram window;
  int64_t signs = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    window.counts[i] = counts[i] - earlier.counts[i];
    signs |= window.counts[i];
  }
  // Seldom: the comparison costs more than all the rest.
  if (signs < 0) {
    for (int64_t& count : window.counts) count = std::max<int64_t>(count, 0);
  }
  return window;
}

LatencyHistogram& LatencyHistogram::operator+=(const LatencyHistogram& other) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  return *this;
}

LatencyHistogram& LatencyHistogram::operator-=(const LatencyHistogram& other) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] -= other.counts[i];
  return *this;
}

void LatencyHistogram::Replace(const LatencyHistogram& from, const LatencyHistogram& to) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += to.counts[i] - from.counts[i];
}

}  // namespace headroom
