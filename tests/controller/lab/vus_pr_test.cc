#include "controller/lab/vus_pr.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace headroom::lab {
namespace {

// Ten rows, the fifth and the sixth are anomalies.
const std::vector<RowRange> kRange = {{4, 5}};

TEST(VusPrTest, APerfectOrderHasTheWholeVolume) {
  const std::vector<double> scores = {0, 1, 2, 5, 9, 8, 4, 3, 2.5, 1.5};
  EXPECT_DOUBLE_EQ(VusPr(scores, kRange, 0), 1);
  EXPECT_DOUBLE_EQ(VusPr(scores, kRange, 2), 1);
}

TEST(VusPrTest, TheWorstOrderHasWhatTheLastRowsGive) {
  // Rank 9 finds one of two: recall 1/2 at precision 1/9; rank 10 the other: recall 1 at precision 2/10.
  const std::vector<double> scores = {9, 8, 7, 6, 1, 0, 5, 4, 3, 2};
  EXPECT_NEAR(VusPr(scores, kRange, 0), 0.5 / 9 + 0.5 * 0.2, 1e-12);
}

TEST(VusPrTest, ARowJustBeforeTheAnomalyIsNotWrongWithinTheMargin) {
  const std::vector<double> scores = {0, 1, 2, 9, 8, 7, 4, 3, 2.5, 1.5};
  // Margins 0 and 1 reach no row: precision 1/2 at recall 1/2, 2/3 at recall 1.
  const double strict = 0.5 * 0.5 + 0.5 * 2 / 3;
  EXPECT_NEAR(VusPr(scores, kRange, 0), strict, 1e-12);
  // Margin 2 labels its neighbours sqrt(1/2); the wanted sum is the mean of 2 and 2 + sqrt(1/2).
  const double soft = std::sqrt(0.5), wanted = 2 + soft / 2;
  double recall = 0, area = 0;
  for (int row = 0; row < 3; ++row) {
    const double hits = soft + row, next = std::min(hits / wanted, 1.0);
    area += (next - recall) * hits / (row + 1);
    recall = next;
  }
  EXPECT_NEAR(area, 0.822963, 1e-6);
  EXPECT_NEAR(VusPr(scores, kRange, 2), (strict + strict + area) / 3, 1e-12);
}

TEST(VusPrTest, ARangeThatIsNeverFoundHalvesTheRecall) {
  // Two anomalies of one row; the second one has the lowest score of all.
  const std::vector<double> scores = {1, 2, 9, 3, 4, 5, 6, 0};
  // Recall 1/2, times 1/2 found, at precision 1; and all at last, at precision 2/8.
  EXPECT_NEAR(VusPr(scores, {{2, 2}, {7, 7}}, 0), 0.25 * 1 + 0.75 * 0.25, 1e-12);
}

TEST(VusPrTest, EqualScoresAreDetectedTogether) {
  EXPECT_NEAR(VusPr(std::vector<double>(10, 0.5), kRange, 0), 0.2, 1e-12);
}

TEST(VusPrTest, OnlyTheOrderCounts) {
  std::vector<double> scores = {0, 1, 2, 9, 8, 7, 4, 3, 2.5, 1.5};
  const double before = VusPr(scores, kRange, 4);
  for (double& score : scores) score = std::exp(score) - 100;
  EXPECT_DOUBLE_EQ(VusPr(scores, kRange, 4), before);
}

TEST(DominantLagTest, APeriodIsFound) {
  std::vector<double> values;
  for (int row = 0; row < 2000; ++row) values.push_back(std::sin(2 * M_PI * row / 48));
  EXPECT_EQ(DominantLag(values), 48u);
}

TEST(DominantLagTest, WithoutAPeakItIs125) {
  std::vector<double> values;
  for (int row = 0; row < 2000; ++row) values.push_back(row);
  EXPECT_EQ(DominantLag(values), 125u);
  EXPECT_EQ(DominantLag(std::vector<double>{1, 2}), 125u);
  EXPECT_EQ(DominantLag(std::vector<double>(500, 7.0)), 125u);
}

}  // namespace
}  // namespace headroom::lab
