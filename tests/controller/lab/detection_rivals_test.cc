#include "controller/lab/detection_rivals.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace headroom::lab {
namespace {

std::vector<double> Wave(size_t rows, double period) {
  std::vector<double> values(rows);
  for (size_t row = 0; row < rows; ++row) values[row] = std::sin(2 * M_PI * static_cast<double>(row) / period);
  return values;
}

size_t Strangest(const std::vector<double>& scores) {
  return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

TEST(PolyTest, APolynomialOfDegreeFourIsNotStrange) {
  std::vector<double> values;
  for (int row = 0; row < 1000; ++row) {
    const double x = row / 1000.0;
    values.push_back(5 - 3 * x + 2 * x * x * x - 7 * x * x * x * x);
  }
  for (double score : PolyScores(values, 20)) EXPECT_LT(score, 1e-6);
}

TEST(PolyTest, TheWindowOfAnOutlierIsStrangestByItsRootMeanSquare) {
  std::vector<double> values(1000, 1.0);
  values[510] += 10;
  const std::vector<double> scores = PolyScores(values, 20);
  EXPECT_EQ(scores.size(), values.size());
  EXPECT_EQ(Strangest(scores), 500u) << "windows begin at multiples of their length";
  EXPECT_NEAR(scores[519], 10 / std::sqrt(20.0), 1e-6) << "the window itself is not fitted";
}

TEST(PolyTest, TheFirstRowsAreNotJudged) {
  std::vector<double> values(1000, 1.0);
  values[10] = 50;
  EXPECT_EQ(PolyScores(values, 20)[10], 0);
}

TEST(PolyTest, AShortSeriesIsJudgedWithoutHarm) {
  for (size_t rows : {0u, 1u, 5u, 30u}) EXPECT_EQ(PolyScores(std::vector<double>(rows, 2.0), 20).size(), rows);
}

TEST(SubPcaTest, AWaveThatStopsIsStrangestThere) {
  std::vector<double> values = Wave(1000, 25);
  values[600] += 5;
  const std::vector<double> scores = SubPcaScores(values, 25);
  ASSERT_EQ(scores.size(), values.size());
  EXPECT_NEAR(static_cast<double>(Strangest(scores)), 600, 13);
  EXPECT_GT(scores[600], *std::max_element(scores.begin(), scores.begin() + 500));
}

TEST(SubPcaTest, ASeriesTooShortForWindowsIsNotJudged) {
  EXPECT_EQ(SubPcaScores({1, 2, 3}, 25), (std::vector<double>{0, 0, 0}));
}

TEST(SubPcaTest, AConstantSeriesHasOneScore) {
  const std::vector<double> scores = SubPcaScores(std::vector<double>(100, 3.0), 10);
  EXPECT_EQ(*std::min_element(scores.begin(), scores.end()), *std::max_element(scores.begin(), scores.end()));
}

}  // namespace
}  // namespace headroom::lab
