#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/forecast/chance.h"
#include "tests/controller/core/world.h"

// Few changes, each of several nodes: what is too many leaves when it is worth it, what comes comes together.

namespace headroom {
namespace {

// Windows of a minute. 140 connections are a node.
Policy MinutePolicy() {
  Policy policy = LivePolicy();
  policy.nodes.max = 20;
  policy.nodes.cooldown = absl::Seconds(1);
  return policy;
}

// All of so many nodes are needed.
World BusyNodes(int count, const Policy& policy = MinutePolicy()) {
  World world(policy);
  for (int i = 0; i < count; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Minutes(2), Spread(world, 140 * count - 20));
  return world;
}

World TenNodes(absl::Duration cooldown = absl::Seconds(1)) {
  Policy policy = MinutePolicy();
  policy.nodes.cooldown = cooldown;
  return BusyNodes(10, policy);
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
            "Too many nodes by 1, which have not idled for long enough to be worth a change: 1m to go.");
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

TEST(Changes, WhatIsToldWhileSignalsCannotTellDoesNotCountAsIdle) {
  World world = TenNodes();
  world.Run(absl::Minutes(3), Spread(world, 1130));
  const absl::Duration idle = world.core.Save().scale.idle;
  ASSERT_GT(idle, absl::Minutes(1));
  for (auto& [id, node] : world.nodes) node.silent = id < "node-7";
  world.Run(absl::Seconds(10), Spread(world, 1130));
  const auto& demands = world.Last().demands;
  ASSERT_TRUE(
      std::any_of(demands.begin(), demands.end(), [](const Demand& one) { return !one.node_count.has_value(); }));
  EXPECT_LT(world.core.Save().scale.idle, idle + absl::Seconds(6)) << "but for what passes until they count as silent";
}

TEST(Changes, WhatTheMinimumKeepsIsNotTooMany) {
  Policy policy = MinutePolicy();
  policy.nodes.min = 9;
  World world = BusyNodes(10, policy);
  world.Run(absl::Minutes(3), Spread(world, 500));
  ASSERT_TRUE(Spoke(world, "idle"));
  EXPECT_EQ(world.ActionsOf("drain").size(), 0u) << "one is too many, not six";
}

TEST(Changes, ANodeThatIgnoresItsDrainKeepsNoOtherFromLeaving) {
  World world = TenNodes();
  world.drains_hang = true;
  world.core.Observe(world.now, DrainRequested{"node-0", true, "maintenance", "op"});
  world.Run(absl::Seconds(2), Spread(world, 1000));
  world.nodes["node-0"].draining = false;  // it does not know of it, whatever it is told
  for (int i = 0; i < 60; ++i) {
    world.Run(absl::Seconds(10), Spread(world, 1000));
    world.nodes["node-0"].draining = false;
  }
  const std::vector<Action> drains = world.ActionsOf("drain");
  EXPECT_TRUE(std::any_of(drains.begin(), drains.end(), [](const Action& drain) { return drain.node != "node-0"; }));
}

TEST(Changes, ZonesStayEven) {
  Policy policy = MinutePolicy();
  policy.nodes.max = 40;
  World world(policy);
  std::map<NodeId, std::string> zones;
  for (int i = 0; i < 30; ++i) {
    World::FakeNode node;
    node.zone = std::string(1, static_cast<char>('a' + i % 3));
    world.AddNode("node-" + std::to_string(i), node);
    zones["node-" + std::to_string(i)] = node.zone;
  }
  world.Run(absl::Minutes(2), Spread(world, 30 * 140 - 20));
  world.Run(absl::Minutes(3), Spread(world, 21 * 140 - 20));
  std::map<std::string, int> left;
  for (const Action& drain : world.ActionsOf("drain")) ++left[zones.at(drain.node)];
  EXPECT_FALSE(left.empty());
  for (const auto& [zone, count] : left) EXPECT_LE(count, 3) << zone << ": of ten, where 21 nodes stay";
}

TEST(Changes, AsManyLeaveAtOnceAsTheSignalWithTheLeastRoomCarries) {
  Policy policy = MinutePolicy();
  policy.throughput.bytes_per_second_per_node = int64_t{1} << 40;
  policy.throughput.target_ratio = 0.85;
  World world = BusyNodes(10, policy);
  world.Run(absl::Minutes(2), Spread(world, 700));
  EXPECT_EQ(world.ActionsOf("drain").size(), 1u);
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
  World world = BusyNodes(9);
  State state = world.core.Save();
  state.forecast = BurstsUntil(world.now);
  world.core = Autoscaler::Load(world.core.policy(), state);
  ASSERT_GT(std::lround(world.core.Save().forecast.Most()->upper / 140), 9);
  world.Run(absl::Minutes(5), Spread(world, 700));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  EXPECT_FALSE(Spoke(world, "together"));
}

}  // namespace
}  // namespace headroom
