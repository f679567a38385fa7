#include "tests/load/histogram.h"

#include <gtest/gtest.h>

#include "tests/load/random.h"

namespace headroom::load {
namespace {

TEST(Histogram, ASingleValueIsKeptToTwoDigits) {
  for (int64_t micros = 1; micros < 900'000'000; micros += 1 + micros / 7) {
    Histogram histogram;
    histogram.Add(absl::Microseconds(micros));
    histogram.Add(absl::Minutes(15));  // so that the maximum does not correct the answer
    EXPECT_NEAR(absl::ToDoubleMicroseconds(histogram.Quantile(0.5)), static_cast<double>(micros),
                std::max(0.5, 0.008 * static_cast<double>(micros)));
  }
}

TEST(Histogram, QuantilesMatchTheSortedValues) {
  Random random(7);
  Histogram histogram;
  std::vector<double> millis;
  for (int i = 0; i < 20'000; ++i) {
    millis.push_back(20 * random.Exponential());
    histogram.Add(absl::Milliseconds(millis.back()));
  }
  std::sort(millis.begin(), millis.end());
  for (const double quantile : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = millis[static_cast<size_t>(std::ceil(quantile * 20'000)) - 1];
    EXPECT_NEAR(absl::ToDoubleMilliseconds(histogram.Quantile(quantile)), exact, 0.01 * exact) << quantile;
  }
}

TEST(Histogram, TheMaximumIsExactAndNoQuantileIsAboveIt) {
  Histogram histogram;
  for (const int millis : {1, 2, 777}) histogram.Add(absl::Milliseconds(millis));
  EXPECT_EQ(histogram.max(), absl::Milliseconds(777));
  EXPECT_EQ(histogram.total(), 3);
  EXPECT_LE(histogram.Quantile(1), histogram.max());
}

TEST(Histogram, WhatIsOutOfRangeIsCountedAtTheEnds) {
  Histogram histogram;
  histogram.Add(-absl::Seconds(1));
  EXPECT_EQ(histogram.Quantile(1), absl::ZeroDuration());
  histogram.Add(absl::InfiniteDuration());
  EXPECT_EQ(histogram.max(), absl::Minutes(15));
  EXPECT_EQ(histogram.total(), 2);
}

TEST(Histogram, ASumHoldsBoth) {
  Histogram low, high, sum;
  for (int i = 0; i < 99; ++i) low.Add(absl::Milliseconds(1));
  high.Add(absl::Seconds(1));
  sum += low;
  sum += high;
  sum += Histogram();
  EXPECT_EQ(sum.total(), 100);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(sum.Quantile(0.99)), 1, 0.01);
  EXPECT_EQ(sum.Quantile(1), absl::Seconds(1));
}

TEST(Histogram, AnEmptyOneSaysZero) {
  EXPECT_EQ(Histogram().Quantile(0.99), absl::ZeroDuration());
}

}  // namespace
}  // namespace headroom::load
