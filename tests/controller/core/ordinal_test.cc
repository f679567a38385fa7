#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// Where a provider removes the last of numbered nodes, and no other.

namespace headroom {
namespace {

World Numbered(int count, Removal removal = Removal::kHighestOrdinal) {
  Policy policy = LivePolicy();
  policy.nodes.max = 20;
  policy.nodes.cooldown = absl::Seconds(1);
  policy.nodes.stabilization = absl::Seconds(5);
  policy.nodes.removal = removal;
  World world(policy);
  for (int i = 0; i < count; ++i) world.AddNode("files-" + std::to_string(i));
  world.Run(absl::Seconds(20), Spread(world, 140 * count - 20));
  return world;
}

std::vector<NodeId> Told(const World& world, const char* kind) {
  std::vector<NodeId> nodes;
  for (const Action& action : world.ActionsOf(kind)) nodes.push_back(action.node);
  return nodes;
}

TEST(Ordinal, TheLastLeavesFirstWhoeverHasFewerConnections) {
  World world = Numbered(12);  // files-9 stands after files-11 by name
  world.nodes["files-3"].open = 0;
  world.Run(absl::Minutes(10), Spread(world, 140 * 9));
  EXPECT_EQ(Told(world, "drain"), (std::vector<NodeId>{"files-11", "files-10"}));
  EXPECT_EQ(Told(world, "terminate"), (std::vector<NodeId>{"files-11", "files-10"}));
}

TEST(Ordinal, ADrainedNodeWaitsForTheOnesAfterIt) {
  World world = Numbered(12);
  const auto last_is_busy = [&] {
    Spread(world, 140 * 9)();
    world.nodes["files-11"].open = 7;
  };
  for (int i = 0; i < 60 && Told(world, "drain").size() < 2; ++i) world.Run(absl::Seconds(5), last_is_busy);
  ASSERT_EQ(Told(world, "drain"), (std::vector<NodeId>{"files-11", "files-10"}));
  world.Run(absl::Seconds(20), last_is_busy);
  ASSERT_EQ(world.core.fleet().Find("files-10")->state, NodeState::kDrained);
  EXPECT_TRUE(Told(world, "terminate").empty());
  world.Run(absl::Seconds(20), Spread(world, 140 * 9));
  EXPECT_EQ(Told(world, "terminate"), (std::vector<NodeId>{"files-11", "files-10"}));
}

TEST(Ordinal, APinnedNodeKeepsAllBeforeIt) {
  World world = Numbered(6);
  world.core.Observe(world.now, NodePinned{"files-5", true, "a backup runs", "op"});
  world.Run(absl::Minutes(10), Spread(world, 140 * 3));
  EXPECT_TRUE(Told(world, "drain").empty());
}

TEST(Ordinal, ANodeWithoutANumberNeverLeaves) {
  World world = Numbered(4);
  world.AddNode("stranger");
  world.Run(absl::Minutes(3), Spread(world, 130));
  for (const NodeId& node : Told(world, "drain")) EXPECT_NE(node, "stranger");
  EXPECT_EQ(Told(world, "drain").front(), "files-3");
}

TEST(Ordinal, WhereNodesAreNamedTheEmptiestLeaves) {
  World world = Numbered(6, Removal::kNamed);
  const auto third_is_empty = [&] {
    Spread(world, 140 * 5 - 20)();
    world.nodes["files-2"].open = 0;
  };
  world.Run(absl::Minutes(2), third_is_empty);
  ASSERT_FALSE(Told(world, "drain").empty());
  EXPECT_EQ(Told(world, "drain").front(), "files-2");
}

}  // namespace
}  // namespace headroom
