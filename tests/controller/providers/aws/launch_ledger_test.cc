#include "controller/providers/aws/launch_ledger.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom::aws {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Instances(int count) {
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i)
    ids.push_back(absl::StrFormat("i-0%08x%08x", i, 0x9e3779b9u * static_cast<unsigned>(i + 1)));
  return ids;
}

std::string LongId(int number) {
  return absl::StrCat("media-gateways-", 1234, "-", 100'000 + number, "-0");
}

TEST(LaunchLedgerTest, IsTheSameAfterItsTags) {
  LaunchLedger ledger;
  ledger.term = 7;
  EXPECT_EQ(ledger.Begin("a-1", 3, Instances(3)).capacity, 4);
  EXPECT_EQ(ledger.Begin("a-2", 4, Instances(4)).capacity, 5);
  ledger.GiveUp("a-2");
  const auto tags = ledger.ToTags();
  ASSERT_TRUE(tags.ok());
  LaunchLedger read = LaunchLedger::FromTags(*tags);
  EXPECT_EQ(read.term, 7);
  EXPECT_EQ(read.Match(Instances(4)), (std::map<std::string, ActionId>{{Instances(4)[3], "a-1"}}));
  EXPECT_THAT(read.Awaited(5, Instances(4)), IsEmpty());
  const LaunchLedger::Target next = read.Begin("a-3", 5, Instances(4));
  EXPECT_TRUE(next.is_done) << "it takes the room of the one that was given up";
  EXPECT_FALSE(next.is_noted);
  EXPECT_THAT(read.Awaited(5, Instances(4)), ElementsAre("a-3"));
}

TEST(LaunchLedgerTest, NoTagsAreAnEmptyOne) {
  EXPECT_THAT(LaunchLedger::FromTags({}).Match(Instances(3)), SizeIs(0));
  EXPECT_THAT(LaunchLedger::FromTags({{"headroom:ledger:0", "what is this"}}).Match(Instances(3)), SizeIs(0));
}

TEST(LaunchLedgerTest, OneThatWasWrittenInPartIsAsIfItWereNotThere) {
  LaunchLedger ledger;
  ledger.Begin("a-1", 300, Instances(300));
  auto tags = ledger.ToTags().value();
  ASSERT_GT(tags.size(), 2u);
  const auto older = tags.begin()->second;
  ledger.Begin("a-2", 301, Instances(300));
  tags = ledger.ToTags().value();
  tags["headroom:ledger:0"] = older;
  EXPECT_THAT(LaunchLedger::FromTags(tags).Awaited(400, Instances(300)), IsEmpty());
}

TEST(LaunchLedgerTest, ManyLaunchesOfALargeGroupFitIntoItsTags) {
  LaunchLedger ledger;
  for (int i = 0; i < 80; ++i) {
    ledger.Begin(LongId(i), 400 + i, Instances(400));
    const auto tags = ledger.ToTags();
    ASSERT_TRUE(tags.ok()) << i << ": " << tags.status();
    ASSERT_LE(tags->size(), static_cast<size_t>(LaunchLedger::kTagsMax));
    for (const auto& [key, value] : *tags) ASSERT_LE(value.size(), 256u);
  }
  EXPECT_THAT(LaunchLedger::FromTags(ledger.ToTags().value()).Awaited(480, Instances(400)), SizeIs(80));
}

TEST(LaunchLedgerTest, AGroupOfAThousandHasRoomForTwentyLaunches) {
  LaunchLedger ledger;
  for (int i = 0; i < 20; ++i) ledger.Begin(LongId(i), 1000 + i, Instances(1000));
  const auto tags = ledger.ToTags();
  ASSERT_TRUE(tags.ok()) << tags.status();
  LaunchLedger read = LaunchLedger::FromTags(*tags);
  EXPECT_THAT(read.Match(Instances(1000)), IsEmpty());
  EXPECT_EQ(read.Match(Instances(1001)).at(Instances(1001)[1000]), LongId(0));
}

TEST(LaunchLedgerTest, TheLongestNamesHaveRoomForTwentyOneLaunchesInAGroupOfFourHundredAndFiveInOneOfAThousand) {
  const std::string cluster = absl::StrCat(std::string(63, 'n'), ".", std::string(63, 'c'));
  for (const auto& [instances, launches] : {std::pair(400, 21), std::pair(1000, 5)}) {
    LaunchLedger ledger;
    for (int i = 0; i < launches; ++i)
      ledger.Begin(absl::StrCat(cluster, "-1234-", 100'000 + i, "-0"), instances + i, Instances(instances));
    const auto tags = ledger.ToTags();
    ASSERT_TRUE(tags.ok()) << tags.status();
    EXPECT_THAT(LaunchLedger::FromTags(*tags).Awaited(instances + launches, Instances(instances)), SizeIs(launches));
    ledger.Begin("one-more" + std::string(133, 'x'), instances + launches, Instances(instances));
    EXPECT_EQ(ledger.ToTags().status().code(), absl::StatusCode::kResourceExhausted);
  }
}

TEST(LaunchLedgerTest, WithoutALaunchUnderWayAGroupOfAnySizeFits) {
  LaunchLedger ledger;
  ledger.Begin("a-1", 900, Instances(900));
  ledger.Settle(Instances(901));
  ledger.Settle(Instances(5000));
  ledger.term = 7;
  EXPECT_THAT(ledger.ToTags().value(), SizeIs(1));
}

TEST(LaunchLedgerTest, WhatFitsUnderOneTermFitsUnderTheNext) {
  LaunchLedger ledger, last;
  for (int i = 0; ledger.ToTags().ok(); ++i) {
    last = ledger;
    ledger.Begin(LongId(i), 10 + i, Instances(10));
  }
  last.term = 1'000'000'000;
  EXPECT_TRUE(last.ToTags().ok());
}

TEST(LaunchLedgerTest, LaunchesWhoseInstanceIsKnownAreForgottenFirst) {
  LaunchLedger ledger;
  for (int i = 0; i < 500; ++i) {
    ledger.Begin(LongId(i), 10 + i, Instances(10 + i));
    const auto tags = ledger.ToTags();
    ASSERT_TRUE(tags.ok()) << i;
    ASSERT_LE(tags->size(), i < 50 ? 9u : 20u) << "a small group has few tags";
  }
  EXPECT_THAT(ledger.Awaited(510, Instances(509)), ElementsAre(LongId(499)));
}

TEST(LaunchLedgerTest, WhatDoesNotFitIsRefused) {
  LaunchLedger ledger;
  absl::Status told;
  for (int i = 0; i < 1000 && told.ok(); ++i) {
    ledger.Begin(LongId(i), 10 + i, Instances(10));
    told = ledger.ToTags().status();
  }
  EXPECT_EQ(told.code(), absl::StatusCode::kResourceExhausted) << told;
  EXPECT_THAT(std::string(told.message()), HasSubstr("beside 10 instances; more come once"));
}

TEST(LaunchLedgerTest, ALaunchWhoseInstanceHasGoneIsNotMadeAgain) {
  LaunchLedger ledger;
  ledger.Begin("a-1", 3, Instances(3));
  ledger.Settle(Instances(4));
  ledger.Lower(4, Instances(4));
  const LaunchLedger::Target again = ledger.Begin("a-1", 2, Instances(2));
  EXPECT_TRUE(again.is_done);
}

}  // namespace
}  // namespace headroom::aws
