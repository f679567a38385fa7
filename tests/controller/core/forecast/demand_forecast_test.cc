#include "controller/core/forecast/demand_forecast.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "tests/controller/core/forecast/chance.h"

namespace headroom::forecast {
namespace {

constexpr absl::Duration kLead = absl::Minutes(3);
const absl::Time kStart = absl::UnixEpoch() + absl::Hours(24 * 1000);

// Ticks every `pace` with the demand that `series` has then.
template <typename Series>
absl::Time Feed(DemandForecast& forecast, absl::Time from, absl::Duration time, Series series, double quantile = 0.9) {
  for (absl::Time now = from; now < from + time; now += absl::Seconds(15))
    forecast.Observe(now, series(now), {.lead = kLead, .quantile = quantile});
  return from + time;
}

TEST(DemandForecastTest, SaysNothingUntilItCanTell) {
  DemandForecast forecast;
  EXPECT_FALSE(forecast.Ahead(kLead).has_value());
  const absl::Time then = Feed(forecast, kStart, absl::Minutes(10), [](absl::Time) { return 500.0; });
  EXPECT_FALSE(forecast.Ahead(kLead).has_value());
  Feed(forecast, then, absl::Hours(2), [](absl::Time) { return 500.0; });
  ASSERT_TRUE(forecast.Ahead(kLead).has_value());
  EXPECT_NEAR(forecast.Ahead(kLead)->expected, 500, 1);
  EXPECT_EQ(forecast.Ahead(kLead)->ahead, kLead);
}

TEST(DemandForecastTest, SeesTheDailyPeakComing) {
  DemandForecast forecast;
  Chance chance;
  const auto series = [&](absl::Time now) {
    const double hour = std::fmod(absl::ToDoubleHours(now - kStart), 24);
    return (hour >= 9 && hour < 12 ? 2000 : 500) * chance.Between(0.95, 1.05);
  };
  const absl::Time now = Feed(forecast, kStart, absl::Hours(4 * 24 + 9) - absl::Minutes(2), series);
  EXPECT_GT(forecast.Ahead(absl::Minutes(3))->upper, 1500) << "in two minutes it begins";
  forecast.Observe(now, series(now), {.lead = kLead, .quantile = 0.5});
  EXPECT_LT(forecast.Ahead(absl::Minutes(1))->upper, 1000) << "another quantile is told at once";
}

// Six hours of `before`, then ten of 1000: what is asked for at most, and at the end.
struct AfterJump {
  double most = 0, at_last = 0;
};
AfterJump Jump(double before) {
  DemandForecast forecast;
  Chance chance;
  AfterJump after;
  const auto around = [&](double level) {
    return [&chance, level](absl::Time) { return level * chance.Between(0.9, 1.1); };
  };
  absl::Time now = Feed(forecast, kStart, absl::Hours(6), around(before), 0.975);
  for (int minute = 0; minute < 10 * 60; ++minute) {
    now = Feed(forecast, now, absl::Minutes(1), around(1000), 0.975);
    after.at_last = forecast.Ahead(kLead)->upper;
    after.most = std::max(after.most, after.at_last);
  }
  return after;
}

TEST(DemandForecastTest, AJumpDoesNotOrderManyTimesWhatIsThere) {
  for (const double before : {500.0, 100.0, 20.0, 0.0}) {
    const AfterJump after = Jump(before);
    EXPECT_LT(after.most, 2.2 * 1000) << "it was " << before << "; it jumped by less than 1000";
    EXPECT_GT(after.most, 1000);
    EXPECT_NEAR(after.at_last, 1100, 150) << "it was " << before;
  }
}

TEST(DemandForecastTest, WhatIsAskedForIsLessThanWhatIsPossibleAndThatLessThanTheMost) {
  DemandForecast forecast;
  Chance chance;
  int beyond[3] = {};
  constexpr int kMinutes = 12 * 60;
  absl::Time now = kStart;
  const auto noisy = [&](absl::Time) { return 500 * (1 + std::pow(chance.Between(0, 1), 4)); };
  now = Feed(forecast, now, absl::Hours(24), noisy);
  for (int minute = 0; minute < kMinutes; ++minute) {
    now = Feed(forecast, now, absl::Minutes(1), noisy);
    const double one = noisy(now);
    beyond[0] += one > forecast.Ahead(kLead)->upper;
    beyond[1] += one > forecast.Until(kLead)->upper;
    beyond[2] += one > forecast.Most()->upper;
  }
  EXPECT_NEAR(beyond[0], 0.2 * kMinutes, 0.05 * kMinutes);
  EXPECT_NEAR(beyond[1], 0.1 * kMinutes, 0.04 * kMinutes);
  EXPECT_NEAR(beyond[2], 0.05 * kMinutes, 0.03 * kMinutes);
}

TEST(DemandForecastTest, ADemandBeyondWhatWasHeldPossibleGrowsOnByHalf) {
  DemandForecast forecast;
  Chance chance;
  const auto calm = [&](absl::Time) { return 500 * chance.Between(0.95, 1.05); };
  const absl::Time now = Feed(forecast, kStart, absl::Hours(6), calm);
  EXPECT_FALSE(forecast.Surprised(kLead).has_value());
  forecast.Observe(now, 900, {.lead = kLead, .quantile = 0.9});
  const auto surprise = forecast.Surprised(kLead);
  ASSERT_TRUE(surprise.has_value());
  EXPECT_LT(surprise->upper, 550);
  EXPECT_NEAR(surprise->growth, 400, 30);
  EXPECT_NEAR(surprise->ahead, 900 + 0.5 * (400 - 125), 20);
  forecast.Observe(now + absl::Seconds(15), 500, {.lead = kLead, .quantile = 0.9});
  EXPECT_FALSE(forecast.Surprised(kLead).has_value()) << "it was one sample";
}

TEST(DemandForecastTest, AHigherQuantileNeverAsksForLess) {
  for (double quantile = 0.5; quantile < 0.995; quantile += 0.005)
    EXPECT_GE(DemandForecast::AskedBeyond(quantile), DemandForecast::AskedBeyond(quantile + 0.005)) << quantile;
  EXPECT_NEAR(DemandForecast::AskedBeyond(0.975), 0.05, 1e-12);
  EXPECT_DOUBLE_EQ(DemandForecast::AskedBeyond(0.6), 0.5);
  EXPECT_DOUBLE_EQ(DemandForecast::AskedBeyond(0.5), 0.5);
}

TEST(DemandForecastTest, WhatIsUnknownIsNotZero) {
  DemandForecast forecast;
  absl::Time now = Feed(forecast, kStart, absl::Hours(3), [](absl::Time) { return 500.0; });
  const int64_t known = forecast.known_count();
  now = Feed(forecast, now, absl::Hours(1), [](absl::Time) { return std::optional<double>(); });
  EXPECT_LE(forecast.known_count(), known + 1);
  Feed(forecast, now, absl::Minutes(2), [](absl::Time) { return 500.0; });
  EXPECT_NEAR(forecast.Ahead(kLead)->expected, 500, 5);
}

TEST(DemandForecastTest, AnOldForecastIsNone) {
  DemandForecast forecast;
  const absl::Time now = Feed(forecast, kStart, absl::Hours(3), [](absl::Time) { return 500.0; });
  ASSERT_TRUE(forecast.Ahead(kLead).has_value());
  Feed(forecast, now, absl::Minutes(10), [](absl::Time) { return std::optional<double>(); });
  EXPECT_FALSE(forecast.Ahead(kLead).has_value());
  EXPECT_FALSE(forecast.Until(kLead).has_value());
}

TEST(DemandForecastTest, AMissedTickDoesNotStretchADemand) {
  DemandForecast forecast;
  absl::Time now = Feed(forecast, kStart, absl::Hours(2), [](absl::Time) { return 500.0; });
  const int64_t known = forecast.known_count();
  now += absl::Hours(24 * 365 * 10);
  forecast.Observe(now, 500, {.lead = kLead});
  EXPECT_LE(forecast.known_count(), known + 2) << "a minute of it is believed, ten years are not";
  Feed(forecast, now, absl::Minutes(5), [](absl::Time) { return 500.0; });
  EXPECT_NEAR(forecast.Ahead(kLead)->expected, 500, 5);
}

TEST(DemandForecastTest, NodesThatComeSlowlyAreAskedForFromLongerSlots) {
  DemandForecast forecast;
  for (absl::Time now = kStart; now < kStart + absl::Hours(12); now += absl::Minutes(1)) {
    forecast.Observe(now, 500, {.lead = absl::Minutes(30), .quantile = 0.9});
  }
  EXPECT_EQ(forecast.known_count(), 12 * 12 - 1) << "slots of five minutes";
  EXPECT_NEAR(forecast.Ahead(absl::Minutes(30))->upper, 500, 1);
  EXPECT_NEAR(forecast.Ahead(absl::Hours(5))->upper, 500, 1) << "as far as it can see";
}

}  // namespace
}  // namespace headroom::forecast
