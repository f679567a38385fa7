#include "controller/core/forecast/demand_forecast.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/controller/core/forecast/chance.h"

namespace headroom::forecast {
namespace {

constexpr absl::Duration kLead = absl::Minutes(3);
const absl::Time kStart = absl::UnixEpoch() + absl::Hours(24 * 1000);

// Ticks every `pace` with the demand that `series` has then.
template <typename Series>
absl::Time Feed(DemandForecast& forecast, absl::Time from, absl::Duration time, Series series,
                absl::Duration pace = absl::Seconds(15)) {
  for (absl::Time now = from; now < from + time; now += pace) forecast.Observe(now, series(now), kLead);
  return from + time;
}

TEST(DemandForecastTest, SaysNothingUntilItCanTell) {
  DemandForecast forecast;
  EXPECT_FALSE(forecast.Ahead(kLead, 0.9).has_value());
  const absl::Time then = Feed(forecast, kStart, absl::Minutes(10), [](absl::Time) { return 500.0; });
  EXPECT_FALSE(forecast.Ahead(kLead, 0.9).has_value());
  Feed(forecast, then, absl::Hours(2), [](absl::Time) { return 500.0; });
  ASSERT_TRUE(forecast.Ahead(kLead, 0.9).has_value());
  EXPECT_NEAR(forecast.Ahead(kLead, 0.9)->expected, 500, 1);
  EXPECT_EQ(forecast.Ahead(kLead, 0.9)->ahead, kLead);
}

TEST(DemandForecastTest, SeesTheDailyPeakComing) {
  DemandForecast forecast;
  Chance chance;
  const auto series = [&](absl::Time now) {
    const double hour = std::fmod(absl::ToDoubleHours(now - kStart), 24);
    return (hour >= 9 && hour < 12 ? 2000 : 500) * chance.Between(0.95, 1.05);
  };
  const absl::Time now = Feed(forecast, kStart, absl::Hours(4 * 24 + 9) - absl::Minutes(2), series);
  EXPECT_GT(forecast.Ahead(absl::Minutes(3), 0.9)->upper, 1500) << "in two minutes it begins";
  EXPECT_LT(forecast.Ahead(absl::Minutes(1), 0.5)->upper, 1000) << now;
}

TEST(DemandForecastTest, WhatIsUnknownIsNotZero) {
  DemandForecast forecast;
  absl::Time now = Feed(forecast, kStart, absl::Hours(3), [](absl::Time) { return 500.0; });
  const int64_t known = forecast.known_count();
  now = Feed(forecast, now, absl::Hours(1), [](absl::Time) { return std::optional<double>(); });
  EXPECT_LE(forecast.known_count(), known + 1);
  Feed(forecast, now, absl::Minutes(2), [](absl::Time) { return 500.0; });
  EXPECT_NEAR(forecast.Ahead(kLead, 0.9)->expected, 500, 5);
}

TEST(DemandForecastTest, AnOldForecastIsNone) {
  DemandForecast forecast;
  const absl::Time now = Feed(forecast, kStart, absl::Hours(3), [](absl::Time) { return 500.0; });
  ASSERT_TRUE(forecast.Ahead(kLead, 0.9).has_value());
  Feed(forecast, now, absl::Minutes(10), [](absl::Time) { return std::optional<double>(); });
  EXPECT_FALSE(forecast.Ahead(kLead, 0.9).has_value());
  EXPECT_FALSE(forecast.Until(kLead, 0.9).has_value());
}

TEST(DemandForecastTest, AMissedTickDoesNotStretchADemand) {
  DemandForecast forecast;
  absl::Time now = Feed(forecast, kStart, absl::Hours(2), [](absl::Time) { return 500.0; });
  const int64_t known = forecast.known_count();
  now += absl::Hours(24 * 365 * 10);
  forecast.Observe(now, 500, kLead);
  EXPECT_LE(forecast.known_count(), known + 2) << "a minute of it is believed, ten years are not";
  Feed(forecast, now, absl::Minutes(5), [](absl::Time) { return 500.0; });
  EXPECT_NEAR(forecast.Ahead(kLead, 0.9)->expected, 500, 5);
}

TEST(DemandForecastTest, NodesThatComeSlowlyAreAskedForFromLongerSlots) {
  DemandForecast forecast;
  for (absl::Time now = kStart; now < kStart + absl::Hours(12); now += absl::Minutes(1)) {
    forecast.Observe(now, 500, absl::Minutes(30));
  }
  EXPECT_EQ(forecast.known_count(), 12 * 12 - 1) << "slots of five minutes";
  EXPECT_NEAR(forecast.Ahead(absl::Minutes(30), 0.9)->upper, 500, 1);
  EXPECT_NEAR(forecast.Ahead(absl::Hours(5), 0.9)->upper, 500, 1) << "as far as it can see";
}

}  // namespace
}  // namespace headroom::forecast
