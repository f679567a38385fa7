#include "controller/lab/synthetic.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom::lab {
namespace {

using ::testing::HasSubstr;

Trace Make(const std::string& shape, uint64_t seed = 1) {
  const auto trace = MakeTrace({.shape = shape, .seed = seed});
  EXPECT_TRUE(trace.ok()) << trace.status();
  return *trace;
}

// The mean of the rows of one hour, counted from the start.
double HourMean(const Trace& trace, int hour) {
  double sum = 0;
  const auto first = static_cast<size_t>(hour) * 60;
  for (size_t i = first; i < first + 60; ++i) sum += trace.samples[i].value / 60;
  return sum;
}

TEST(SyntheticTest, EveryShapeIsATraceOfTwoWeeksWithAMeanNearAThousand) {
  ASSERT_EQ(SyntheticShapes().size(), 5u);
  for (const std::string& shape : SyntheticShapes()) {
    const Trace trace = Make(shape);
    ASSERT_EQ(trace.samples.size(), 14u * 1440) << shape;
    double mean = 0;
    for (const TraceSample& sample : trace.samples) {
      ASSERT_GE(sample.value, 0) << shape;
      mean += sample.value / (14.0 * 1440);
    }
    EXPECT_GT(mean, 700) << shape;
    EXPECT_LT(mean, 1500) << shape;
  }
}

TEST(SyntheticTest, ASeedIsATrace) {
  EXPECT_EQ(TraceCsv(Make("bursty")), TraceCsv(Make("bursty")));
  EXPECT_NE(TraceCsv(Make("bursty")), TraceCsv(Make("bursty", 2)));
}

TEST(SyntheticTest, ACampaignIsThreeTimesAFridayEvening) {
  const Trace days = Make("diurnal"), campaign = Make("campaign");
  constexpr int kFriday = 4 * 24;
  EXPECT_NEAR(HourMean(campaign, kFriday + 20) / HourMean(days, kFriday + 20), 3, 0.05);
  EXPECT_NEAR(HourMean(campaign, kFriday + 12) / HourMean(days, kFriday + 12), 1, 0.05);
  EXPECT_NEAR(HourMean(campaign, kFriday - 4) / HourMean(days, kFriday - 4), 1, 0.05);
}

TEST(SyntheticTest, ADayHasItsCrestAndItsTrough) {
  const Trace days = Make("diurnal");
  EXPECT_GT(HourMean(days, 15), 2.5 * HourMean(days, 3));
}

TEST(SyntheticTest, BurstsReachAMultipleOfTheMean) {
  const Trace trace = Make("bursty");
  const auto peak = std::max_element(trace.samples.begin(), trace.samples.end(),
                                     [](const TraceSample& a, const TraceSample& b) { return a.value < b.value; });
  EXPECT_GT(peak->value, 4000);
}

TEST(SyntheticTest, WhatCannotBeMadeIsRefused) {
  EXPECT_THAT(MakeTrace({.shape = "square"}).status().message(),
              HasSubstr("there is no shape \"square\"; there are diurnal, campaign, bursty, step, noisy"));
  EXPECT_FALSE(MakeTrace({.step = absl::Milliseconds(500)}).ok());
  EXPECT_FALSE(MakeTrace({.step = absl::Hours(2)}).ok());
  EXPECT_FALSE(MakeTrace({.length = absl::Seconds(60)}).ok());
  EXPECT_FALSE(MakeTrace({.length = absl::InfiniteDuration()}).ok());
  EXPECT_FALSE(MakeTrace({.length = absl::Hours(24 * 365), .step = absl::Seconds(1)}).ok());
}

}  // namespace
}  // namespace headroom::lab
