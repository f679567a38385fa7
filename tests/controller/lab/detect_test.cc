#include "controller/lab/detect.h"

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom::lab {
namespace {

using ::testing::HasSubstr;

// Two weeks of a noisy day's course at 5 minutes, with a surge of two hours that is labelled.
LabelledSeries WithSurge(uint64_t seed) {
  std::mt19937_64 random(seed);
  LabelledSeries series{.name = "surge"};
  for (int row = 0; row < 4032; ++row) {
    const double noise = static_cast<double>(random() % 1000) / 1000 - 0.5;
    const double course = 100 + 40 * std::sin(2 * M_PI * row / 288);
    const bool surge = row >= 3000 && row < 3024;
    series.times.push_back(absl::FromUnixSeconds(1'400'000'000 + 300 * row));
    series.stamps.push_back("");
    series.values.push_back(course + 10 * noise + (surge ? 150 : 0));
  }
  series.anomalies = {{2990, 3040}};
  return series;
}

TEST(DetectTest, ASurgeIsFoundWithOneAlarmAndFewFalseOnes) {
  const LabelledSeries series = WithSurge(1);
  const DetectionReport report = JudgeDetector({series});
  ASSERT_EQ(report.series.size(), 1u);
  const SeriesReport& one = report.series[0];
  EXPECT_EQ(one.incidents, 1u);
  EXPECT_EQ(one.found, 1u);
  EXPECT_LE(one.false_alarms, 3u);
  EXPECT_NEAR(one.days, 14, 0.01);
  EXPECT_EQ(one.alarms, Detect(series).alarms.size());
  EXPECT_NEAR(report.alarms_per_series_day, static_cast<double>(one.alarms) / one.days, 1e-9);
  ASSERT_TRUE(report.vus_pr.has_value());
  EXPECT_GT(report.vus_pr->ours, 0.3);
}

TEST(DetectTest, ScoresStayBetweenZeroAndOne) {
  for (double score : Detect(WithSurge(2)).scores) {
    EXPECT_GE(score, 0);
    EXPECT_LE(score, 1);
  }
}

TEST(DetectTest, ASeriesWithFewLabelledRowsHasNoVusPr) {
  LabelledSeries series = WithSurge(3);
  series.anomalies = {{3000, 3008}};
  EXPECT_FALSE(JudgeDetector({series}).series[0].vus_pr.has_value());
}

TEST(DetectTest, ASeriesOfAMonthOfSecondsIsJudgedWithoutTheRivalsThatTakeMinutes) {
  LabelledSeries series{.name = "seconds"};
  for (size_t row = 0; row <= kVusPrRowsMax; ++row) {
    series.times.push_back(absl::FromUnixSeconds(static_cast<int64_t>(row)));
    series.stamps.emplace_back();
    series.values.push_back(static_cast<double>(row % 7));
  }
  series.anomalies = {{1000, 2000}};
  size_t done = 0;
  const DetectionReport report = JudgeDetector({series}, [&](size_t count) { done = count; });
  EXPECT_FALSE(report.series[0].vus_pr.has_value());
  EXPECT_THAT(report.series[0].notes, ::testing::ElementsAre("over 500000 rows: not judged by VUS-PR"));
  EXPECT_EQ(done, 1u);
}

TEST(DetectTest, TheJsonHasEveryFigureAndNullWhereThereIsNone) {
  LabelledSeries series = WithSurge(4);
  const DetectionReport report = JudgeDetector({series});
  const std::string with = ToJson(report, JudgeByNab({series}, report.scores));
  for (const char* key : {"standard", "reward_low_fp", "reward_low_fn", "standard_heldout_threshold", "vus_pr",
                          "alarms_per_series_day"}) {
    EXPECT_THAT(with, HasSubstr(std::string("\"") + key + "\": "));
  }
  EXPECT_THAT(with, ::testing::Not(HasSubstr("null")));
  EXPECT_THAT(ToJson(report, std::nullopt), HasSubstr("\"standard\": null"));
}

// The figures that this release promises on the files that developers have.
TEST(DetectTest, OneConfigurationReachesItsFiguresOnNab) {
  const char* folder = std::getenv("HEADROOM_NAB");
  if (folder == nullptr) GTEST_SKIP() << "HEADROOM_NAB does not name a folder in NAB's layout";
  const auto loaded = LoadNab(folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::vector<LabelledSeries>* corpus = &loaded->series;
  const DetectionReport report = JudgeDetector(*corpus);
  const NabReport nab = JudgeByNab(*corpus, report.scores);
  EXPECT_GE(nab.standard.normalised, 60);
  EXPECT_GE(nab.low_fp.normalised, 48);
  EXPECT_GE(nab.low_fn.normalised, 66);
  EXPECT_GE(nab.standard_heldout_threshold, 60);
  ASSERT_TRUE(report.vus_pr.has_value());
  EXPECT_GE(report.vus_pr->ours, std::max(report.vus_pr->poly, report.vus_pr->sub_pca));
}

}  // namespace
}  // namespace headroom::lab
