#include "controller/base/latency_histogram.h"

#include <gtest/gtest.h>

namespace headroom {
namespace {

TEST(LatencyHistogram, EveryValueLiesInsideTheBoundsOfItsBucket) {
  for (int64_t micros = 0; micros < 7'800'000; micros += 1 + micros / 50) {
    const int bucket = LatencyHistogram::BucketOf(micros);
    EXPECT_GE(micros, LatencyHistogram::LowerMicros(bucket)) << micros;
    EXPECT_LT(micros, LatencyHistogram::LowerMicros(bucket + 1)) << micros;
  }
}

TEST(LatencyHistogram, TheLastBucketHoldsAllThatIsTooLong) {
  EXPECT_EQ(LatencyHistogram::BucketOf(int64_t{1} << 40), LatencyHistogram::kBuckets - 1);
}

TEST(LatencyHistogram, QuantilesAreWithinSixPercent) {
  LatencyHistogram histogram;
  for (int millis = 1; millis <= 1000; ++millis) histogram.Add(absl::Milliseconds(millis));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(histogram.Quantile(0.5)), 500, 30);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(histogram.Quantile(0.99)), 990, 60);
}

TEST(LatencyHistogram, ASummaryIsWhatIsSaidOneByOne) {
  LatencyHistogram histogram;
  for (int millis = 1; millis <= 1000; ++millis) histogram.Add(absl::Milliseconds(millis * millis / 1000));
  const LatencyHistogram::Digest summary = histogram.Summary();
  EXPECT_EQ(summary.p50, histogram.Quantile(0.5));
  EXPECT_EQ(summary.p99, histogram.Quantile(0.99));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(summary.mean), 333, 20);
  EXPECT_EQ(LatencyHistogram{}.Summary().mean, absl::ZeroDuration());
}

TEST(LatencyHistogram, AnEmptyOneSaysZero) {
  EXPECT_EQ(LatencyHistogram{}.Quantile(0.99), absl::ZeroDuration());
}

TEST(LatencyHistogram, AWindowIsTheDifferenceOfTwo) {
  LatencyHistogram earlier, later;
  earlier.Add(absl::Milliseconds(1));
  later = earlier;
  later.Add(absl::Seconds(1));
  EXPECT_EQ(later.Since(earlier).Total(), 1);
  EXPECT_EQ(earlier.Since(later).Total(), 0);
}

TEST(LatencyHistogram, OfASumOnePartIsReplaced) {
  LatencyHistogram other, before, after;
  other.Add(absl::Milliseconds(3));
  before.Add(absl::Milliseconds(1));
  after.Add(absl::Seconds(1));
  LatencyHistogram sum = other, wanted = other;
  sum += before;
  wanted += after;
  sum.Replace(before, after);
  EXPECT_EQ(sum, wanted);
}

}  // namespace
}  // namespace headroom
