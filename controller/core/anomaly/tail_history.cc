#include "controller/core/anomaly/tail_history.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace headroom {
namespace {

constexpr uint32_t kCountMin = 30;    // before that nothing is surprising
constexpr uint32_t kTailPart = 33;    // the tail whose slope is measured: one in this many...
constexpr double kTailCountMin = 10;  // ...but at least these
constexpr double kSlopeMin = 4;       // buckets: no tail is trusted to be steeper than e-fold in half an octave
constexpr double kTrust = 2;          // no surprise exceeds this many times what the count alone could show
constexpr int kMantissaBits = 20;     // of a float's 23: eight buckets an octave remain
constexpr uint32_t kFirst = std::bit_cast<uint32_t>(1.0f / 65536) >> kMantissaBits;

// Eight steps an octave, straight in between: the bits of a float are nearly its logarithm.
double Position(double statistic, size_t buckets) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(std::max(statistic, 1.0 / 65536)));
  const double position = static_cast<double>(bits) / (1u << kMantissaBits) - kFirst;
  return std::min(position, static_cast<double>(buckets) - 0.001);
}

}  // namespace

double TailHistory::Surprise(double statistic) const {
  const double position = Position(statistic, kBuckets);
  const auto bucket = static_cast<size_t>(position);
  if (total_ < kCountMin || bucket < tenth_) return 0;
  uint32_t higher = bucket == tenth_ ? above_ : 0;
  if (bucket > tenth_) {
    for (size_t i = std::min<size_t>(highest_, kBuckets - 1); i > bucket; --i) higher += counts_[i];
  }
  const double above = higher + counts_[bucket];
  const double counted = std::log10((above + 0.5) / (total_ + 1.0));
  const double tail = std::max(static_cast<double>(total_) / kTailPart, kTailCountMin);
  if (above >= tail) return std::max(-counted, 0.0);

  uint64_t count = 0, sum = 0;
  size_t from = std::min<size_t>(highest_ + 1, kBuckets);
  while (from > 0 && static_cast<double>(count) < tail) {
    --from;
    count += counts_[from];
    sum += counts_[from] * from;
  }
  const auto counted_in_tail = static_cast<double>(count);
  const double mean = static_cast<double>(sum) / counted_in_tail + 0.5;
  const double slope = std::max(mean - static_cast<double>(from), kSlopeMin);
  const double beyond = std::max(position - static_cast<double>(from), 0.0) / slope;
  const double sloped = std::log10(counted_in_tail / (total_ + 1.0)) - beyond / std::log(10.0);
  return std::min(-(counted + sloped) / 2, kTrust * std::log10(total_ + 1.0));
}

void TailHistory::Add(double statistic, size_t delay) {
  pending_[added_ % kDelayMax] = static_cast<uint16_t>(Position(statistic, kBuckets));
  if (added_ >= delay) Count(pending_[(added_ - delay) % kDelayMax]);
  ++added_;
}

void TailHistory::Count(uint32_t bucket) {
  bucket = std::min<uint32_t>(bucket, kBuckets - 1);
  ++counts_[bucket];
  ++total_;
  highest_ = std::max(highest_, bucket);
  if (bucket > tenth_) ++above_;
  if (total_ >= kCountMax) Halve();
  Settle();
}

// Rounded up, so that what was rare is not forgotten before what was common.
void TailHistory::Halve() {
  total_ = 0;
  above_ = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    counts_[i] = (counts_[i] + 1) / 2;
    total_ += counts_[i];
    if (i > tenth_) above_ += counts_[i];
  }
}

void TailHistory::Settle() {
  while (above_ > total_ / 10 && tenth_ + 1 < kBuckets) above_ -= counts_[++tenth_];
  while (tenth_ > 0 && tenth_ < kBuckets && above_ + counts_[tenth_] <= total_ / 10) above_ += counts_[tenth_--];
}

}  // namespace headroom
