#include <cmath>

#include <gtest/gtest.h>

#include "controller/core/forecast/features.h"
#include "controller/core/forecast/linear_predictor.h"
#include "controller/core/forecast/mixture.h"
#include "controller/core/forecast/residuals.h"
#include "controller/core/forecast/season.h"
#include "controller/core/forecast/slot_history.h"
#include "tests/controller/core/forecast/chance.h"

namespace headroom::forecast {
namespace {

TEST(LinearPredictorTest, BeginsAsTheLastValue) {
  LinearPredictor predictor(1000, kLastValue);
  Features features{};
  features[kLastValue] = 7;
  EXPECT_DOUBLE_EQ(predictor.Predict(features), 7);
}

TEST(LinearPredictorTest, LearnsALinearLawAndFollowsItsChange) {
  LinearPredictor predictor(200, kLastValue);
  Chance chance;
  Features features{};
  const auto learn = [&](double a, double b) {
    for (int i = 0; i < 1500; ++i) {
      features = {1};
      for (size_t j = 1; j < 6; ++j) features[j] = chance.Between(0, 1);
      predictor.Learn(features, a * features[2] + b * features[5], 1);
    }
    features = {1, 0.5, 0.2, 0, 0, 0.6};
    return predictor.Predict(features);
  };
  EXPECT_NEAR(learn(2, 1), 2 * 0.2 + 0.6, 1e-3);
  EXPECT_NEAR(learn(0, 3), 3 * 0.6, 1e-3);
}

TEST(LinearPredictorTest, StaysFiniteWhereNothingNewComes) {
  LinearPredictor predictor(100, kLastValue);
  Features features{};
  features[0] = features[kLastValue] = 1;
  for (int i = 0; i < 100'000; ++i) predictor.Learn(features, 1, 1);
  features[3] = 1;
  predictor.Learn(features, 2, 1);
  EXPECT_TRUE(std::isfinite(predictor.Predict(features)));
  EXPECT_NEAR(predictor.Predict(features), 2, 0.1);
}

TEST(MixtureTest, TrustsTheFirstAndThenTheBetter) {
  Mixture mixture({1, 0, 0}, 1000);
  EXPECT_DOUBLE_EQ(mixture.Mix({5, 6, 7}), 5);
  for (int i = 0; i < 200; ++i) {
    const std::vector<double> said = {12, 10.1, 30};
    const double mix = mixture.Mix(said);
    mixture.Learn(said, mix, mix > 10 ? 1 : -1, 10);
  }
  EXPECT_GT(mixture.weights()[1], 0.9);
  EXPECT_EQ(mixture.weights()[2], 0);
}

TEST(ResidualsTest, TellQuantilesOnceTheyAreKnown) {
  Residuals residuals(1e6);
  Chance chance;
  for (int i = 0; i < 30; ++i) residuals.Add(chance.Between(-1, 1));
  EXPECT_FALSE(residuals.CanTell(0.95));
  for (int i = 0; i < 100'000; ++i) residuals.Add(chance.Between(-1, 1));
  EXPECT_TRUE(residuals.CanTell(0.95));
  EXPECT_NEAR(residuals.Quantile(0.5), 0, 0.02);
  EXPECT_NEAR(residuals.Quantile(0.95), 0.9, 0.02);
  EXPECT_NEAR(residuals.Quantile(0.05), -0.9, 0.02);
}

TEST(ResidualsTest, ForgetTheOld) {
  Residuals residuals(500);
  for (int i = 0; i < 5000; ++i) residuals.Add(10);
  for (int i = 0; i < 5000; ++i) residuals.Add(i % 2);
  EXPECT_LT(residuals.Quantile(0.99), 1.1);
}

TEST(SlotHistoryTest, KnowsWhatWasLeftOut) {
  SlotHistory history(10);
  history.Add(100, 1);
  history.Add(103, 2);
  EXPECT_EQ(history[100], 1);
  EXPECT_TRUE(std::isnan(history[101]));
  EXPECT_EQ(history[103], 2);
  EXPECT_TRUE(std::isnan(history[104]));
  history.Add(1'000'000, 3);
  EXPECT_TRUE(std::isnan(history[1'000'000 - 7])) << "what lay in its place is long past";
  EXPECT_EQ(history[1'000'000], 3);
}

TEST(SeasonTest, FindsAPeriodThatIsNoPartOfADay) {
  constexpr int64_t kDay = 288, kSevenHours = 84;
  SlotHistory history(15 * kDay);
  Chance chance;
  for (int64_t slot = 0; slot < 10 * kDay; ++slot) {
    const double day = 50 * std::sin(6.2831853 * static_cast<double>(slot % kDay) / kDay);
    history.Add(slot, 100 + day + (slot % kSevenHours < 6 ? 80 : 0) + chance.Between(0, 20));
  }
  EXPECT_EQ(FindSeason(history, kDay), kSevenHours);
}

TEST(SeasonTest, FindsNoneInNoiseOrInADay) {
  constexpr int64_t kDay = 288;
  SlotHistory noise(15 * kDay), day(15 * kDay);
  Chance chance;
  for (int64_t slot = 0; slot < 10 * kDay; ++slot) {
    noise.Add(slot, chance.Between(50, 100));
    day.Add(slot, 100 + 50 * std::sin(6.2831853 * static_cast<double>(slot % kDay) / kDay) + chance.Between(0, 20));
  }
  EXPECT_EQ(FindSeason(noise, kDay), 0);
  EXPECT_EQ(FindSeason(day, kDay), 0);
}

}  // namespace
}  // namespace headroom::forecast
