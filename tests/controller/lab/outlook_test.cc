#include "controller/lab/outlook.h"

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/lab/what_if.h"

namespace headroom::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kMonday = 1'704'067'200;
constexpr int64_t kDay = 86'400;

// Every half hour.
Trace TraceOf(int days, const std::function<double(double day)>& value) {
  Trace trace{.name = "made", .column = "value", .step = absl::Minutes(30)};
  for (int i = 0; i < 48 * days; ++i) trace.samples.push_back({kMonday + i * 1800, value(i / 48.0)});
  return trace;
}

double Wave(double day) {
  return 100 - 50 * std::cos(2 * std::numbers::pi * day);
}

TEST(OutlookTest, HoursAheadFollowTheUsualDay) {
  const Outlook outlook = LookAhead(TraceOf(21, Wave), std::nullopt);
  ASSERT_THAT(outlook.hours, SizeIs(24 * kOutlookDays));
  for (const Band& hour : outlook.hours) {
    const double day = static_cast<double>(hour.unix_seconds + 1800 - kMonday) / kDay;
    EXPECT_NEAR(hour.expected, Wave(day), 4) << day;
    EXPECT_LE(hour.low, hour.expected);
    EXPECT_GE(hour.high, hour.expected);
  }
}

TEST(OutlookTest, WeekendsAreKnownFromThreeWeeksOn) {
  const auto week = [](double day) { return std::fmod(day, 7) >= 5 ? 20.0 : 100.0; };
  const Outlook outlook = LookAhead(TraceOf(28, week), std::nullopt);
  ASSERT_THAT(outlook.hours, SizeIs(24 * kOutlookDays));
  EXPECT_NEAR(outlook.hours[12].expected, 100, 2);
  EXPECT_NEAR(outlook.hours[5 * 24 + 12].expected, 20, 2);
}

TEST(OutlookTest, GrowthOfPeaksIsMeasuredAndALimitIsReachedInTime) {
  const Outlook outlook =
      LookAhead(TraceOf(28, [](double day) { return Wave(day) * std::pow(1.01, day); }), std::nullopt);
  ASSERT_TRUE(outlook.measured.has_value());
  EXPECT_NEAR(outlook.measured->expected, 0.01, 0.001);
  // The last day's peak is about 150 x 1.01^27.5; twice that takes ln 2 / ln 1.01 = 69.7 days.
  const Break until = DaysUntil(outlook, 2 * 150 * std::pow(1.01, 27.5));
  ASSERT_TRUE(until.expected_days.has_value());
  EXPECT_NEAR(*until.expected_days, 70, 4);
  ASSERT_TRUE(until.early_days.has_value());
  EXPECT_LE(*until.early_days, *until.expected_days);
}

TEST(OutlookTest, WhatIsStoredGrowsBySumsAndReachesItsLimitWhenTheyDo) {
  const Outlook outlook = LookAhead(TraceOf(30, [](double day) { return 8000 + 576 * day; }), std::nullopt);
  // 25280 at the end; 4720 more take 8 days.
  const Break until = DaysUntil(outlook, 30'000);
  ASSERT_TRUE(until.expected_days.has_value());
  EXPECT_NEAR(*until.expected_days, 8.5, 1);
}

TEST(OutlookTest, WhatDoesNotGrowDoesNotReachALimitAndSaysHowFarThatIsTold) {
  const Outlook outlook = LookAhead(TraceOf(21, Wave), std::nullopt);
  const Break until = DaysUntil(outlook, 200);
  EXPECT_FALSE(until.expected_days.has_value());
  EXPECT_FALSE(until.early_days.has_value());
  EXPECT_EQ(until.told_days, 63);
}

TEST(OutlookTest, ALimitThatWasReachedThisWeekIsToldAsReached) {
  EXPECT_EQ(DaysUntil(LookAhead(TraceOf(21, Wave), std::nullopt), 149).expected_days, 0);
}

TEST(OutlookTest, TheGrowthGivenTakesThePlaceOfTheMeasuredOne) {
  const Outlook outlook = LookAhead(TraceOf(21, Wave), 0.02);
  const Break until = DaysUntil(outlook, 300);
  ASSERT_TRUE(until.expected_days.has_value());
  EXPECT_NEAR(*until.expected_days, 35, 2);
}

TEST(OutlookTest, AShortPastTellsNoGrowthAndAVeryShortOneNothing) {
  const Outlook week = LookAhead(TraceOf(7, Wave), std::nullopt);
  EXPECT_FALSE(week.measured.has_value());
  ASSERT_THAT(week.notes, SizeIs(1));
  EXPECT_THAT(week.notes[0], HasSubstr("7 days are too few to tell growth"));
  const Outlook day = LookAhead(TraceOf(1, Wave), std::nullopt);
  EXPECT_THAT(day.hours, IsEmpty());
  EXPECT_THAT(day.peaks, IsEmpty());
  EXPECT_THAT(day.notes[0], HasSubstr("two are needed"));
}

TEST(OutlookTest, GapsAreNotZeros) {
  Trace trace = TraceOf(21, Wave);
  for (size_t i = 0; i < trace.samples.size(); ++i) {
    if (i / 48 % 5 == 2) trace.samples[i].value = std::numeric_limits<double>::quiet_NaN();
  }
  const Outlook outlook = LookAhead(trace, std::nullopt);
  for (const Band& peak : outlook.past_peaks) EXPECT_NEAR(peak.expected, 150, 1);
  for (const Band& hour : outlook.hours) EXPECT_GT(hour.expected, 40);
}

absl::Time At(double day) {
  return absl::FromUnixSeconds(kMonday) + day * absl::Hours(24);
}

TEST(WhatIfTest, ACampaignInThePastMultipliesJustItsTime) {
  const Trace trace = TraceOf(7, [](double) { return 100.0; });
  const WhatIf what_if{.campaign = Campaign{3, At(5.5), At(5.75)}};
  const auto imagined = Imagine(trace, LookAhead(trace, std::nullopt), what_if, 3);
  ASSERT_TRUE(imagined.ok()) << imagined.status();
  EXPECT_THAT(imagined->trace.samples, SizeIs(3 * 48));
  for (const TraceSample& sample : imagined->trace.samples) {
    const bool in =
        sample.unix_seconds >= absl::ToUnixSeconds(At(5.5)) && sample.unix_seconds < absl::ToUnixSeconds(At(5.75));
    EXPECT_EQ(sample.value, in ? 300 : 100);
  }
}

TEST(WhatIfTest, ACampaignToComeIsPutOnWhatTheOutlookExpects) {
  const Trace trace = TraceOf(14, Wave);
  const WhatIf what_if{.campaign = Campaign{3, At(16.5), At(16.6)}};
  const auto imagined = Imagine(trace, LookAhead(trace, std::nullopt), what_if, 7);
  ASSERT_TRUE(imagined.ok()) << imagined.status();
  double peak = 0;
  for (const TraceSample& sample : imagined->trace.samples) peak = std::max(peak, sample.value);
  EXPECT_NEAR(peak, 450, 15);
  EXPECT_NEAR(static_cast<double>(imagined->trace.samples.back().unix_seconds),
              static_cast<double>(absl::ToUnixSeconds(At(16.6))), 3 * 3600);
  EXPECT_THAT(imagined->notes[0], HasSubstr("what the outlook expects"));
}

TEST(WhatIfTest, ACampaignThatNothingIsKnownOfIsRefused) {
  const Trace trace = TraceOf(7, Wave);
  const Outlook outlook = LookAhead(trace, std::nullopt);
  const auto beyond = Imagine(trace, outlook, {.campaign = Campaign{3, At(40), At(41)}}, 3);
  EXPECT_EQ(beyond.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(beyond.status().message(), HasSubstr("no more than 14 days ahead"));
  const auto before = Imagine(trace, outlook, {.campaign = Campaign{3, At(0), At(1)}}, 3);
  EXPECT_EQ(before.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(before.status().message(), HasSubstr("nothing is known of the campaign's time"));
}

TEST(WhatIfTest, GrowthIsTakenAsFarAheadAsThePlanHolds) {
  const Trace trace = TraceOf(4, [](double) { return 100.0; });
  const auto imagined = Imagine(trace, LookAhead(trace, 0.01), {.growth_per_day = 0.01, .ahead = absl::Hours(240)}, 2);
  ASSERT_TRUE(imagined.ok());
  EXPECT_NEAR(imagined->trace.samples.back().value, 110.46, 0.01);
}

TEST(WhatIfTest, DaysWithoutDemandAreRefused) {
  const Trace trace = TraceOf(4, [](double day) { return day < 2 ? 100.0 : 0.0; });
  EXPECT_THAT(Imagine(trace, LookAhead(trace, std::nullopt), {}, 1).status().message(),
              HasSubstr("no demand to plan for"));
}

}  // namespace
}  // namespace headroom::lab
