#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/sim/decision_stream.h"

// The rules of what must not wait, and what excuses it.

namespace headroom::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SafetyChecker, AGuardThatMayCapGrowthMayNotDoSoForEver) {
  const auto capped = [](const char* guard, absl::Duration later) {
    Stream stream;
    stream.now.policy.nodes.max = 9;
    stream.now.policy.nodes.launch_timeout = absl::Minutes(5);
    stream.now.policy.nodes.launch_backoff = absl::Minutes(10) / 32;
    EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    for (auto& [id, machine] : stream.now.machines) machine.heard_open_count = 199;
    stream.now.decision.verdicts = {{.guard = guard, .before = 6, .after = 4}};
    std::vector<std::string> broken;
    for (const absl::Duration step : {kLong, later, kSecond, absl::Seconds(39)}) {
      stream.now.listed_at = stream.now.decision.at + step;
      broken = stream.Decide(step, {});
    }
    return broken;
  };
  for (const char* guard : {"growth_step", "ratchet", "backoff"}) {
    EXPECT_THAT(capped(guard, kLong), ElementsAre("growth_waits")) << guard;
    EXPECT_THAT(capped(guard, kLong - absl::Seconds(41)), IsEmpty()) << guard;
  }
  EXPECT_THAT(capped("restarting", kSecond), ElementsAre("growth_waits")) << "where all serve";
}

TEST(SafetyChecker, ServersThatRestartHoldGrowthBackWhereNobodyWaits) {
  const auto with = [](int64_t waiting) {
    Stream stream;
    stream.now.policy.nodes.max = 9;
    EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    for (auto& [id, machine] : stream.now.machines) machine.heard_open_count = 199;
    stream.now.machines["a"].heard_waiting_count = waiting;
    stream.now.policy.limits.enabled = false;
    stream.now.machines["d"].serves = stream.now.machines["d"].heard_serving = false;
    stream.now.decision.verdicts = {{.guard = "restarting", .before = 6, .after = 4}};
    stream.now.listed_at = stream.now.decision.at + kLong + absl::Seconds(39);
    EXPECT_THAT(stream.Decide(kLong, {}), IsEmpty());
    return stream.Decide(absl::Seconds(39), {});
  };
  EXPECT_THAT(with(0), IsEmpty());
  EXPECT_THAT(with(5), ElementsAre("growth_waits"));
}

TEST(SafetyChecker, WhatTheLawSaysThatItLearnedItMustHaveTried) {
  const auto waits = [](bool tried, Ceiling ceiling, absl::Duration later) {
    Stream stream;
    stream.now.policy.limits.law.bad_memory = absl::Minutes(5);
    EXPECT_THAT(stream.Decide(kSecond, {Grant("a", tried ? 300 : 200)}), IsEmpty());
    EXPECT_THAT(stream.Decide(kSecond, {Grant("a", 200)}), IsEmpty());
    EXPECT_THAT(stream.Decide(later, {}), IsEmpty());
    stream.now.machines["a"].heard_open_count = 190;
    stream.now.machines["a"].heard_waiting_count = 10;
    stream.now.decision.limits = {{.node = "a", .bound_by = ceiling}};
    EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    return stream.Decide(absl::Seconds(6), {});
  };
  EXPECT_THAT(waits(true, Ceiling::kTriedAndBad, absl::Minutes(4)), IsEmpty());
  EXPECT_THAT(waits(true, Ceiling::kTriedAndBad, absl::Minutes(6)), ElementsAre("raise_waits"));
  EXPECT_THAT(waits(false, Ceiling::kTriedAndBad, absl::Minutes(4)), ElementsAre("raise_waits"));
  EXPECT_THAT(waits(false, Ceiling::kKnee, absl::Minutes(4)), IsEmpty()) << "half of the limit was seen in use";
}

TEST(SafetyChecker, GrowthDoesNotWaitWhereNoListHasMadeRoomForIt) {
  const auto with = [](int undenied) {
    Stream stream;
    EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    for (auto& [id, machine] : stream.now.machines) machine.heard_open_count = 199;
    stream.now.undenied = undenied;
    stream.now.listed_at = stream.now.decision.at + kLong + absl::Seconds(39);
    EXPECT_THAT(stream.Decide(kLong, {}), IsEmpty());
    return stream.Decide(absl::Seconds(39), {});
  };
  EXPECT_THAT(with(0), ElementsAre("growth_waits")) << "four of at most five are there";
  EXPECT_THAT(with(1), IsEmpty());
}

}  // namespace
}  // namespace headroom::sim
