#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace headroom {

// TailHistory: how surprising is a statistic, judged by the statistic's own past? It remembers how often each size
// occurred, in buckets of an eighth of an octave, and answers with -log10 of the probability that the past gives to a
// value at least as large: 0 for anything among the lower nine tenths, 1 for the top tenth, and beyond what was ever
// seen a value from the tail's own slope (Hill's estimate, halfway to the count, and
// the less the shorter the past is). Needs no scale and no shape to be given. Old counts fade: they are halved whenever
// kCountMax is reached. A value; O(1) an Add, and O(buckets) a Surprise of the top tenth. Statistics are not negative.
class TailHistory {
 public:
  double Surprise(double statistic) const;
  // Learns the statistic once `delay` (at most kDelayMax - 1) more have come.
  void Add(double statistic, size_t delay = 0);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("pending", self.pending_);
    visit("added", self.added_);
    visit("counts", self.counts_);
    visit("total", self.total_);
    visit("highest", self.highest_);
    visit("tenth", self.tenth_);
    visit("above", self.above_);
  }

 private:
  static constexpr size_t kBuckets = 272;  // 34 octaves from 2^-16
  static constexpr uint32_t kCountMax = 20000;
  static constexpr size_t kDelayMax = 32;

  void Count(uint32_t bucket);
  void Halve();
  void Settle();

  std::array<uint16_t, kDelayMax> pending_{};  // buckets that are not counted yet, a ring
  uint64_t added_ = 0;
  std::array<uint32_t, kBuckets> counts_{};
  uint32_t total_ = 0;
  uint32_t highest_ = 0;           // no bucket above it was ever counted
  uint32_t tenth_ = kBuckets - 1;  // the buckets above it hold at most a tenth of all...
  uint32_t above_ = 0;             // ...this many
};

}  // namespace headroom
