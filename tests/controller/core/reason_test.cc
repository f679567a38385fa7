#include "controller/core/reason.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

std::vector<ReasonCode> AllCodes() {
  std::vector<ReasonCode> codes;
  for (int i = 0; i < static_cast<int>(ReasonCode::kCount); ++i) codes.push_back(static_cast<ReasonCode>(i));
  return codes;
}

TEST(Reason, EveryCodeHasAUniqueNameInLowerSnakeCase) {
  std::set<absl::string_view> names;
  for (const ReasonCode code : AllCodes()) {
    const absl::string_view name = ReasonName(code);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_FALSE(name.empty());
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), absl::string_view::npos) << name;
    EXPECT_EQ(ReasonOfName(name), code);
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(ReasonCode::kCount));
  EXPECT_EQ(ReasonOfName("no_such_reason"), ReasonCode::kNone);
}

TEST(Reason, EveryCodeButNoneHasASentenceWithBalancedBraces) {
  for (const ReasonCode code : AllCodes()) {
    if (code == ReasonCode::kNone) continue;
    const absl::string_view sentence = ReasonSentence(code);
    EXPECT_FALSE(sentence.empty()) << ReasonName(code);
    int braces = 0, brackets = 0;
    for (const char c : sentence) {
      braces += c == '{' ? 1 : c == '}' ? -1 : 0;
      brackets += c == '[' ? 1 : c == ']' ? -1 : 0;
      EXPECT_TRUE(braces == 0 || braces == 1) << sentence;
      EXPECT_TRUE(brackets == 0 || brackets == 1) << sentence;
    }
    EXPECT_EQ(braces, 0) << sentence;
    EXPECT_EQ(brackets, 0) << sentence;
  }
}

TEST(Reason, EverySentenceRendersWhateverArgumentsAreMissing) {
  for (const ReasonCode code : AllCodes()) {
    const size_t count = ReasonArgumentNames(code).size();
    for (size_t given = 0; given <= count + 1; ++given) {
      Reason reason{code, {}};
      for (size_t i = 0; i < given; ++i) reason.arguments.emplace_back(static_cast<double>(i));
      const std::string text = RenderReason(reason);
      EXPECT_EQ(text.find_first_of("{}[]|"), std::string::npos) << text;
      if (given >= count) {
        EXPECT_EQ(text.find('?'), std::string::npos) << text;
      }
    }
  }
}

TEST(Reason, AnUnknownCodeIsNone) {
  EXPECT_EQ(ReasonName(static_cast<ReasonCode>(60'000)), "none");
  EXPECT_EQ(RenderReason({static_cast<ReasonCode>(60'000), {1.0}}), "");
}

TEST(Reason, ArgumentsFillTheSentenceInOrder) {
  EXPECT_EQ(RenderReason(MakeReason(ReasonCode::kLimitDemand, "node-1", 170, 200, 260)),
            "node-1: demand 170 came near the limit 200; raised to 260.");
  EXPECT_THAT(ReasonArgumentNames(ReasonCode::kLimitDemand),
              testing::ElementsAre("node", "demand", "limit", "new_limit", "projected"));
}

TEST(Reason, NumbersAreForPeople) {
  const auto render = [](ReasonArgument value) { return RenderReason({ReasonCode::kGuardMin, {std::move(value)}}); };
  const auto says = [](absl::string_view number) {
    return "The policy asks for at least " + std::string(number) + " nodes.";
  };
  EXPECT_EQ(render(4120.0), says("4,120"));
  EXPECT_EQ(render(-1234567.0), says("-1,234,567"));
  EXPECT_EQ(render(-123.0), says("-123"));
  EXPECT_EQ(render(99.96), says("100"));
  EXPECT_EQ(render(3.14159), says("3.14"));
  EXPECT_EQ(render(0.0123), says("0.012"));
  EXPECT_EQ(render(0.00001), says("0"));
  EXPECT_EQ(render(std::numeric_limits<double>::quiet_NaN()), says("?"));
  EXPECT_EQ(render(absl::Milliseconds(20.512)), says("21ms"));
  EXPECT_EQ(render(absl::Microseconds(1234)), says("1.2ms"));
  EXPECT_EQ(render(absl::Hours(2) + absl::Seconds(12)), says("2h"));
  EXPECT_EQ(render(absl::Seconds(95.4)), says("1m35s"));
  EXPECT_EQ(render(absl::InfiniteDuration()), says("ever"));
}

TEST(Reason, PercentAndBytesCarryTheirUnits) {
  EXPECT_EQ(RenderReason(MakeReason(ReasonCode::kSignalThroughput, 1536.0 * 1024, 1024.0, 2)),
            "Throughput: 1.5 MiB a second at 1 KiB a node needs 2 nodes.");
  EXPECT_EQ(RenderReason(MakeReason(ReasonCode::kGuardProjection, 3, 0.845, 0.7)),
            "No shrinking to 3 nodes: they would be filled to 84.5 %, and with a tenth of slack that is above the "
            "target of 70 %.");
}

TEST(Reason, AClauseWhoseArgumentIsNotKnownIsLeftOut) {
  const std::optional<double> unknown;
  EXPECT_EQ(RenderReason(MakeReason(ReasonCode::kNotCpu, 0.08, unknown, unknown)),
            "Not the CPU: the servers use 8 % of their cores.");
  EXPECT_EQ(RenderReason(MakeReason(ReasonCode::kMaybeCpu, unknown, unknown, 0.01)),
            "The CPU is not ruled out: no node tells how many cores it has; tasks wait for a core 1 % of the time.");
}

}  // namespace
}  // namespace headroom
