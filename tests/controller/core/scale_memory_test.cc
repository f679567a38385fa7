#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// What is remembered of the past before the fleet may shrink.

namespace headroom {
namespace {

Policy SlowPolicy() {
  Policy policy = LivePolicy();
  policy.nodes.stabilization = absl::Minutes(10);
  policy.nodes.cooldown = absl::Seconds(1);
  policy.limits.enabled = false;
  return policy;
}

World SixNodes(Policy policy = SlowPolicy()) {
  World world(std::move(policy));
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5", "node-6"}) world.AddNode(id);
  return world;
}

World DoubledToEight(absl::Duration cooldown) {
  Policy policy = LivePolicy();
  policy.nodes.max = 40;
  policy.nodes.cooldown = cooldown;
  World world(policy);
  for (int i = 0; i < 4; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Seconds(10), Spread(world, 520));
  world.Run(absl::Seconds(30), Spread(world, 1100));
  EXPECT_EQ(world.nodes.size(), 8u);
  return world;
}

absl::Time GrownAt(const World& world) {
  return world.core.Save().scale.growths.back().at;
}

TEST(ScaleMemory, AfterALongUnknownSpellTheWindowIsFilledAnew) {
  World world = SixNodes();
  world.Run(absl::Minutes(12), Spread(world, 800));
  for (auto& [id, node] : world.nodes) node.silent = id < "node-3";  // too few to know, none is lost yet
  for (int i = 0; i < 60; ++i) {
    world.Run(absl::Seconds(20), Spread(world, 800));
    for (const char* id : {"node-1", "node-2"}) world.Report(id);
  }
  for (auto& [id, node] : world.nodes) node.silent = false;
  world.Run(absl::Minutes(9), Spread(world, 100));
  EXPECT_TRUE(world.ActionsOf("drain").empty()) << "of the last ten minutes only nine were seen";
  world.Run(absl::Minutes(14), Spread(world, 100));
  EXPECT_FALSE(world.ActionsOf("drain").empty());
}

TEST(ScaleMemory, AControllerThatWasAwayWatchesBeforeItShrinks) {
  World world = SixNodes();
  world.Run(absl::Minutes(12), Spread(world, 800));
  world.core = Autoscaler::Load(world.core.policy(), world.core.Save());
  world.now += absl::Minutes(20);
  world.Run(absl::Minutes(9), Spread(world, 100));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
}

TEST(ScaleMemory, AnotherWindowDoesNotForgetThePeak) {
  World world = SixNodes();
  world.Run(absl::Minutes(12), Spread(world, 800));
  world.Run(absl::Minutes(1), Spread(world, 100));
  Policy policy = SlowPolicy();
  policy.nodes.stabilization = absl::Minutes(9);
  policy.limits.peak_window = absl::Minutes(50);
  const double peak = world.core.fleet().Find("node-1")->open_peak.Max(world.now, absl::Hours(1));
  ASSERT_GT(peak, 100);
  world.core.Observe(world.now, PolicyChanged{policy});
  EXPECT_EQ(world.core.fleet().Find("node-1")->open_peak.Max(world.now, absl::Minutes(50)), peak);
  world.Run(absl::Minutes(7), Spread(world, 100));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
}

TEST(ScaleMemory, ASmallStepAfterALargeOneDoesNotShortenTheCooldown) {
  Policy policy;
  ScaleMemory scale;
  const absl::Time began = absl::FromUnixSeconds(1'700'000'000);
  scale.growths = {{began, 1}};
  EXPECT_EQ(GrowthCoolsUntil(scale, policy.nodes), began + policy.nodes.cooldown);

  World world = DoubledToEight(absl::Minutes(10));
  policy = world.core.policy();
  const absl::Time until = GrowthCoolsUntil(world.core.Save().scale, policy.nodes);
  world.Run(absl::Seconds(30), Spread(world, 1180));  // one more
  ASSERT_EQ(world.nodes.size(), 9u);
  EXPECT_GE(GrowthCoolsUntil(world.core.Save().scale, policy.nodes), until);
}

TEST(ScaleMemory, ManySmallStepsDoNotMakeAnOldLargeOneYounger) {
  World world = DoubledToEight(absl::Minutes(10));
  const absl::Time doubled_at = GrownAt(world);
  for (int step = 1; step <= 22; ++step) world.Run(absl::Seconds(20), Spread(world, 1100 + 140 * step));
  ASSERT_GE(world.nodes.size(), 8u + 17);
  const ScaleMemory scale = world.core.Save().scale;
  EXPECT_LE(GrowthCoolsUntil(scale, world.core.policy().nodes),
            std::max(doubled_at + absl::Minutes(10), GrownAt(world) + absl::Minutes(2)));
}

TEST(ScaleMemory, ACooldownThatIsMadeLongerCountsFromTheLargeGrowthBeforeTheLastOneToo) {
  World world = DoubledToEight(absl::Seconds(12));
  const absl::Time doubled_at = GrownAt(world);
  world.Run(absl::Seconds(30), Spread(world, 1180));  // one more
  const absl::Time grown_at = GrownAt(world);
  Policy policy = world.core.policy();
  ASSERT_GT(grown_at, doubled_at + policy.nodes.cooldown);
  policy.nodes.cooldown = absl::Minutes(10);
  const absl::Time until = GrowthCoolsUntil(world.core.Save().scale, policy.nodes);
  EXPECT_GE(until, doubled_at + absl::Minutes(5));
  EXPECT_GT(until, grown_at + absl::Minutes(2)) << "a ninth of it for one node of eight";
}

TEST(ScaleMemory, WhatServedLatelyComesBackInOneStep) {
  Policy policy = LivePolicy();
  policy.nodes.growth_ratio_max = 1.3;
  policy.nodes.cooldown = absl::Seconds(1);
  World world = ThreeNodes(policy);
  world.Run(absl::Minutes(1), Spread(world, 300));
  world.Run(absl::Seconds(4), Spread(world, 1000));
  EXPECT_EQ(world.nodes.size(), 4u) << "so many have never served";
  world.Run(absl::Minutes(4), Spread(world, 1000));
  ASSERT_EQ(world.nodes.size(), 8u);
  world.Run(absl::Minutes(16), Spread(world, 300));
  ASSERT_EQ(world.nodes.size(), 3u);
  world.Run(absl::Seconds(4), Spread(world, 1000));
  EXPECT_EQ(world.nodes.size(), 8u);
}

Policy PaidPolicy() {
  Policy policy = LivePolicy();
  policy.nodes.cooldown = absl::Seconds(1);
  policy.nodes.paid_min = absl::Minutes(10);
  return policy;
}

TEST(PaidNodes, AreNotRemovedBeforeWhatIsPaidAnywayIsOver) {
  World world = ThreeNodes(PaidPolicy());
  world.Run(absl::Minutes(1), Spread(world, 330));
  world.Run(absl::Minutes(1), Spread(world, 1100));
  ASSERT_EQ(world.nodes.size(), 8u);
  world.Run(absl::Minutes(7), Spread(world, 330));
  EXPECT_TRUE(world.ActionsOf("drain").empty()) << "two more minutes are paid";
  const auto& verdicts = world.Last().verdicts;
  EXPECT_TRUE(std::any_of(verdicts.begin(), verdicts.end(), [](const Verdict& one) { return one.guard == "paid"; }));
  world.Run(absl::Minutes(14), Spread(world, 330));
  EXPECT_EQ(world.nodes.size(), 3u);
}

TEST(PaidNodes, AreNotKeptAgainstANumberThatAnOperatorSet) {
  World world = ThreeNodes(PaidPolicy());
  world.Run(absl::Minutes(1), Spread(world, 330));
  world.Run(absl::Minutes(1), Spread(world, 1100));
  ASSERT_EQ(world.nodes.size(), 8u);
  OverrideSet set;
  set.nodes = 5;
  set.until = world.now + absl::Hours(1);
  world.core.Observe(world.now, set);
  world.Run(absl::Minutes(3), Spread(world, 330));
  EXPECT_EQ(world.nodes.size(), 5u);
}

TEST(PaidNodes, ThoseThatArePaidOutLeaveBeforeYoungerOnes) {
  Policy policy = PaidPolicy();
  policy.nodes.max = 12;
  World world = ThreeNodes(policy);
  world.Run(absl::Minutes(1), Spread(world, 330));
  world.Run(absl::Minutes(9), Spread(world, 800));  // three more
  ASSERT_EQ(world.nodes.size(), 6u);
  world.Run(absl::Minutes(2), Spread(world, 1200));  // and again three
  ASSERT_EQ(world.nodes.size(), 9u);
  world.Run(absl::Minutes(5), Spread(world, 330));
  std::set<NodeId> left;
  for (const auto& [id, node] : world.nodes) left.insert(id);
  EXPECT_EQ(left, (std::set<NodeId>{"node-1", "node-2", "node-3", "new-4", "new-5", "new-6"}));
}

}  // namespace
}  // namespace headroom
