#include "controller/server/operator/reason_words.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(CamelCaseTest, ACodeIsAReason) {
  EXPECT_EQ(CamelCase("limit_demand"), "LimitDemand");
  EXPECT_EQ(CamelCase(ReasonCode::kAlarmAtMax), "AlarmAtMax");
  EXPECT_EQ(CamelCase(ReasonCode::kNone), "");
}

// A code whose arguments have these values: each name, number and duration is of `round`, save those that stay.
Reason Filled(ReasonCode code, int round) {
  // What a policy says, and what counts nodes: that changes rarely.
  static const std::set<std::string> kStay = {"window", "lead_time", "paid_min", "nodes",   "min",    "max",   "floor",
                                              "lost",   "number",    "limit",    "granted", "coming", "budget"};
  static const std::set<std::string> kTexts = {"node",  "signal", "series",    "kind",      "error",
                                               "actor", "reason", "direction", "operation", "ceiling_name"};
  Reason reason{code, {}};
  for (const std::string& name : ReasonArgumentNames(code)) {
    const int value = kStay.contains(name) ? 7 : 7 + round;
    if (kTexts.contains(name)) {
      reason.arguments.emplace_back(absl::StrCat("the-", name));
    } else if (absl::StrContains(ReasonSentence(code), name + "#}") || name != "remaining") {
      reason.arguments.emplace_back(static_cast<double>(value));
    } else {
      reason.arguments.emplace_back(absl::Seconds(value));
    }
  }
  return reason;
}

TEST(SteadySentenceTest, WhatGuardsAndAlarmsSayDoesNotMove) {
  int count = 0;
  for (int i = 0; i < static_cast<int>(ReasonCode::kCount); ++i) {
    const auto code = static_cast<ReasonCode>(i);
    const absl::string_view name = ReasonName(code);
    if (!absl::StartsWith(name, "guard_") && !absl::StartsWith(name, "alarm_")) continue;
    EXPECT_EQ(SteadySentence(Filled(code, 1)), SteadySentence(Filled(code, 2))) << name;
    EXPECT_THAT(SteadySentence(Filled(code, 1)), Not(HasSubstr("{"))) << name;
    EXPECT_THAT(SteadySentence(Filled(code, 1)), Not(HasSubstr("?"))) << name;
    ++count;
  }
  EXPECT_GE(count, 40);
}

TEST(SteadySentenceTest, WhatStaysIsTold) {
  EXPECT_EQ(SteadySentence(MakeReason(ReasonCode::kGuardMax, 9, 14)),
            "The policy allows at most 9 nodes; more are wanted.");
  EXPECT_EQ(SteadySentence(MakeReason(ReasonCode::kGuardStabilization, 4, absl::Minutes(5))),
            "No shrinking below what was wanted within the last 5m.");
  EXPECT_EQ(SteadySentence(MakeReason(ReasonCode::kGuardMin, 3)), "The policy asks for at least 3 nodes.");
}

TEST(CutTest, ATextEndsWhereACharacterBegins) {
  EXPECT_EQ(Cut("abcdef", 6), "abcdef");
  EXPECT_EQ(Cut("abcdefg", 6), "abc...");
  EXPECT_EQ(Cut("ab\u00e4\u00e4\u00e4", 6), "ab...") << "3 bytes are not a letter and a half";
  EXPECT_EQ(Cut("a\xff", 10), "a\uFFFD");
}

}  // namespace
}  // namespace headroom
