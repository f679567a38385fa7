#include "controller/lab/nab.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <zlib.h>

#include "tests/controller/runtime/temp_dir.h"

namespace headroom::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kExact = 1e-6;

// 100 rows, so that the first 15 do not count.
LabelledSeries Series(std::vector<RowRange> windows) {
  LabelledSeries series{.name = "some/file.csv"};
  for (int row = 0; row < 100; ++row) {
    series.times.push_back(absl::UnixEpoch() + absl::Minutes(5 * row));
    series.stamps.push_back(absl::FormatTime("%Y-%m-%d %H:%M:%S", series.times.back(), absl::UTCTimeZone()));
    series.values.push_back(row);
  }
  series.anomalies = std::move(windows);
  return series;
}

std::vector<double> DetectedAt(const std::vector<size_t>& rows) {
  std::vector<double> scores(100, 0.0);
  for (size_t row : rows) scores[row] = 1;
  return scores;
}

double StandardAt(const LabelledSeries& series, const std::vector<size_t>& rows) {
  return ScoreNabAt({series}, {DetectedAt(rows)}, kNabStandard, 0.5);
}

TEST(NabTest, TheFirstRowOfAWindowIsWorthAllAndNothingIsWorthNothing) {
  const LabelledSeries series = Series({{50, 59}});
  EXPECT_NEAR(StandardAt(series, {50}), 100, kExact);
  EXPECT_NEAR(StandardAt(series, {}), 0, kExact);
  EXPECT_NEAR(StandardAt(series, {50, 53, 59}), 100, kExact) << "only the earliest counts";
}

TEST(NabTest, ALaterRowOfAWindowIsWorthLess) {
  // y = -1/10: (2 / (1 + exp(-0.5)) - 1) / 0.986614298 = 0.24824216; from -1 to 1 makes 100.
  EXPECT_NEAR(StandardAt(Series({{50, 59}}), {59}), 100 * (1 + 0.24824216) / 2, 1e-4);
}

TEST(NabTest, AFalseRowCostsAndLittleJustAfterAWindow) {
  const LabelledSeries series = Series({{50, 59}});
  EXPECT_NEAR(StandardAt(series, {30}), 100 * -0.11 / 2, kExact);
  EXPECT_NEAR(StandardAt(series, {30, 31}), 100 * -0.22 / 2, kExact) << "each row costs";
  // y = 1/9: 2 / (1 + exp(5/9)) - 1 = -0.27084834
  EXPECT_NEAR(StandardAt(series, {60}), 100 * 0.11 * -0.27084834 / 2, 1e-4);
  EXPECT_NEAR(StandardAt(series, {99}), 100 * -0.11 / 2, kExact) << "long after: the whole price";
}

TEST(NabTest, RowsOfTheProbationCountNothing) {
  EXPECT_EQ(NabProbation(100), 15u);
  EXPECT_EQ(NabProbation(4032), 604u);
  EXPECT_EQ(NabProbation(20000), 750u);
  EXPECT_NEAR(StandardAt(Series({{50, 59}}), {0, 7, 14}), 0, kExact);
  EXPECT_NEAR(StandardAt(Series({{50, 59}}), {15}), 100 * -0.11 / 2, kExact);
}

TEST(NabTest, TheThresholdIsTheOneThatPaysMost) {
  const LabelledSeries series = Series({{50, 59}});
  std::vector<double> scores(100, 0.1);
  scores[30] = 0.7;  // false, but cheaper than a miss
  scores[50] = 0.6;
  const NabResult result = ScoreNab({series}, {scores}, kNabStandard);
  EXPECT_EQ(result.threshold, 0.6);
  EXPECT_NEAR(result.raw, 1 - 0.11, kExact);
  EXPECT_NEAR(result.normalised, 100 * (2 - 0.11) / 2, kExact);
  EXPECT_NEAR(ScoreNab({series}, {scores}, kNabLowFalsePositives).normalised, 100 * (2 - 0.22) / 2, kExact);
  EXPECT_NEAR(ScoreNab({series}, {scores}, kNabLowFalseNegatives).normalised, 100 * (3 - 0.11) / 3, kExact);
}

TEST(NabTest, AScoreThatOnlyDoesHarmIsNotUsed) {
  std::vector<double> scores(100, 0.0);
  scores[20] = 1;
  const NabResult result = ScoreNab({Series({{50, 59}})}, {scores}, kNabStandard);
  EXPECT_EQ(result.raw, -1);
  EXPECT_GT(result.threshold, 1);
}

TEST(NabTest, AHeldOutThresholdComesFromTheOtherFiles) {
  // The first file wants 0.9, the second 0.4: each is blind at the other's, or is punished for it.
  std::vector<double> first(100, 0.5), second(100, 0.0);
  first[50] = 0.9;
  second[50] = 0.4;
  const std::vector<LabelledSeries> corpus = {Series({{50, 59}}), Series({{50, 59}})};
  const double held_out = ScoreNabHeldOut(corpus, {first, second}, kNabStandard);
  EXPECT_LT(held_out, ScoreNab(corpus, {first, second}, kNabStandard).normalised);
  EXPECT_NEAR(ScoreNabHeldOut(corpus, {DetectedAt({50}), DetectedAt({50})}, kNabStandard), 100, kExact);
}

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(NabTest, AFolderIsReadWithItsWindows) {
  const TempDir folder;
  Write(folder.path() + "/data/a/x.csv",
        "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,2.5\n2014-04-01 00:10:00,3\n");
  Write(folder.path() + "/labels/combined_windows.json",
        R"({"a/x.csv": [["2014-04-01 00:05:00.000000", "2014-04-01 00:10:00.000000"]]})");
  const auto corpus = LoadNab(folder.path());
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  ASSERT_EQ(corpus->series.size(), 1u);
  EXPECT_THAT(corpus->skipped, ::testing::IsEmpty());
  const LabelledSeries& series = corpus->series.front();
  EXPECT_EQ(series.name, "a/x.csv");
  EXPECT_THAT(series.values, ::testing::ElementsAre(1, 2.5, 3));
  EXPECT_EQ(absl::FormatTime(series.times[1], absl::UTCTimeZone()), "2014-04-01T00:05:00+00:00");
  EXPECT_THAT(series.Labels(), ::testing::ElementsAre(0, 1, 1));
}

TEST(NabTest, WhatIsBrokenIsNamed) {
  const TempDir folder;
  EXPECT_EQ(LoadNab(folder.path()).status().code(), absl::StatusCode::kNotFound);
  const std::string labels = folder.path() + "/labels/combined_windows.json";
  Write(labels, "{");
  EXPECT_THAT(LoadNab(folder.path()).status().message(), HasSubstr("not JSON"));
  Write(labels, R"({"x.csv": [["2014-04-01 00:05:00"]]})");
  EXPECT_THAT(LoadNab(folder.path()).status().message(), HasSubstr("not a pair"));
  Write(labels, R"({"x.csv": [["2014-04-01 00:05:00", "2014-04-01 00:10:00"]]})");
  EXPECT_EQ(LoadNab(folder.path()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(LoadNab(folder.path()).status().message(), HasSubstr("x.csv: there is no such file in "));
  Write(folder.path() + "/data/x.csv", "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,much\n");
  EXPECT_THAT(LoadNab(folder.path()).status().message(), HasSubstr("x.csv: line 3: \"much\" is no number"));
  Write(folder.path() + "/data/x.csv", "timestamp,value\nyesterday,1\n");
  EXPECT_THAT(LoadNab(folder.path()).status().message(), HasSubstr("\"yesterday\" is no timestamp"));
  Write(folder.path() + "/data/x.csv", "timestamp,value\n");
  EXPECT_THAT(LoadNab(folder.path()).status().message(), HasSubstr("no rows"));
}

TEST(NabTest, AFileThatIsMissingBrokenOrUnlabelledIsSkippedAloudAndTheRestIsScored) {
  const TempDir folder;
  const std::string row = "timestamp,value\n2014-04-01 00:00:00,1\n";
  Write(folder.path() + "/data/a/there.csv", row);
  Write(folder.path() + "/data/a/broken.csv", row + "2014-04-01 00:05:00,much\n");
  Write(folder.path() + "/data/a/unlabelled.csv", row);
  Write(folder.path() + "/labels/combined_windows.json",
        R"({"a/broken.csv": [], "a/missing.csv": [], "a/there.csv": []})");
  const auto corpus = LoadNab(folder.path());
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  ASSERT_EQ(corpus->series.size(), 1u);
  EXPECT_EQ(corpus->series.front().name, "a/there.csv");
  EXPECT_THAT(corpus->skipped,
              ElementsAre("a/broken.csv: line 3: \"much\" is no number", HasSubstr("a/missing.csv: there is no such"),
                          "a/unlabelled.csv: the labels do not name it"));
}

TEST(NabTest, AWindowIsTheRowsWithinItsTimes) {
  const TempDir folder;
  std::string rows = "timestamp,value\n";
  for (int row = 0; row < 60; row += 5) rows += absl::StrFormat("2014-04-01T00:%02d:00,%d\n", row, row);
  Write(folder.path() + "/data/x.csv", rows);
  Write(folder.path() + "/labels/combined_windows.json", R"({"x.csv": [
      ["2014-04-01 00:51:00", "2014-04-01 09:00:00"], ["2014-04-01 00:11:00.000000", "2014-04-01 00:24:00.000000"],
      ["2014-04-01T00:20:00", "2014-04-01T00:26:00"], ["2014-04-01 00:40:00", "2014-04-01 00:40:00"],
      ["2014-04-01 00:41:00", "2014-04-01 00:44:00"]]})");
  const auto corpus = LoadNab(folder.path());
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  const LabelledSeries& series = corpus->series.front();
  EXPECT_THAT(series.Labels(), ElementsAre(0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 1));
  EXPECT_EQ(series.anomalies.size(), 3u);
  EXPECT_THAT(series.notes, ElementsAre("the window of 2014-04-01T00:20:00 overlaps another: merged",
                                        HasSubstr("from 2014-04-01 00:41:00 to 2014-04-01 00:44:00 has no row")));
  // A window of one row is worth what any other is.
  std::vector<double> scores(12, 0.0);
  scores[3] = scores[8] = scores[11] = 1;
  EXPECT_NEAR(ScoreNabAt({series}, {scores}, kNabStandard, 0.5), 100, kExact);
}

TEST(NabTest, ResultsAreWrittenAsNabNamesThem) {
  const TempDir folder;
  const LabelledSeries series = Series({{50, 59}});
  ASSERT_TRUE(WriteNabResults(folder.path(), "headroom", series, DetectedAt({50})).ok());
  std::ifstream file(folder.path() + "/headroom/some/headroom_file.csv");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "timestamp,value,anomaly_score,label");
  for (int row = 0; row <= 50; ++row) std::getline(file, line);
  EXPECT_EQ(line, "1970-01-01 04:10:00,50,1,1");
}

// The scores of three published detectors, and what they are known to come to.
std::map<std::string, SeriesScores> FixtureScores(const std::string& path, const std::vector<LabelledSeries>& corpus) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < corpus.size(); ++i) index[corpus[i].name] = i;
  std::map<std::string, SeriesScores> scores;
  std::vector<std::string> names;
  char buffer[1024];
  while (gzgets(file, buffer, sizeof buffer) != nullptr) {
    const std::vector<std::string> cells = absl::StrSplit(absl::StripTrailingAsciiWhitespace(buffer), ',');
    for (size_t i = 2; i < cells.size(); ++i) {
      if (names.size() < cells.size()) {
        names = cells;
        for (size_t k = 2; k < names.size(); ++k) scores[names[k]].resize(corpus.size());
        break;
      }
      double score = 0;
      if (absl::SimpleAtod(cells[i], &score)) scores[names[i]][index.at(cells[0])].push_back(score);
    }
  }
  gzclose(file);
  return scores;
}

TEST(NabTest, PublishedDetectorsComeToTheirPublishedFigures) {
  const char* folder = std::getenv("HEADROOM_NAB");
  if (folder == nullptr) GTEST_SKIP() << "HEADROOM_NAB does not name a folder with NAB's data, labels and fixtures";
  const auto loaded = LoadNab(folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::vector<LabelledSeries>* corpus = &loaded->series;
  const auto scores = FixtureScores(absl::StrCat(folder, "/fixtures/anomaly_scores.csv.gz"), *corpus);
  ASSERT_EQ(scores.size(), 3u);
  const auto check = [&](const char* detector, double standard, double low_fp, double low_fn) {
    const SeriesScores& of = scores.at(detector);
    EXPECT_NEAR(ScoreNab(*corpus, of, kNabStandard).normalised, standard, 0.0006) << detector;
    EXPECT_NEAR(ScoreNab(*corpus, of, kNabLowFalsePositives).normalised, low_fp, 0.0006) << detector;
    EXPECT_NEAR(ScoreNab(*corpus, of, kNabLowFalseNegatives).normalised, low_fn, 0.0006) << detector;
  };
  check("windowedGaussian", 40.602, 22.793, 48.607);
  check("randomCutForest", 52.242, 39.774, 60.982);
  check("ARTime", 79.520, 71.388, 84.808);
}

}  // namespace
}  // namespace headroom::lab
