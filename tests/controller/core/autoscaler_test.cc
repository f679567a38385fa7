#include "controller/core/autoscaler.h"

#include <functional>

#include <gtest/gtest.h>

#include "tests/controller/core/world.h"

namespace headroom {
namespace {

TEST(Autoscaler, ACalmClusterIsLeftAlone) {
  World world = ThreeNodes();
  world.Run(absl::Minutes(5), Spread(world, 330));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
  for (const auto& [id, node] : world.nodes) EXPECT_EQ(node.limit, 200);
}

TEST(Autoscaler, ASurgeRaisesLimitsAtOnceThenAddsNodesAndComesBackWhole) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(30), Spread(world, 330));
  const size_t calm = world.decisions.size();
  world.Run(absl::Seconds(2), Spread(world, 1100));
  EXPECT_GT(world.nodes["node-1"].limit, 200) << "raised within two reports";
  world.Run(absl::Seconds(60), Spread(world, 1100));
  EXPECT_GT(world.nodes.size(), 3u);
  EXPECT_LE(world.nodes.size(), 8u);
  for (const auto& [id, node] : world.nodes) EXPECT_EQ(node.queue, 0) << id;
  EXPECT_GT(world.decisions.size(), calm);
  world.Run(absl::Hours(2), Spread(world, 330));
  EXPECT_EQ(world.nodes.size(), 3u);
  for (const auto& [id, node] : world.nodes) EXPECT_EQ(node.limit, 200) << id;
  EXPECT_FALSE(world.ActionsOf("drain").empty());
  EXPECT_EQ(world.ActionsOf("drain").size(), world.ActionsOf("terminate").size());
}

TEST(Autoscaler, GrantedLimitsDoNotWindTheFleetUp) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(10), Spread(world, 330));
  for (auto& [id, node] : world.nodes) node.limit = 900;  // a peak-hold that lags
  world.Run(absl::Minutes(3), Spread(world, 330));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
}

TEST(Autoscaler, SilentNodesForbidShrinkingAndNeverBlockGrowing) {
  World world = ThreeNodes();
  for (const char* id : {"node-4", "node-5"}) world.AddNode(id);
  world.Run(absl::Seconds(10), Spread(world, 100));
  world.nodes["node-4"].silent = world.nodes["node-5"].silent = true;
  world.Run(absl::Seconds(28), Spread(world, 100));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  const Decision& last = world.Last();
  EXPECT_FALSE(last.demands.front().node_count.has_value());
}

TEST(Autoscaler, FailedLaunchesBackOffAndSaySo) {
  World world = ThreeNodes();
  world.launches_fail = true;
  world.Run(absl::Seconds(60), Spread(world, 1100));
  const size_t tries = world.ActionsOf("launch").size();
  EXPECT_GE(tries, 3u);
  EXPECT_LE(tries, 40u) << "a refused launch must not be repeated every second";
  const auto& alarms = world.Last().alarms;
  EXPECT_TRUE(
      std::any_of(alarms.begin(), alarms.end(), [](const Reason& r) { return r.code == ReasonCode::kAlarmProvider; }));
}

TEST(Autoscaler, BelowMinAProviderThatFailsIsAskedMoreAndMoreSeldom) {
  Policy policy = LivePolicy();
  policy.nodes.min = 5;
  World world = ThreeNodes(policy);
  world.launches_fail = true;
  world.Run(absl::Minutes(2), Spread(world, 330));
  EXPECT_GE(world.ActionsOf("launch").size(), 4u);
  EXPECT_LE(world.ActionsOf("launch").size(), 20u);
  world.launches_fail = false;
  world.Run(absl::Minutes(1), Spread(world, 330));
  EXPECT_EQ(world.nodes.size(), 5u);
}

TEST(Autoscaler, NeverMoreThanMaxAndSaysSo) {
  World world = ThreeNodes();
  world.Run(absl::Minutes(3), Spread(world, 5000));
  EXPECT_EQ(world.nodes.size(), 8u);
  const auto& alarms = world.Last().alarms;
  EXPECT_TRUE(
      std::any_of(alarms.begin(), alarms.end(), [](const Reason& r) { return r.code == ReasonCode::kAlarmAtMax; }));
}

TEST(Autoscaler, ARollingRestartIsNoLossAndNoGrowth) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(30), Spread(world, 330));
  for (const char* id : {"node-1", "node-2", "node-3"}) {
    world.core.Observe(world.now, NodeLeft{id, world.nodes[id].boot, NodeLeft::How::kStopping});
    world.nodes[id].silent = true;
    world.Run(absl::Seconds(5), Spread(world, 420));
    world.nodes[id].silent = false;
    world.nodes[id].boot += "'";
    world.nodes[id].limit = 200;
    world.Join(id);
    world.Run(absl::Seconds(5), Spread(world, 330));
  }
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  for (const Decision& decision : world.decisions) {
    for (const Reason& alarm : decision.alarms) EXPECT_NE(alarm.code, ReasonCode::kAlarmNodeLost);
  }
}

TEST(Autoscaler, AHoldForbidsWhatItSaysUntilItExpires) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.core.Observe(world.now,
                     HoldChanged{HoldDirection::kUp, world.now + absl::Seconds(30), "campaign is over", "op"});
  world.Run(absl::Seconds(20), Spread(world, 1100));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  EXPECT_EQ(world.nodes["node-1"].limit, 200);
  world.Run(absl::Seconds(20), Spread(world, 1100));
  EXPECT_FALSE(world.ActionsOf("launch").empty());
}

TEST(Autoscaler, DemandThatReturnsCancelsADrain) {
  Policy policy = LivePolicy();
  World world = ThreeNodes(policy);
  for (const char* id : {"node-4", "node-5"}) world.AddNode(id);
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.core.Observe(world.now, DrainRequested{"node-5", true, "maintenance", "op"});
  world.Run(absl::Seconds(3), Spread(world, 330));
  EXPECT_EQ(world.core.fleet().Find("node-5")->state, NodeState::kDrained)
      << "an operator's drain is kept, not terminated";
  world.core.Observe(world.now, DrainRequested{"node-5", false, "", "op"});
  world.Run(absl::Seconds(3), Spread(world, 1000));
  EXPECT_EQ(world.core.fleet().Find("node-5")->state, NodeState::kServing);
}

TEST(Autoscaler, AFailingJournalStopsShrinkingAndLetsRaisesGoOn) {
  World world = ThreeNodes();
  for (const char* id : {"node-4", "node-5"}) world.AddNode(id);
  world.core.Observe(world.now, JournalChanged{"disk full"});
  world.Run(absl::Minutes(10), Spread(world, 100));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  world.Run(absl::Seconds(10), Spread(world, 1600));
  EXPECT_GT(world.nodes["node-1"].limit, 200);
}

TEST(Autoscaler, UnderABudgetTheSumNeverExceedsIt) {
  Policy policy = LivePolicy();
  policy.nodes.max = 3;
  policy.limits.budget_count = 900;
  World world = ThreeNodes(policy);
  world.Run(absl::Seconds(10), Spread(world, 330));
  for (int i = 0; i < 60; ++i) {
    world.Run(absl::Seconds(1), Spread(world, 3000));
    int64_t sum = 0;
    for (const auto& [id, node] : world.nodes) sum += std::max(node.limit, node.open);
    ASSERT_LE(sum, 900);
  }
}

TEST(Autoscaler, ReplayedAndOlderReportsAreDropped) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  NodeReport old = world.nodes["node-1"].report;
  old.open_count = 100'000;
  world.core.Observe(world.now, NodeReported{"node-1", old});
  EXPECT_LT(world.core.fleet().Find("node-1")->report.open_count, 1000);
  old.sequence += 100;
  old.boot_id = "another";
  world.core.Observe(world.now, NodeReported{"node-1", old});
  EXPECT_LT(world.core.fleet().Find("node-1")->report.open_count, 1000);
  EXPECT_EQ(world.core.fleet().reports_dropped_old(), 2);
}

TEST(Autoscaler, NewNodesGetTheirShareByShedding) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(10), Spread(world, 330));
  world.Run(absl::Seconds(15), [&world] {
    for (auto& [id, node] : world.nodes) node.open = id[1] == 'o' ? 260 : 0;  // old ones keep all
  });
  EXPECT_FALSE(world.ActionsOf("launch").empty());
  const std::vector<Action> sheds = world.ActionsOf("shed");
  ASSERT_FALSE(sheds.empty());
  for (const Action& shed : sheds) EXPECT_EQ(shed.node.substr(0, 5), "node-");
}

TEST(Autoscaler, ACauseThatALaterReleaseSavedIsTakenForOneThatCannotBeTold) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5));
  State saved = world.core.Save();
  const auto unknown = static_cast<Cause>(kCauseCount);
  EXPECT_EQ(CauseName(unknown), "cannot_tell");
  saved.diagnosis.last.cause = saved.diagnosis.leader = unknown;
  world.core = Autoscaler::Load(world.core.policy(), saved);
  EXPECT_EQ(world.core.Save().diagnosis.last.cause, Cause::kCannotTell);
  EXPECT_EQ(world.core.Save().diagnosis.leader, Cause::kCannotTell);
}

}  // namespace
}  // namespace headroom
