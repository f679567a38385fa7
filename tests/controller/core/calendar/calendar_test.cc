#include "controller/core/calendar/calendar.h"

#include <gtest/gtest.h>

#include "controller/core/calendar/calendar_text.h"
#include "controller/core/calendar/usual_demand.h"
#include "tests/controller/core/world.h"

// When the calendar's windows are, what is usual, and how early nodes are asked for.

namespace headroom {
namespace {

absl::Time At(absl::string_view text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S", text, &time, &error)) << error;
  return time;
}

CalendarEntry Entry(absl::string_view start, absl::string_view end, absl::string_view zone = "UTC") {
  const auto from = ReadCalendarTime(start), to = ReadCalendarTime(end);
  const auto entry = from && to ? EntryOf({*from, *to, *ReadOffset(zone)}) : std::nullopt;
  EXPECT_TRUE(entry.has_value()) << start << " to " << end;
  return entry.value_or(CalendarEntry());
}

TEST(Calendar, AWeeklyWindowComesEachWeek) {
  const CalendarEntry friday = Entry("Friday 18:00", "Friday 22:00");
  EXPECT_EQ(WindowOf(friday, At("2026-11-23 06:00:00")).begin, At("2026-11-27 18:00:00"));
  EXPECT_EQ(WindowOf(friday, At("2026-11-27 21:59:59")).begin, At("2026-11-27 18:00:00"));
  EXPECT_EQ(WindowOf(friday, At("2026-11-27 22:00:00")).begin, At("2026-12-04 18:00:00"));
  EXPECT_TRUE(WindowOf(friday, At("2026-11-27 18:00:00")).Covers(At("2026-11-27 18:00:00")));
  EXPECT_FALSE(WindowOf(friday, At("2026-11-27 17:59:59")).Covers(At("2026-11-27 17:59:59")));
}

TEST(Calendar, AWindowMayCrossMidnightAndTheEndOfTheWeek) {
  EXPECT_EQ(WindowOf(Entry("22:00", "02:00"), At("2026-11-24 01:00:00")).begin, At("2026-11-23 22:00:00"));
  const CalendarWindow weekend = WindowOf(Entry("Saturday 20:00", "Monday 06:00"), At("2026-11-23 05:00:00"));
  EXPECT_EQ(weekend.begin, At("2026-11-21 20:00:00"));
  EXPECT_EQ(weekend.end, At("2026-11-23 06:00:00"));
}

TEST(Calendar, AnOffsetMovesTheWindowAndItsDay) {
  EXPECT_EQ(WindowOf(Entry("Monday 00:30", "Monday 02:00", "+01:00"), At("2026-11-20 00:00:00")).begin,
            At("2026-11-22 23:30:00"));
  EXPECT_EQ(WindowOf(Entry("2026-11-27 18:00", "2026-11-27 22:00", "-05:00"), At("2026-11-01 00:00:00")).begin,
            At("2026-11-27 23:00:00"));
}

TEST(Calendar, OnceIsOnce) {
  const CalendarEntry once = Entry("2026-11-27 18:00", "2026-11-28 02:00");
  EXPECT_FALSE(WindowOf(once, At("2026-11-28 02:00:00")).Covers(At("2026-11-28 02:00:00")));
  EXPECT_EQ(WindowOf(once, At("2030-01-01 00:00:00")).begin, At("2026-11-27 18:00:00"));
}

TEST(Calendar, TimesAreReadAsTheyAreShown) {
  for (const char* text : {"2026-02-28 23:59", "Sunday 00:00", "09:05", "1969-12-31 12:00"}) {
    const auto time = ReadCalendarTime(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_EQ(ShowCalendarTime(*time), text);
  }
  for (const char* zone : {"UTC", "+05:30", "-11:00"}) EXPECT_EQ(ShowOffset(*ReadOffset(zone)), zone);
  const CalendarSpan span = SpanOf(Entry("Monday 00:30", "Sunday 23:30", "+13:00"));
  EXPECT_EQ(ShowCalendarTime(span.start), "Monday 00:30");
  EXPECT_EQ(ShowCalendarTime(span.end), "Sunday 23:30");
}

TEST(Calendar, WhatIsNoTimeIsRefused) {
  for (const char* text : {"", "18", "18:60", "24:00", "Freitag 18:00", "Friday", "2026-02-30 18:00", "2026-11-27",
                           "2026-11-27T18:00", "Friday  18:00", "Friday 18:00 ", "-1:00", "1e3:00"}) {
    EXPECT_FALSE(ReadCalendarTime(text).has_value()) << text;
  }
  for (const char* zone : {"", "Europe/Berlin", "+1", "+15:00", "01:00", "+01:60"}) {
    EXPECT_FALSE(ReadOffset(zone).has_value()) << zone;
  }
  EXPECT_FALSE(EntryOf({*ReadCalendarTime("18:00"), *ReadCalendarTime("18:00")}).has_value());
  EXPECT_FALSE(EntryOf({*ReadCalendarTime("18:00"), *ReadCalendarTime("Friday 18:00")}).has_value());
  EXPECT_FALSE(EntryOf({*ReadCalendarTime("2026-11-27 18:00"), *ReadCalendarTime("2026-11-27 17:00")}).has_value());
}

// 100 connections, with 400 from 18:00 to 22:00, for `days`.
UsualDemand PastDays(int days) {
  UsualDemand usual;
  for (int minute = 0; minute < days * 24 * 60; ++minute) {
    const int hour = minute / 60 % 24;
    usual.Observe(absl::UnixEpoch() + absl::Minutes(minute), hour >= 18 && hour < 22 ? 400 : 100);
  }
  return usual;
}

TEST(UsualDemand, IsThatOfTheSameTimeOfAnotherDay) {
  const UsualDemand usual = PastDays(9);
  const absl::Time midnight = absl::UnixEpoch() + absl::Hours(9 * 24);
  EXPECT_EQ(usual.Highest(midnight + absl::Hours(10), midnight + absl::Hours(12)), 100);
  EXPECT_EQ(usual.Highest(midnight + absl::Hours(10), midnight + absl::Hours(19)), 400);
}

TEST(UsualDemand, OfAYoungClusterItIsWhatWasSeenLast) {
  UsualDemand usual;
  EXPECT_EQ(usual.Highest(absl::UnixEpoch(), absl::UnixEpoch()), std::nullopt);
  usual.Observe(absl::UnixEpoch(), 250);
  EXPECT_EQ(usual.Highest(absl::UnixEpoch(), absl::UnixEpoch() + absl::Hours(2)), 250);
}

TEST(UsualDemand, WhatTheCalendarBroughtIsLeftOut) {
  UsualDemand usual = PastDays(1);
  const absl::Time next = absl::UnixEpoch() + absl::Hours(24);
  for (int minute = 0; minute < 18 * 60; ++minute) usual.Observe(next + absl::Minutes(minute), 100);
  for (int minute = 18 * 60; minute < 22 * 60; ++minute) usual.Observe(next + absl::Minutes(minute), std::nullopt);
  usual.Observe(next + absl::Hours(23), 100);
  EXPECT_EQ(usual.Highest(next + absl::Hours(24 + 19), next + absl::Hours(24 + 20)), 400) << "of two days before";
}

Policy CampaignPolicy() {
  Policy policy = LivePolicy();
  policy.nodes.max = 40;
  policy.nodes.growth_ratio_max = 2;
  policy.nodes.lead_time = absl::Minutes(2);
  policy.forecast.enabled = policy.hot_nodes.enabled = policy.anomaly.enabled = false;
  CalendarEntry campaign = Entry("2023-11-14 23:00", "2023-11-14 23:30");
  campaign.name = "campaign";
  campaign.multiply_ratio = 6;
  policy.calendar.push_back(campaign);
  return policy;
}

TEST(CalendarSignal, NodesServeWhenTheCampaignBeginsAlthoughGrowthOnlyDoubles) {
  World world = ThreeNodes(CampaignPolicy());  // it is 22:13:20
  world.Run(absl::Minutes(35), Spread(world, 390));
  EXPECT_EQ(world.nodes.size(), 3u) << "12 minutes before it is too early for three steps of 2 minutes";
  EXPECT_EQ(RenderReason(world.Last().demands.back().reason), "Calendar: nothing is due; campaign is next.");
  world.Run(At("2023-11-14 22:57:30") - world.now, Spread(world, 390));
  EXPECT_GT(world.nodes.size(), 3u);
  world.Run(At("2023-11-14 22:59:59") - world.now, Spread(world, 390));
  EXPECT_GE(world.nodes.size(), 17u) << "six times 390 at 140 a node";
  world.Run(absl::Minutes(1), Spread(world, 6 * 390));
  for (const auto& [id, node] : world.nodes) EXPECT_EQ(node.queue, 0) << id;
}

TEST(CalendarSignal, SaysWhatComesAndWhy) {
  World world = ThreeNodes(CampaignPolicy());
  world.Run(At("2023-11-14 22:57:30") - world.now, Spread(world, 390));
  const auto first = std::find_if(world.decisions.begin(), world.decisions.end(), [](const Decision& decision) {
    return decision.demands.back().reason.code == ReasonCode::kSignalCalendar;
  });
  ASSERT_NE(first, world.decisions.end());
  EXPECT_EQ(first->at, At("2023-11-14 22:54:00")) << "three doublings of two minutes";
  EXPECT_EQ(RenderReason(first->demands.back().reason),
            "Calendar: campaign begins in 6m; it brings 6x the usual demand of 390; a demand of 2,340 is to be "
            "expected: it needs 16.7 nodes.");
}

TEST(CalendarSignal, TheDemandOfTheCampaignIsNotMultipliedAgain) {
  World world = ThreeNodes(CampaignPolicy());
  world.Run(At("2023-11-14 22:59:59") - world.now, Spread(world, 390));
  world.Run(absl::Minutes(20), Spread(world, 6 * 390));
  EXPECT_LE(world.nodes.size(), 18u);
}

TEST(CalendarSignal, WhatOneEntryBroughtTheNextDoesNotMultiply) {
  Policy policy = CampaignPolicy();
  CalendarEntry next = Entry("2023-11-14 23:30", "2023-11-14 23:50");
  next.name = "echo";
  next.multiply_ratio = 2;
  policy.calendar.push_back(next);
  World world = ThreeNodes(policy);
  world.Run(At("2023-11-14 22:59:59") - world.now, Spread(world, 390));
  world.Run(At("2023-11-14 23:29:00") - world.now, Spread(world, 6 * 390));
  EXPECT_LE(world.nodes.size(), 18u);
}

TEST(CalendarSignal, AfterTheWindowTheFleetShrinksAsEver) {
  World world = ThreeNodes(CampaignPolicy());
  world.Run(At("2023-11-14 23:30:00") - world.now, Spread(world, 390));
  EXPECT_GE(world.nodes.size(), 17u) << "kept to the end, though nobody came";
  world.Run(absl::Hours(1), Spread(world, 300));
  EXPECT_EQ(world.nodes.size(), 3u);
}

TEST(CalendarSignal, NodesAndConnectionsAreTakenAtTheirWord) {
  Policy policy = CampaignPolicy();
  policy.calendar[0].multiply_ratio = 0;
  policy.calendar[0].node_count = 5;
  World world = ThreeNodes(policy);
  world.Run(At("2023-11-14 23:10:00") - world.now, Spread(world, 390));
  EXPECT_EQ(world.nodes.size(), 5u);

  policy.calendar[0].node_count = 0;
  policy.calendar[0].connection_count = 1400;
  World other = ThreeNodes(policy);
  other.Run(At("2023-11-14 23:10:00") - other.now, Spread(other, 390));
  EXPECT_EQ(other.nodes.size(), 10u);
}

}  // namespace
}  // namespace headroom
