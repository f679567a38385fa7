#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// Nodes that fall silent.

namespace headroom {
namespace {

World TenNodes() {
  Policy policy = LivePolicy();
  policy.nodes.max = 10;
  World world(policy);
  for (int i = 0; i < 10; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Seconds(40), Spread(world, 1350));
  return world;
}

void Silence(World& world, int count) {
  for (auto& [id, node] : world.nodes) {
    if (count-- > 0) node.silent = true;
  }
}

TEST(Loss, WhenAllReportsAreLostNoSecondFleetIsLaunched) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(40), Spread(world, 330));
  Silence(world, 3);
  world.Run(absl::Minutes(10), Spread(world, 330));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
}

TEST(Loss, MachinesThatAreThereCountForTheMaximumSilentOrNot) {
  World world = TenNodes();
  Silence(world, 5);
  world.Run(absl::Minutes(5), Spread(world, 1900));
  EXPECT_LE(world.nodes.size(), 10u);
}

TEST(Loss, DeadOnesThatAnOperatorDrainsTakeNoRoomOfTheMaximum) {
  World world = TenNodes();
  Silence(world, 2);
  world.Run(absl::Minutes(1), Spread(world, 1000));
  ASSERT_EQ(world.core.fleet().Find("node-0")->state, NodeState::kLost);
  for (const char* id : {"node-0", "node-1"}) {
    world.core.Observe(world.now, DrainRequested{id, true, "it does not come back", "ann"});
  }
  world.Run(absl::Minutes(2), Spread(world, 1900));
  EXPECT_EQ(world.Last().serving_count, 10) << "the maximum, beside two that are as good as gone";
}

TEST(Loss, WhatIsLeftOfAFleetIsNotShrunk) {
  World world = TenNodes();
  Silence(world, 5);
  world.Run(absl::Minutes(20), Spread(world, 700));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
}

TEST(Loss, OneLostNodeIsReplaced) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(40), Spread(world, 330));
  Silence(world, 1);
  world.Run(absl::Seconds(50), Spread(world, 330));
  EXPECT_EQ(world.ActionsOf("launch").size(), 1u);
}

TEST(Loss, BalancersKeepNodesThatAreLostToUsUntilTheirMachinesAreGone) {
  World world = ThreeNodes();
  world.core.Observe(world.now, BalancerJoined{"front"});
  world.Run(absl::Seconds(40), Spread(world, 330));
  Silence(world, 2);
  world.Run(absl::Minutes(5), Spread(world, 330));
  ASSERT_EQ(world.core.fleet().Find("node-1")->state, NodeState::kLost);
  const auto servers = [&] { return std::get<SetServers>(world.ActionsOf("set_servers").back().body).servers; };
  ASSERT_EQ(servers().size(), 3u);
  for (const ServerTarget& server : servers()) EXPECT_FALSE(server.draining);
  world.core.Observe(world.now, NodeLeft{"node-1", world.nodes["node-1"].boot, NodeLeft::How::kLost});
  world.nodes.erase("node-1");  // listed no more
  world.Run(absl::Minutes(1), Spread(world, 330));
  for (const ServerTarget& server : servers()) EXPECT_NE(server.node, "node-1");
}

TEST(Loss, OneLostNodeDoesNotKeepTheOthersFromShrinking) {
  World world = TenNodes();
  Silence(world, 1);
  world.Run(absl::Minutes(10), Spread(world, 300));
  ASSERT_EQ(world.core.fleet().Find("node-0")->state, NodeState::kLost);
  EXPECT_FALSE(world.ActionsOf("drain").empty());
  EXPECT_LT(world.Last().effective_count, 9);
}

TEST(Loss, AMachineThatVanishedWhileItsStreamWasHalfOpenIsForgottenLater) {
  Policy policy = LivePolicy();
  policy.limits.enabled = false;
  World world = ThreeNodes(policy);
  world.AddNode("node-4");
  world.Run(absl::Minutes(1), Spread(world, 500));
  const World::FakeNode gone = world.nodes["node-4"];
  world.nodes.erase("node-4");  // the machine is gone, and its stream hangs
  world.Run(absl::Minutes(1), Spread(world, 500));
  ASSERT_NE(world.core.fleet().Find("node-4"), nullptr);
  world.core.Observe(world.now, NodeLeft{"node-4", gone.boot, NodeLeft::How::kLost});
  world.Run(absl::Minutes(1), Spread(world, 500));
  EXPECT_EQ(world.core.fleet().Find("node-4"), nullptr);
}

// The provider's lists fail for as long as it lives.
NodeId OneThatDiesUnlisted(World& world, const ActionId& launch) {
  world.broken = {"list"};
  world.launched["node-4"] = launch;
  world.AddNode("node-4");
  world.Run(absl::Seconds(40), Spread(world, 500));
  world.core.Observe(world.now, NodeLeft{"node-4", world.nodes["node-4"].boot, NodeLeft::How::kLost});
  world.nodes.erase("node-4");
  world.Run(absl::Minutes(3), Spread(world, 500));
  return "node-4";
}

TEST(Loss, AMachineOfOursThatDiedBeforeAnyListNamedItIsGoneWithTheNextList) {
  World world = ThreeNodes();
  const NodeId node = OneThatDiesUnlisted(world, "the-launch");
  ASSERT_NE(world.core.fleet().Find(node), nullptr) << "no list denies it yet";
  world.broken.clear();
  world.Run(absl::Minutes(3), Spread(world, 500));
  EXPECT_EQ(world.core.fleet().Find(node), nullptr);
}

TEST(Loss, ANodeThatOthersLaunchedIsNotGoneForNotBeingListed) {
  World world = ThreeNodes();
  const NodeId node = OneThatDiesUnlisted(world, "");
  world.broken.clear();
  world.Run(absl::Minutes(3), Spread(world, 500));
  ASSERT_NE(world.core.fleet().Find(node), nullptr);
  EXPECT_EQ(world.core.fleet().Find(node)->state, NodeState::kLost);
}

TEST(Loss, AReportThatComesAfterItsStreamEndedDoesNotOpenIt) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.core.Observe(world.now, NodeLeft{"node-3", "boot-1", NodeLeft::How::kLost});
  world.Report("node-3");
  EXPECT_FALSE(world.core.fleet().Find("node-3")->connected);
}

}  // namespace
}  // namespace headroom
