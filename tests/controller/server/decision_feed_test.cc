#include "controller/server/decision_feed.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/server/decision_log.h"
#include "controller/server/log.h"

namespace headroom {
namespace {

// Of the alarms of one node each, those with these numbers.
std::shared_ptr<const Decision> WithAlarms(int first, int end, int detail) {
  auto decision = std::make_shared<Decision>();
  for (int i = first; i < end; ++i) {
    decision->alarms.push_back(MakeReason(ReasonCode::kAlarmCeiling, absl::StrCat("node-", i), "memory", detail));
  }
  return decision;
}

std::vector<std::string> Subjects(const std::vector<Reason>& alarms) {
  std::vector<std::string> subjects;
  for (const Reason& alarm : alarms) subjects.push_back(std::get<std::string>(alarm.arguments.front()));
  return subjects;
}

TEST(DecisionFeed, AnAlarmBeginsAndEndsOnceWhileItsNumbersChange) {
  DecisionFeed feed;
  EXPECT_THAT(Subjects(feed.Publish(WithAlarms(1, 3, 10)).alarms_begun), testing::ElementsAre("node-1", "node-2"));
  const Published next = feed.Publish(WithAlarms(2, 4, 11));
  EXPECT_THAT(Subjects(next.alarms_begun), testing::ElementsAre("node-3"));
  EXPECT_THAT(Subjects(next.alarms_ended), testing::ElementsAre("node-1"));
}

TEST(DecisionFeed, OfTenThousandNodesAtTheirCeilingOnlyWhatMovedIsTold) {
  DecisionFeed feed;
  EXPECT_EQ(feed.Publish(WithAlarms(0, 10'000, 0)).alarms_begun.size(), 10'000u);
  const Published moved = feed.Publish(WithAlarms(10, 10'010, 1));
  EXPECT_EQ(moved.alarms_begun.size(), 10u);
  EXPECT_EQ(moved.alarms_ended.size(), 10u);
}

void LogAndLeave() {
  StartLog(LogFormat::kText);
  Published published{.decision = WithAlarms(0, 0, 0)};
  published.alarms_begun = WithAlarms(0, 10'000, 1)->alarms;
  published.alarms_begun.push_back(MakeReason(ReasonCode::kAlarmJournal, "the disk is full"));
  published.alarms_ended = WithAlarms(0, static_cast<int>(kAlarmLinesMax), 1)->alarms;
  LogDecision(published, "");
  std::_Exit(0);
}

bool AreBounded(const std::string& log) {
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  return lines.size() == 2 + static_cast<size_t>(kAlarmLinesMax) && absl::StrContains(lines[0], "count=10000") &&
         absl::StrContains(lines[0], "node-0") && !absl::StrContains(lines[1], "count=");
}

// In a process of its own: the log's format is the process's.
TEST(DecisionLogDeathTest, AlarmsOfManyNodesAreOneLine) {
  EXPECT_EXIT(LogAndLeave(), testing::ExitedWithCode(0), testing::Truly(AreBounded));
}

}  // namespace
}  // namespace headroom
