#include "controller/lab/forecast_trial.h"

#include <cmath>
#include <memory>
#include <numbers>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/lab/crane.h"
#include "controller/lab/forecast_rivals.h"
#include "controller/lab/task.h"

namespace headroom::lab {
namespace {

using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kDay = kSlotsPerDay;

double Daily(int64_t slot) {
  return 100 + 60 * std::sin(2 * std::numbers::pi * static_cast<double>(slot) / static_cast<double>(kDay));
}

SlotSeries SeriesOf(int64_t slots, const std::function<double(int64_t)>& value) {
  SlotSeries series{.name = "made"};
  for (int64_t slot = 0; slot < slots; ++slot) {
    series.means.push_back(value(slot));
    series.moments.push_back({value(slot)});
  }
  return series;
}

SlotSeries NoisyDays(int64_t days) {
  const Series<double> noise = UnitNoise(7, static_cast<int>(days * kDay));
  return SeriesOf(days * kDay, [&](int64_t slot) { return Daily(slot) * (1 + 0.05 * noise[static_cast<int>(slot)]); });
}

// autoscalers.md B.7.
TEST(CraneTest, TooLittleIsChargedMoreThanTooMuch) {
  EXPECT_NEAR(CraneError({100}, {90}), 0.472, 0.0005);
  EXPECT_NEAR(CraneError({100}, {110}), 0.100, 0.0005);
  EXPECT_NEAR(CraneError({100, 100}, {90, 110}), 0.286, 0.0005);
}

TEST(CraneTest, ATransformOfAnyLengthComesBack) {
  for (const size_t length : {1, 2, 7, 12, 90, 288}) {
    std::vector<std::complex<double>> values;
    for (size_t i = 0; i < length; ++i) values.emplace_back(static_cast<double>(i * i % 13), 0.5);
    const auto back = Fourier(Fourier(values, Direction::kForward), Direction::kInverse);
    ASSERT_THAT(back, SizeIs(length));
    for (size_t i = 0; i < length; ++i) EXPECT_LT(std::abs(back[i] - values[i]), 1e-9) << length;
  }
}

TEST(CraneTest, AWaveIsOneFrequency) {
  std::vector<std::complex<double>> wave;
  for (int i = 0; i < 60; ++i) wave.emplace_back(std::cos(2 * std::numbers::pi * 5 * i / 60), 0);
  const auto spectrum = Fourier(wave, Direction::kForward);
  for (size_t k = 0; k < 60; ++k) EXPECT_NEAR(std::abs(spectrum[k]), k == 5 || k == 55 ? 30 : 0, 1e-9) << k;
}

TEST(CraneTest, WhatRepeatsDailyIsForecastFromTheDaysBefore) {
  CraneDsp crane;
  for (int64_t slot = 0; slot < 4 * kDay; ++slot) crane.Observe(Daily(slot));
  for (const int ahead : {1, 100, 200}) {
    EXPECT_NEAR(crane.Predict(ahead), Daily(4 * kDay - 1 + ahead), 2) << ahead;
  }
}

TEST(CraneTest, WhereNothingRepeatsItGoesByTheLastValue) {
  CraneDsp crane;
  const Series<double> noise = UnitNoise(3, 4 * kDay);
  for (const double value : noise) crane.Observe(100 + value);
  EXPECT_EQ(crane.Predict(6), 100 + noise.back());
}

// Holt-Winters gives most of each change to its level, so that it follows a wave late; Crane has its own tests.
TEST(ForecastRivalsTest, WhoLearnsTheDayKnowsOneThatRepeatsExactly) {
  for (const ForecastRival& rival : ForecastRivals()) {
    if (rival.name != "seasonal_naive" && rival.name != kRidgeName) continue;
    const auto method = rival.make({1, 3, 6});
    for (int64_t slot = 0; slot < 40 * kDay; ++slot) method->Observe(Daily(slot));
    EXPECT_NEAR(method->Predict(6), Daily(40 * kDay + 5), 2) << rival.name;
  }
}

TEST(ForecastRivalsTest, AFlatSeriesStaysFlatForAll) {
  for (const ForecastRival& rival : ForecastRivals()) {
    const auto method = rival.make({1, 3, 6});
    for (int slot = 0; slot < 3 * kDay; ++slot) method->Observe(42);
    EXPECT_NEAR(method->Predict(1), 42, 0.5) << rival.name;
  }
}

TEST(SlotSeriesTest, SlotsAreMeansOfWhatIsKnown) {
  Trace trace{.name = "t", .step = absl::Minutes(1)};
  for (int minute = 0; minute < 15; ++minute) trace.samples.push_back({600 + 60 * minute, 1.0 * minute});
  trace.samples[7].value = NAN;
  for (const int minute : {10, 11, 12}) trace.samples[static_cast<size_t>(minute)].value = NAN;
  const auto series = ToSlots(trace);
  ASSERT_TRUE(series.ok());
  EXPECT_EQ(series->first_slot, 2);
  ASSERT_THAT(series->means, SizeIs(3));
  EXPECT_EQ(series->means[0], 2);
  EXPECT_EQ(series->means[1], (5 + 6 + 8 + 9) / 4.0);
  EXPECT_TRUE(std::isnan(series->means[2])) << "two of five are less than half";
  EXPECT_THAT(series->moments[1], ElementsAre(5, 6, 8, 9));
}

TEST(SlotSeriesTest, ACoarseTraceIsRefused) {
  Trace trace{.name = "t", .step = absl::Hours(1), .samples = {{0, 1}, {3600, 2}}};
  EXPECT_THAT(ToSlots(trace).status().message(), HasSubstr("its step of 1h is over five minutes"));
}

TEST(SlotSeriesTest, ALevelThatChangesAndStaysIsFoundAndADailyWaveIsNone) {
  EXPECT_THAT(LevelChanges(SeriesOf(10 * kDay, Daily)), SizeIs(0));
  const int64_t change = 5 * kDay + 60;
  const auto stepped = SeriesOf(10 * kDay, [&](int64_t slot) { return Daily(slot) * (slot < change ? 1 : 3); });
  const std::vector<int64_t> found = LevelChanges(stepped);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_NEAR(static_cast<double>(found[0]), static_cast<double>(change), kDay / 4.0);
}

TEST(ForecastTrialTest, OursLearnsTheDayAndItsQuantileCoversWhatItPromises) {
  const auto scores = TryForecasts(NoisyDays(12));
  ASSERT_TRUE(scores.has_value());
  ASSERT_THAT(scores->horizons, SizeIs(kTrialHorizons.size()));
  for (const HorizonScores& horizon : scores->horizons) {
    const MethodScore& ours = horizon.Of(kOursName);
    EXPECT_LT(ours.wape_over_last, 1.0) << horizon.ahead;
    EXPECT_GT(ours.coverage, 0.92);
    EXPECT_LT(ours.coverage, 0.98);
    EXPECT_EQ(horizon.Of(kLastValueName).wape_over_last, 1.0);
    EXPECT_FALSE(ours.changed_coverage.has_value()) << "no level changed";
    // One moment a slot: the same.
    EXPECT_NEAR(*ours.moment_coverage, ours.coverage, 0.02);
  }
}

TEST(ForecastTrialTest, UnknownSlotsAreNotScored) {
  SlotSeries series = NoisyDays(6);
  const int64_t whole = TryForecasts(series)->scored;
  for (int64_t slot = 4 * kDay; slot < 5 * kDay; ++slot) series.means[static_cast<size_t>(slot)] = NAN;
  const int64_t without = TryForecasts(series)->scored;
  EXPECT_LE(without, whole - kDay);
  EXPECT_GT(without, whole - kDay - 20);
}

TEST(ForecastTrialTest, AShortSeriesIsNotScored) {
  EXPECT_FALSE(TryForecasts(NoisyDays(2)).has_value());
}

TEST(ForecastTrialTest, TheSummaryIsOfAllSeries) {
  const auto scores = TryForecasts(NoisyDays(4));
  ASSERT_TRUE(scores.has_value());
  const std::vector<ForecastSummary> summary = SummariseForecasts({*scores, *scores});
  ASSERT_THAT(summary, SizeIs(3));
  EXPECT_EQ(summary[0].series, 2);
  EXPECT_NEAR(summary[0].methods[0].wape_over_last, scores->horizons[0].methods[0].wape_over_last, 1e-12);
  EXPECT_THAT(ForecastJson({*scores}, {"x: too short"}), HasSubstr("\"pinball_p95_below_ridge\""));
}

TEST(ForecastTrialTest, ASeriesOnWhichTheLastValueNeverErrsLeavesTheSummaryAlone) {
  const auto constant = TryForecasts(SeriesOf(4 * kDay, [](int64_t) { return 5; })), other = TryForecasts(NoisyDays(4));
  ASSERT_TRUE(constant.has_value() && other.has_value());
  EXPECT_THAT(constant->notes, Contains("5m ahead the last value never errs: the series is in no ratio to it"));
  EXPECT_TRUE(std::isnan(constant->horizons[0].methods[0].wape_over_last));
  const ForecastSummary alone = SummariseForecasts({*other})[0], both = SummariseForecasts({*constant, *other})[0];
  for (size_t i = 0; i < alone.methods.size(); ++i) {
    EXPECT_DOUBLE_EQ(both.methods[i].wape_over_last, alone.methods[i].wape_over_last) << alone.methods[i].name;
    EXPECT_DOUBLE_EQ(both.methods[i].pinball_over_last[2], alone.methods[i].pinball_over_last[2]);
  }
}

TEST(ForecastTrialTest, WhoNeverErrsOnOneSeriesIsNotAboveAllOnAll) {
  auto scores = TryForecasts(NoisyDays(4));
  ASSERT_TRUE(scores.has_value());
  const double usual = scores->horizons[0].methods[0].wape_over_last;
  ForecastScores perfect = *scores;
  perfect.horizons[0].methods[0].wape = 0;
  EXPECT_NEAR(SummariseForecasts({*scores, perfect})[0].methods[0].wape_over_last, std::sqrt(usual * kRatioMin), 1e-9);
}

TEST(ForecastTrialTest, ValuesThatCannotBeSquaredAreRefused) {
  Trace trace{.name = "t", .column = "v", .step = kSlot};
  for (int64_t i = 0; i < 1000; ++i) trace.samples.push_back({300 * i, 1e300});
  EXPECT_THAT(std::string(ToSlots(trace).status().message()), HasSubstr("too large"));
}

// The figures of docs/planning.md on a real series, where one is given.
TEST(ForecastTrialTest, OnARealTraceTheRidgeIsTheOneThatWasMeasuredBefore) {
  const char* folder = std::getenv("HEADROOM_TRACES");
  if (folder == nullptr) GTEST_SKIP() << "HEADROOM_TRACES names no folder of traces";
  const auto trace = ReadTrace(absl::StrCat(folder, "/clarknet_web_60s.csv.gz"));
  if (!trace.ok()) GTEST_SKIP() << trace.status();
  const auto scores = TryForecasts(*ToSlots(*trace));
  ASSERT_TRUE(scores.has_value());
  EXPECT_NEAR(scores->horizons[1].Of(kRidgeName).wape, 0.1332, 0.003);
  EXPECT_NEAR(scores->horizons[1].Of("holt_winters").wape, 0.1435, 0.005);
}

}  // namespace
}  // namespace headroom::lab
