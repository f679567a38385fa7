#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/forecast/chance.h"
#include "tests/controller/core/world.h"

// Few changes, each of several nodes: what is too many leaves when it is worth it, what comes comes together.

namespace headroom {
namespace {

// Of ten nodes, whose windows are a minute long. 140 connections are a node.
World TenNodes(absl::Duration cooldown = absl::Seconds(1)) {
  Policy policy = LivePolicy();
  policy.nodes.max = 20;
  policy.nodes.cooldown = cooldown;
  World world(policy);
  for (int i = 0; i < 10; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Minutes(2), Spread(world, 1380));
  return world;
}

bool Spoke(const World& world, absl::string_view guard) {
  const auto& verdicts = world.Last().verdicts;
  return std::any_of(verdicts.begin(), verdicts.end(), [&](const Verdict& one) { return one.guard == guard; });
}

TEST(Changes, ANodeTooManyStaysForEightWindows) {
  World world = TenNodes();
  world.Run(absl::Minutes(8), Spread(world, 1130));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  ASSERT_TRUE(Spoke(world, "idle"));
  const Verdict& idle = world.Last().verdicts.back();
  EXPECT_EQ(RenderReason(idle.reason),
            "1 nodes more than are needed have not been idle for long enough to be worth a change: 1m to go.");
  world.Run(absl::Minutes(2), Spread(world, 1130));
  EXPECT_EQ(world.ActionsOf("drain").size(), 1u);
}

TEST(Changes, ManyTooManyLeaveSoonAndTogether) {
  World world = TenNodes();
  world.Run(absl::Minutes(2), Spread(world, 700));  // a surplus of four: eight windows / 16, after the window itself
  EXPECT_EQ(world.ActionsOf("drain").size(), 3u) << "a tick removes what 30 % of the room carries";
  int ticks = 0;
  for (const Decision& decision : world.decisions) {
    ticks += std::any_of(decision.actions.begin(), decision.actions.end(),
                         [](const Action& action) { return std::holds_alternative<DrainNode>(action.body); });
  }
  EXPECT_EQ(ticks, 1);
}

TEST(Changes, ANodeThatWasNeededMeanwhileWaitsAnew) {
  World world = TenNodes();
  world.Run(absl::Minutes(7), Spread(world, 1130));
  world.Run(absl::Seconds(5), Spread(world, 1380));
  world.Run(absl::Minutes(8), Spread(world, 1130));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  world.Run(absl::Minutes(3), Spread(world, 1130));
  EXPECT_EQ(world.ActionsOf("drain").size(), 1u);
}

TEST(Changes, WhatNobodySawDoesNotCountAsIdle) {
  World world = TenNodes();
  world.Run(absl::Minutes(3), Spread(world, 1130));
  const absl::Duration idle = world.core.Save().scale.idle;
  EXPECT_GT(idle, absl::Minutes(1));
  world.core = Autoscaler::Load(world.core.policy(), world.core.Save());
  world.now += absl::Minutes(20);
  world.Run(absl::Seconds(2), Spread(world, 1130));
  EXPECT_LT(world.core.Save().scale.idle, idle + absl::Seconds(10));
}

TEST(Changes, ANumberThatAnOperatorSetDoesNotWait) {
  World world = TenNodes();
  OverrideSet set;
  set.nodes = 9;
  set.until = world.now + absl::Hours(1);
  world.core.Observe(world.now, set);
  world.Run(absl::Seconds(10), Spread(world, 1000));
  EXPECT_EQ(world.ActionsOf("drain").size(), 1u);
}

TEST(Changes, WhatIsShortNeverWaits) {
  World world = TenNodes(absl::Minutes(10));
  world.Run(absl::Minutes(5), Spread(world, 1130));
  ASSERT_TRUE(Spoke(world, "idle"));
  const size_t before = world.decisions.size();
  world.Run(absl::Seconds(2), Spread(world, 1600));
  EXPECT_EQ(world.ActionsOf("launch").size(), 2u) << "within " << world.decisions.size() - before << " ticks";
}

// A demand of 700 with bursts of up to twice of it, told until `now`.
forecast::DemandForecast BurstsUntil(absl::Time now) {
  forecast::DemandForecast past;
  forecast::Chance chance;
  for (absl::Time at = now - absl::Hours(24); at < now; at += absl::Seconds(5)) {
    past.Observe(at, 700 * (1 + std::pow(chance.Between(0, 1), 8)), {.lead = absl::Seconds(10)});
  }
  return past;
}

TEST(Changes, WhenNodesAreLaunchedAnywayAllComeThatTheNextMinutesMayNeed) {
  Policy policy = LivePolicy();
  policy.nodes.max = 40;
  World world = ThreeNodes(policy);
  world.Run(absl::Seconds(5), Spread(world, 400));
  State state = world.core.Save();
  state.forecast = BurstsUntil(world.now);
  world.core = Autoscaler::Load(policy, state);
  world.Run(absl::Seconds(1), Spread(world, 590));
  const Decision& decision = world.Last();
  const Demand* asked = nullptr;
  for (const Demand& demand : decision.demands) {
    if (demand.signal == "forecast") asked = &demand;
  }
  ASSERT_NE(asked, nullptr);
  ASSERT_EQ(asked->reason.code, ReasonCode::kSignalForecast) << RenderReason(asked->reason);
  ASSERT_TRUE(Spoke(world, "together"));
  const auto most = world.core.Save().forecast.Most();
  ASSERT_TRUE(most.has_value());
  EXPECT_GT(decision.desired_count, *asked->node_count);
  EXPECT_EQ(decision.desired_count, std::lround(most->upper / 140));
}

TEST(Changes, NobodyIsLaunchedForWhatTheNextMinutesMayNeedAlone) {
  World world = TenNodes();
  State state = world.core.Save();
  state.forecast = BurstsUntil(world.now);
  world.core = Autoscaler::Load(world.core.policy(), state);
  ASSERT_GT(world.core.Save().forecast.Most()->upper / 140, 0);
  world.Run(absl::Minutes(5), Spread(world, 700));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  EXPECT_FALSE(Spoke(world, "together"));
}

}  // namespace
}  // namespace headroom
