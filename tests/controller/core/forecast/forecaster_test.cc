#include "controller/core/forecast/forecaster.h"

#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/controller/core/forecast/chance.h"

namespace headroom::forecast {
namespace {

constexpr int64_t kDay = 288;

double Diurnal(int64_t slot) {
  return 1000 + 600 * std::sin(6.2831853 * static_cast<double>(slot % kDay) / kDay);
}

// What a forecaster earned over a stretch, beside the last value.
struct Earned {
  double error = 0, error_of_last = 0, covered = 0, count = 0;
  double relative() const { return error / error_of_last; }
  double coverage() const { return covered / count; }
};

// Feeds `series` from slot `from` to `to` and scores what was said at the horizon for the slots of [scored_from, to).
struct Run {
  int64_t from = 0, scored_from = 0, to = 0;
  size_t horizon = 2;
};
Earned Feed(Forecaster& forecaster, const Run& run, const std::function<double(int64_t)>& series) {
  const int64_t ahead = forecaster.options().horizons[run.horizon];
  Earned earned;
  std::vector<double> expected, upper, values;
  for (int64_t slot = run.from; slot < run.to; ++slot) {
    values.push_back(series(slot));
    const auto at = static_cast<size_t>(slot - run.from);
    if (const int64_t origin = slot - ahead; origin >= run.from && slot >= run.scored_from) {
      const auto then = static_cast<size_t>(origin - run.from);
      earned.error += std::abs(values[at] - expected[then]);
      earned.error_of_last += std::abs(values[at] - values[then]);
      earned.covered += values[at] <= upper[then];
      ++earned.count;
    }
    forecaster.Observe(slot, values[at]);
    const auto forecast = forecaster.Ahead(run.horizon);
    expected.push_back(forecast->expected);
    upper.push_back(forecast->Quantile(0.95).value_or(forecast->expected));
  }
  return earned;
}

TEST(ForecasterTest, KnowsNothingBeforeItsFirstValueAndThenThat) {
  Forecaster forecaster{ForecasterOptions()};
  EXPECT_FALSE(forecaster.Ahead(0).has_value());
  forecaster.Observe(7, 42);
  ASSERT_TRUE(forecaster.Ahead(0).has_value());
  EXPECT_DOUBLE_EQ(forecaster.Ahead(0)->expected, 42);
  EXPECT_FALSE(forecaster.Ahead(0)->Quantile(0.95).has_value()) << "honest about too little history";
}

TEST(ForecasterTest, LearnsTheDay) {
  Forecaster forecaster{ForecasterOptions()};
  Chance chance;
  const Earned earned = Feed(forecaster, {.scored_from = 5 * kDay, .to = 8 * kDay},
                             [&](int64_t slot) { return Diurnal(slot) + chance.Between(-20, 20); });
  EXPECT_LT(earned.relative(), 0.4);
  EXPECT_GT(earned.coverage(), 0.93);
  EXPECT_LT(earned.coverage(), 0.97);
}

TEST(ForecasterTest, SeesANightlyJobComing) {
  Forecaster forecaster{ForecasterOptions()};
  Chance chance;
  const auto series = [&](int64_t slot) {
    return (slot % kDay >= 24 && slot % kDay < 36 ? 900 : 100) * chance.Between(0.9, 1.1);
  };
  Feed(forecaster, {.to = 10 * kDay + 22}, series);
  EXPECT_GT(forecaster.Ahead(2)->expected, 500) << "six slots later it runs";
  EXPECT_LT(forecaster.Ahead(0)->expected, 300) << "one slot later it does not";
}

TEST(ForecasterTest, LearnsAPeriodThatIsNoPartOfADay) {
  Forecaster forecaster{ForecasterOptions()};
  Chance chance;
  const auto series = [&](int64_t slot) { return (slot % 84 < 12 ? 900 : 100) * chance.Between(0.9, 1.1); };
  const Earned earned = Feed(forecaster, {.scored_from = 10 * kDay, .to = 14 * kDay}, series);
  EXPECT_EQ(forecaster.season(), 84);
  EXPECT_LT(earned.relative(), 0.4);
}

TEST(ForecasterTest, IsNoWorseThanTheLastValueWhereNothingCanBeKnown) {
  Forecaster forecaster{ForecasterOptions()};
  Chance chance;
  double walk = 1000;
  const Earned earned = Feed(forecaster, {.scored_from = 3 * kDay, .to = 10 * kDay},
                             [&](int64_t) { return walk = std::max(0.0, walk + chance.Between(-20, 20)); });
  EXPECT_LT(earned.relative(), 1.05);
}

TEST(ForecasterTest, KeepsItsPromiseInTheDayAfterALevelChange) {
  Forecaster forecaster{ForecasterOptions()};
  Chance chance;
  const auto series = [&](int64_t slot) {
    return Diurnal(slot) * (slot >= 9 * kDay ? 3 : 1) * chance.Between(0.95, 1.05);
  };
  const Earned earned = Feed(forecaster, {.scored_from = 9 * kDay, .to = 10 * kDay}, series);
  EXPECT_GE(earned.coverage(), 0.90);
  EXPECT_LE(earned.coverage(), 0.98);
}

TEST(ForecasterTest, AGapIsUnknownAndNotZero) {
  Forecaster forecaster{ForecasterOptions()};
  for (int64_t slot = 0; slot < 3 * kDay; ++slot) {
    if (slot % kDay < 250) forecaster.Observe(slot, 500);
  }
  EXPECT_NEAR(forecaster.Ahead(2)->expected, 500, 5);
}

// Errors half an hour ahead come in runs, so the share above the P95 is now nothing and now all.
TEST(ForecasterTest, WhatTheTailLearnsDoesNotMoveTheMedian) {
  Forecaster forecaster{ForecasterOptions()};
  constexpr size_t kHalfHour = 2, kAhead = 6;
  Chance chance;
  double noise = 0, off_median = 0, off_expected = 0;
  std::vector<double> median, expected;
  for (int64_t slot = 0; slot < 14 * kDay; ++slot) {
    noise = 0.95 * noise + chance.Between(-40, 40);
    const double value = Diurnal(slot) + noise;
    if (slot >= 4 * kDay) {
      off_median += std::abs(value - median[median.size() - kAhead]);
      off_expected += std::abs(value - expected[expected.size() - kAhead]);
    }
    forecaster.Observe(slot, value);
    const auto forecast = forecaster.Ahead(kHalfHour);
    expected.push_back(forecast->expected);
    median.push_back(forecast->Quantile(0.5).value_or(forecast->expected));
  }
  EXPECT_LT(off_median, 1.03 * off_expected);
}

TEST(ForecasterTest, ACopyGoesOnAsTheOriginalDoes) {
  Forecaster first{ForecasterOptions()};
  Chance chance;
  const auto series = [&](int64_t slot) { return Diurnal(slot) * chance.Between(0.8, 1.2); };
  Feed(first, {.to = 3 * kDay}, series);
  Forecaster second = first;
  for (int64_t slot = 3 * kDay; slot < 4 * kDay; ++slot) {
    const double value = series(slot);
    first.Observe(slot, value);
    second.Observe(slot, value);
    ASSERT_EQ(first.Ahead(1)->expected, second.Ahead(1)->expected);
    ASSERT_EQ(first.Ahead(1)->Quantile(0.99), second.Ahead(1)->Quantile(0.99));
  }
}

TEST(ForecasterTest, SurvivesZerosAndGiants) {
  Forecaster forecaster{ForecasterOptions()};
  for (int64_t slot = 0; slot < 4 * kDay; ++slot) {
    forecaster.Observe(slot, slot % 97 == 0 ? 1e12 : 0);
    ASSERT_TRUE(std::isfinite(forecaster.Ahead(0)->expected));
    ASSERT_GE(forecaster.Ahead(0)->expected, 0);
    ASSERT_TRUE(std::isfinite(forecaster.Ahead(2)->Quantile(0.95).value_or(0)));
  }
}

TEST(Forecaster, ALevelThatHalvesIsFollowedSoonerWhenItIsToldSo) {
  double error[2] = {0, 0};
  for (const bool told : {false, true}) {
    Chance chance;
    double noise = 0;
    Forecaster forecaster({.step = absl::Minutes(5), .horizons = {1, 3, 6}});
    const int64_t shift = 6 * kDay + 60;
    const auto series = [&](int64_t slot) {
      noise = 0.9 * noise + chance.Between(-0.04, 0.04);
      return Diurnal(slot) * (1 + noise) * (slot < shift ? 1 : 0.5);
    };
    Feed(forecaster, {.from = 0, .scored_from = 0, .to = shift + 3}, series);
    if (told) forecaster.Doubt();
    error[told ? 1 : 0] = Feed(forecaster, {.from = shift + 3, .scored_from = 0, .to = shift + 40}, series).error;
  }
  EXPECT_LT(error[1], error[0]);
}

}  // namespace
}  // namespace headroom::forecast
