#include "controller/core/anomaly/tail_history.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace headroom {
namespace {

// A past of exponentially distributed sizes: the probability of more than s is exp(-s).
TailHistory Exponential(int count) {
  std::mt19937_64 random(1);
  TailHistory history;
  for (int i = 0; i < count; ++i) history.Add(-std::log((static_cast<double>(random() % 1000000) + 0.5) / 1000000));
  return history;
}

TEST(TailHistoryTest, WithoutAPastNothingIsSurprising) {
  TailHistory history;
  EXPECT_EQ(history.Surprise(1e9), 0);
  for (int i = 0; i < 20; ++i) history.Add(1);
  EXPECT_EQ(history.Surprise(1e9), 0);
}

TEST(TailHistoryTest, TheSurpriseIsTheTailProbability) {
  const TailHistory history = Exponential(10000);
  for (double p : {0.05, 0.03, 0.01}) EXPECT_NEAR(history.Surprise(-std::log(p)), -std::log10(p), 0.15) << p;
}

TEST(TailHistoryTest, WhatIsCommonIsNoSurprise) {
  const TailHistory history = Exponential(10000);
  for (double p : {0.9, 0.5, 0.2}) EXPECT_EQ(history.Surprise(-std::log(p)), 0) << p;
}

TEST(TailHistoryTest, BeyondAllThatWasSeenItGrowsOn) {
  const TailHistory history = Exponential(1000);
  const double at_20 = history.Surprise(20), at_100 = history.Surprise(100);
  EXPECT_GT(at_20, 3);
  EXPECT_GT(at_100, at_20 + 0.5);
  EXPECT_LE(history.Surprise(1e300), 12);
}

TEST(TailHistoryTest, AShortPastIsNotTrustedFar) {
  EXPECT_LE(Exponential(60).Surprise(1e9), 2 * std::log10(61.0));
  EXPECT_GT(Exponential(10000).Surprise(1e9), 6);
}

TEST(TailHistoryTest, ItNeverFallsAsTheStatisticGrows) {
  const TailHistory history = Exponential(3000);
  double before = 0;
  for (double statistic = 0.01; statistic < 50; statistic *= 1.01) {
    const double surprise = history.Surprise(statistic);
    EXPECT_GE(surprise, before - 0.02) << statistic;  // where the slope takes over from the count
    before = surprise;
  }
}

TEST(TailHistoryTest, TheScaleDoesNotMatter) {
  TailHistory large, small;
  std::mt19937_64 random(2);
  for (int i = 0; i < 5000; ++i) {
    const auto size = static_cast<double>(random() % 1000 + 1);
    large.Add(size);
    small.Add(size / 4096);
  }
  EXPECT_NEAR(large.Surprise(5000), small.Surprise(5000.0 / 4096), 1e-9);
}

TEST(TailHistoryTest, WhatIsLearnedLateIsNotJudgedByItself) {
  TailHistory now = Exponential(1000), later = now;
  for (int i = 0; i < 30; ++i) {
    now.Add(50);
    later.Add(50, 30);
  }
  EXPECT_GT(later.Surprise(50), now.Surprise(50) + 1);
  for (int i = 0; i < 100; ++i) later.Add(50, 30);
  EXPECT_LT(later.Surprise(50), 1.3) << "learned at last";
}

TEST(TailHistoryTest, AnOldPastFades) {
  TailHistory history;
  for (int i = 0; i < 15000; ++i) history.Add(100);
  for (int i = 0; i < 200000; ++i) history.Add(1);
  EXPECT_GT(history.Surprise(90), 2) << "hundreds were common once";
}

}  // namespace
}  // namespace headroom
