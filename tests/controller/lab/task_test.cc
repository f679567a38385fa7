#include "controller/lab/task.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom::lab {
namespace {

using ::testing::HasSubstr;

constexpr double kNoDatum = std::numeric_limits<double>::quiet_NaN();

Trace EveryMinute(const std::vector<double>& values) {
  Trace trace{.name = "t", .column = "v", .step = absl::Minutes(1)};
  for (size_t i = 0; i < values.size(); ++i) trace.samples.push_back({static_cast<int64_t>(60 * i), values[i]});
  return trace;
}

std::shared_ptr<const Course> CourseOf(const Trace& trace) {
  const auto course = MakeCourse(trace);
  EXPECT_TRUE(course.ok()) << course.status();
  return *course;
}

TEST(TaskTest, AFlatTraceIsScaledToAMeanOfTenNodes) {
  const auto course = CourseOf(EveryMinute({2000, 1000, 3000, 2000}));
  EXPECT_DOUBLE_EQ(course->nodes_per_unit, 10.0 / 2000);
  EXPECT_EQ(course->steps, 4 * 12);
}

TEST(TaskTest, ATraceWithAHighPeakIsScaledToAPeakOfAHundredAndFifty) {
  std::vector<double> values(100, 1);
  values[50] = 100;  // 50 times the mean
  EXPECT_DOUBLE_EQ(CourseOf(EveryMinute(values))->nodes_per_unit, 1.5);
}

TEST(TaskTest, AValueIsHeldOverItsInterval) {
  const auto course = CourseOf(EveryMinute({1, 3}));
  for (int i = 0; i < 12; ++i) EXPECT_FLOAT_EQ(course->held[i], 5);
  for (int i = 12; i < 24; ++i) EXPECT_FLOAT_EQ(course->held[i], 15);
}

TEST(TaskTest, AStepFinerThanTheGridIsAveraged) {
  Trace trace{.name = "t", .column = "v", .step = absl::Seconds(1)};
  for (int i = 0; i < 20; ++i) trace.samples.push_back({i, i < 10 ? i % 5 * 1.0 : 2.0});
  const auto course = CourseOf(trace);
  ASSERT_EQ(course->steps, 4);
  for (const float value : course->held) EXPECT_FLOAT_EQ(value, 10);
}

TEST(TaskTest, AShortGapIsHeldOverAndALongOneIsMissingAndUnscored) {
  Trace trace = EveryMinute(std::vector<double>(100, 1));
  for (size_t i = 50; i < 100; ++i) trace.samples[i].unix_seconds += 600;  // a gap of 10 minutes
  EXPECT_EQ(CourseOf(trace)->known_before.back(), 110 * 12);
  for (size_t i = 50; i < 100; ++i) trace.samples[i].unix_seconds += 5;
  const auto course = CourseOf(trace);
  EXPECT_EQ(course->steps, 110 * 12 + 1);
  EXPECT_EQ(course->known_before.back(), 100 * 12);
  EXPECT_FALSE(course->known(50 * 12));
  EXPECT_EQ(course->scored_before[60 * 12], course->scored_before[50 * 12]);
}

TEST(TaskTest, UnknownValuesAreLikeAbsentRows) {
  std::vector<double> values(100, 1);
  for (size_t i = 40; i < 51; ++i) values[i] = kNoDatum;
  EXPECT_FALSE(CourseOf(EveryMinute(values))->known(45 * 12)) << "11 minutes are missing";
  values[50] = 1;
  EXPECT_TRUE(CourseOf(EveryMinute(values))->known(45 * 12)) << "10 minutes are held over";
}

TEST(TaskTest, TheFirstFifthIsNotScored) {
  const auto course = CourseOf(EveryMinute(std::vector<double>(100, 1)));
  EXPECT_EQ(course->first_scored, 20 * 12);
  EXPECT_EQ(course->scored_before[20 * 12], 0);
  EXPECT_EQ(course->scored_steps(), 80 * 12);
}

TEST(TaskTest, WhatDoesNotFitIsRefused) {
  Trace coarse = EveryMinute({1, 2, 3});
  coarse.step = absl::Minutes(30);
  EXPECT_THAT(MakeCourse(coarse).status().message(), HasSubstr("its step of 30m is over 5m"));
  EXPECT_THAT(MakeCourse(EveryMinute({0, 0, 0})).status().message(), HasSubstr("it is all zero"));
  Trace endless = EveryMinute({1, 2, 3});
  endless.samples.back().unix_seconds += int64_t{86400} * 401;
  EXPECT_THAT(MakeCourse(endless).status().message(), HasSubstr("it spans 401 days; at most 400"));
}

TEST(TaskTest, FiveMinutesWithJitterAreFiveMinutes) {
  Trace trace{.name = "t", .column = "v", .step = absl::Seconds(301)};
  for (const int64_t at : {0, 301, 602, 901, 1202}) trace.samples.push_back({at, 1});
  EXPECT_TRUE(MakeCourse(trace).ok()) << MakeCourse(trace).status();
  for (TraceSample& sample : trace.samples) sample.unix_seconds = 301 * (&sample - trace.samples.data());
  EXPECT_THAT(MakeCourse(trace).status().message(), HasSubstr("its step of 5m1s is over 5m")) << "no jitter";
}

TEST(TaskTest, ValuesBeyondMeasureAreNotCalledZero) {
  for (const double value : {1e308, 1e-320}) {
    EXPECT_THAT(MakeCourse(EveryMinute({value, value, value})).status().message(),
                HasSubstr("too large or too small, give them in another unit"));
  }
}

TEST(TaskTest, TheGridBeginsWithTheFirstKnownValue) {
  const auto course = CourseOf(EveryMinute({kNoDatum, kNoDatum, 1, 3}));
  EXPECT_EQ(course->start_unix_seconds, 120);
  EXPECT_FLOAT_EQ(course->held[0], 5);
}

TEST(TaskTest, NoiseHasTheStatedDeviationAndCorrelationTime) {
  const Series<double> noise = UnitNoise(1, 500'000);
  double mean = 0, variance = 0, lagged = 0;
  for (const double x : noise) mean += x / 500'000;
  for (int i = 12; i < noise.size(); ++i) {
    variance += (noise[i] - mean) * (noise[i] - mean) / 500'000;
    lagged += (noise[i] - mean) * (noise[i - 12] - mean) / 500'000;
  }
  EXPECT_NEAR(mean, 0, 0.03);
  EXPECT_NEAR(variance, 1, 0.03);
  EXPECT_NEAR(lagged / variance, std::exp(-1), 0.03) << "after 60 s";
}

TEST(TaskTest, ASeedIsTheSameNoiseOnEveryMachine) {
  const Series<double> noise = UnitNoise(1, 1000);
  EXPECT_EQ(UnitNoise(1, 10)[9], noise[9]);
  EXPECT_NE(UnitNoise(2, 10)[9], noise[9]);
  // From a generator written for this test in another language.
  EXPECT_EQ(noise[0], -0.11322021484375);
  EXPECT_EQ(noise[999], -0.527683542070498);
}

TEST(TaskTest, DemandIsTheCourseUnderFivePercentOfNoise) {
  const auto course = CourseOf(EveryMinute(std::vector<double>(1000, 4)));
  const Demand demand = MakeDemand(course, 1);
  const Series<double> noise = UnitNoise(1, course->steps);
  EXPECT_NEAR(demand.offered[777], 10 * (1 + 0.05 * noise[777]), 1e-9);
  EXPECT_NEAR(demand.sum_before.back(), std::accumulate(demand.offered.begin(), demand.offered.end(), 0.0), 1e-6);
}

}  // namespace
}  // namespace headroom::lab
