#include "controller/server/operator/event_series.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

using kubernetes::Json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

const EventTarget kFiles{"east", "files", "uid-1"};

ClusterEvent Warning(const std::string& reason, const std::string& note = "why") {
  return {ClusterEvent::Type::kWarning, reason, "RaiseAlarm", note};
}
ClusterEvent Normal(const std::string& reason) {
  return {ClusterEvent::Type::kNormal, reason, "Launch", "why"};
}

class EventSeriesTest : public ::testing::Test {
 protected:
  EventTime At(absl::Duration steady) const { return {steady, day_ + steady}; }
  bool Take(const ClusterEvent& event, absl::Duration at, const EventTarget& target = kFiles) {
    return series_.Take(target, event, At(at));
  }
  // What is due is written; "": nothing is.
  std::string Write(absl::Duration at) {
    const auto due = series_.Due(at);
    if (!due.has_value()) return "";
    series_.Written(*due, at);
    const Json& body = due->call.body;
    return absl::StrCat(due->call.method, " ", due->key.reason, " ",
                        body.contains("series") ? body["series"]["count"].get<int64_t>() : 1);
  }

  const absl::Time day_ = absl::FromCivil(absl::CivilMinute(2026, 11, 20, 8, 0), absl::UTCTimeZone());
  EventSeries series_{"headroomd-0"};
};

TEST_F(EventSeriesTest, AnEventIsWholeAsTheServerAsks) {
  ASSERT_TRUE(Take(Warning("AlarmAtMax", "Capped."), absl::Milliseconds(1500)));
  const auto due = series_.Due(absl::Seconds(2));
  ASSERT_TRUE(due.has_value());
  EXPECT_EQ(due->call.method, "POST");
  EXPECT_EQ(due->call.path, "/apis/events.k8s.io/v1/namespaces/east/events?fieldManager=headroom");
  Json body = due->call.body;
  EXPECT_THAT(body["metadata"]["name"].get<std::string>(), MatchesRegex("files\\.[0-9a-f]+"));
  body["metadata"].erase("name");
  EXPECT_EQ(body, Json({{"apiVersion", "events.k8s.io/v1"},
                        {"kind", "Event"},
                        {"metadata", {{"namespace", "east"}}},
                        {"eventTime", "2026-11-20T08:00:01.500000Z"},
                        {"reportingController", "headroom.dev/headroomd"},
                        {"reportingInstance", "headroomd-0"},
                        {"action", "RaiseAlarm"},
                        {"reason", "AlarmAtMax"},
                        {"regarding",
                         {{"apiVersion", "headroom.dev/v1alpha1"},
                          {"kind", "StorageCluster"},
                          {"namespace", "east"},
                          {"name", "files"},
                          {"uid", "uid-1"}}},
                        {"note", "Capped."},
                        {"type", "Warning"}}));
}

TEST_F(EventSeriesTest, NamesAreNamesAndNoTwoAreTheSame) {
  const EventTarget target{"east", std::string(240, 'a') + "-.-" + std::string(10, 'b'), "uid"};
  ASSERT_TRUE(Take(Warning("A"), absl::ZeroDuration(), target));
  ASSERT_TRUE(Take(Warning("B"), absl::ZeroDuration(), target));
  const std::string a = series_.Due(absl::ZeroDuration())->call.body["metadata"]["name"];
  EXPECT_LE(a.size(), 253u);
  EXPECT_THAT(a, MatchesRegex("a+\\.[0-9a-f]+"));
  EXPECT_EQ(Write(absl::ZeroDuration()), "POST A 1");
  EXPECT_NE(series_.Due(absl::ZeroDuration())->call.body["metadata"]["name"], a);
}

TEST_F(EventSeriesTest, WhatHappensAgainSoonIsASeriesWhoseCountIsRewrittenNowAndThen) {
  ASSERT_TRUE(Take(Warning("A", "first"), absl::ZeroDuration()));
  EXPECT_EQ(Write(absl::ZeroDuration()), "POST A 1");
  for (int second = 1; second <= 8; ++second) {
    ASSERT_TRUE(Take(Warning("A", absl::StrCat("note ", second)), absl::Seconds(second)));
    EXPECT_EQ(Write(absl::Seconds(second)), "") << "not more often than once in 10 s";
  }
  EXPECT_EQ(series_.NextDue(), absl::Seconds(10));
  const auto due = series_.Due(absl::Seconds(10));
  ASSERT_TRUE(due.has_value());
  EXPECT_THAT(due->call.path, MatchesRegex("/apis/events.k8s.io/v1/namespaces/east/events/files\\.[0-9a-f]+.*"));
  EXPECT_EQ(due->call.content_type, "application/merge-patch+json");
  EXPECT_EQ(due->call.body, Json({{"series", {{"count", 9}, {"lastObservedTime", "2026-11-20T08:00:08.000000Z"}}}}))
      << "nothing else of an Event may change";
  EXPECT_EQ(Write(absl::Seconds(10)), "PATCH A 9");
  EXPECT_EQ(series_.NextDue(), absl::InfiniteDuration());
}

TEST_F(EventSeriesTest, TypeActionReasonAndObjectMakeASeries) {
  const auto at = absl::ZeroDuration();
  ClusterEvent other_action = Warning("A");
  other_action.action = "Other";
  ASSERT_TRUE(Take(Warning("A"), at) && Take(Warning("B"), at) && Take(Normal("A"), at) && Take(other_action, at) &&
              Take(Warning("A"), at, {"east", "files", "uid-2"}));
  int writes = 0;
  while (!Write(at).empty()) ++writes;
  EXPECT_EQ(writes, 5);
}

TEST_F(EventSeriesTest, AfterAGapItIsANewEvent) {
  ASSERT_TRUE(Take(Warning("A"), absl::ZeroDuration()));
  EXPECT_EQ(Write(absl::ZeroDuration()), "POST A 1");
  ASSERT_TRUE(Take(Warning("A"), absl::Minutes(5)));
  EXPECT_EQ(Write(absl::Minutes(5)), "PATCH A 2");
  ASSERT_TRUE(Take(Warning("A"), absl::Minutes(9)));
  EXPECT_EQ(Write(absl::Minutes(9)), "PATCH A 3") << "the gap is from the last time";
  ASSERT_TRUE(Take(Warning("A"), absl::Minutes(15)));
  EXPECT_EQ(Write(absl::Minutes(15)), "POST A 1");
}

TEST_F(EventSeriesTest, WhatHappensAgainBeforeItIsWrittenIsWrittenOnceWithItsCount) {
  ASSERT_TRUE(Take(Warning("A"), absl::ZeroDuration()) && Take(Warning("A"), absl::Seconds(1)));
  EXPECT_EQ(Write(absl::Seconds(2)), "POST A 2");
  EXPECT_EQ(Write(absl::Minutes(1)), "");
}

TEST_F(EventSeriesTest, AnEventThatTheServerHasForgottenIsMadeAgainWithItsCount) {
  ASSERT_TRUE(Take(Warning("A"), absl::ZeroDuration()));
  EXPECT_EQ(Write(absl::ZeroDuration()), "POST A 1");
  ASSERT_TRUE(Take(Warning("A"), absl::Seconds(1)));
  const auto due = series_.Due(absl::Seconds(10));
  ASSERT_EQ(due->call.method, "PATCH");
  series_.Gone(*due);
  EXPECT_EQ(Write(absl::Seconds(10)), "POST A 2");
}

TEST_F(EventSeriesTest, OneObjectHasSoManyNewEventsAndTheLastAreForWarnings) {
  const auto at = absl::ZeroDuration();
  for (int i = 0; i < EventSeries::kBurst - EventSeries::kReserved; ++i)
    ASSERT_TRUE(Take(Normal(absl::StrCat("N", i)), at)) << i;
  EXPECT_FALSE(Take(Normal("More"), at));
  EXPECT_TRUE(Take(Normal("N0"), at)) << "one more of a series takes no token";
  for (int i = 0; i < EventSeries::kReserved; ++i) ASSERT_TRUE(Take(Warning(absl::StrCat("W", i)), at)) << i;
  EXPECT_FALSE(Take(Warning("More"), at));
  EXPECT_TRUE(Take(Warning("More"), at, {"west", "files", "uid-9"})) << "another object has its own";
  EXPECT_TRUE(Take(Warning("More"), EventSeries::kRefill));
  EXPECT_FALSE(Take(Warning("Even more"), EventSeries::kRefill));
}

TEST_F(EventSeriesTest, NoMoreThanSoManySeriesAreKept) {
  const auto target = [](size_t i) { return EventTarget{"east", absl::StrCat("c", i), absl::StrCat("uid-", i)}; };
  for (size_t i = 0; i < EventSeries::kSeriesMax; ++i)
    ASSERT_TRUE(Take(Warning("A"), absl::ZeroDuration(), target(i))) << i;
  EXPECT_FALSE(Take(Warning("A"), absl::ZeroDuration(), target(EventSeries::kSeriesMax)));
  while (!Write(absl::ZeroDuration()).empty()) {
  }
  EXPECT_TRUE(Take(Warning("A"), absl::Minutes(6), target(EventSeries::kSeriesMax)))
      << "those that are told are forgotten";
}

TEST_F(EventSeriesTest, AWriteIsTriedSoManyTimes) {
  ASSERT_TRUE(Take(Warning("A"), absl::ZeroDuration()));
  for (int i = 1; i < EventSeries::kTriesMax; ++i) ASSERT_FALSE(series_.Retry(*series_.Due(absl::ZeroDuration())));
  EXPECT_TRUE(series_.Retry(*series_.Due(absl::ZeroDuration())));
  EXPECT_FALSE(series_.Due(absl::Hours(1)).has_value());
}

TEST_F(EventSeriesTest, TheLongestDueIsFirst) {
  ASSERT_TRUE(Take(Warning("B"), absl::ZeroDuration()) && Take(Warning("A"), absl::Seconds(1)));
  EXPECT_EQ(Write(absl::Seconds(2)), "POST B 1");
  EXPECT_EQ(Write(absl::Seconds(2)), "POST A 1");
}

TEST(TokenBucketTest, ItFillsUpToItsBurst) {
  TokenBucket bucket({.burst = 2, .refill = absl::Seconds(10)}, absl::ZeroDuration());
  EXPECT_TRUE(bucket.Take(absl::ZeroDuration()) && bucket.Take(absl::ZeroDuration()));
  EXPECT_FALSE(bucket.Take(absl::Seconds(9)));
  EXPECT_EQ(bucket.Wait(absl::Seconds(9)), absl::Seconds(1));
  EXPECT_TRUE(bucket.Take(absl::Seconds(10)));
  EXPECT_TRUE(bucket.Take(absl::Hours(1)) && bucket.Take(absl::Hours(1)));
  EXPECT_FALSE(bucket.Take(absl::Hours(1)));
}

}  // namespace
}  // namespace headroom
