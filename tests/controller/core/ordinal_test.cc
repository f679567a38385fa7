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

// Three nodes, and the place after them is on its way out.
class NameGivenAgain : public ::testing::Test {
 protected:
  NameGivenAgain() : world_(Numbered(3)) { List(Machine::State::kStopping); }
  void List(Machine::State last, const ActionId& launch = "") {
    MachinesListed listed;
    for (const char* id : {"files-0", "files-1", "files-2"})
      listed.machines.push_back({id, Machine::State::kRunning, "", ""});
    listed.machines.push_back({"files-3", last, "", launch});
    world_.core.Observe(world_.now, listed);
  }
  void Launch() { world_.core.Observe(world_.now, ActionStarted{Made(LaunchNode{})}); }
  void Answer() {
    ActionFinished done{"launch-9"};
    done.node = "files-3";
    world_.core.Observe(world_.now, done);
  }
  void Serve(const char* boot) {
    World::FakeNode node;
    node.boot = boot;
    world_.AddNode("files-3", node);
    world_.Report("files-3");
  }
  static Action Made(ActionBody body) {
    Action action;
    action.id = "launch-9";
    action.body = std::move(body);
    return action;
  }
  const Node* Find() { return world_.core.fleet().Find("files-3"); }
  World world_;
};

TEST_F(NameGivenAgain, TheLaunchedOneIsAwaitedAndServes) {
  ASSERT_EQ(Find()->state, NodeState::kTerminating);
  Launch();
  Answer();
  EXPECT_TRUE(Find()->IsAwaited()) << "else another one is launched beside it";
  EXPECT_EQ(Find()->launch_id, "launch-9");
  EXPECT_EQ(world_.core.fleet().nodes().size(), 4u) << "and nothing waits for the launch besides it";
  List(Machine::State::kStarting, "launch-9");
  Serve("boot-2");
  EXPECT_EQ(Find()->state, NodeState::kServing);
}

TEST_F(NameGivenAgain, AListThatWasBegunBeforeTheLaunchTellsOfTheOneBefore) {
  Action list = Made(ListMachines{});
  list.id = "list-1";
  world_.core.Observe(world_.now, ActionStarted{list});
  Launch();
  Answer();
  world_.now += absl::Seconds(1);
  List(Machine::State::kStopping);
  EXPECT_TRUE(Find()->IsAwaited());
}

TEST_F(NameGivenAgain, WhoeverIsListedAsComingComesWhoeverLaunchedIt) {
  List(Machine::State::kStarting);
  EXPECT_EQ(Find()->state, NodeState::kJoining);
  Serve("boot-2");
  EXPECT_EQ(Find()->state, NodeState::kServing);
}

TEST_F(NameGivenAgain, OneThatSpeaksAlreadyIsHeardOn) {
  Serve("boot-2");
  ASSERT_EQ(Find()->state, NodeState::kTerminating) << "a server may restart on a machine that goes";
  Launch();
  Answer();
  world_.Report("files-3");
  EXPECT_EQ(Find()->state, NodeState::kServing);
  EXPECT_EQ(Find()->launch_id, "launch-9");
}

TEST_F(NameGivenAgain, WhatAnOperatorSaidOfTheOldOneIsNotSaidOfTheNext) {
  List(Machine::State::kRunning);
  Serve("boot-1");
  world_.core.Observe(world_.now, DrainRequested{"files-3", true, "kept at hand", "ann"});
  world_.core.Observe(world_.now, NodePinned{"files-3", true, "mine", "ann"});
  world_.core.Observe(world_.now, NodeLimitFixed{"files-3", 7, world_.now + absl::Hours(1), "small", "ann"});
  world_.now += absl::Seconds(1);
  List(Machine::State::kStopping);
  ASSERT_EQ(Find()->state, NodeState::kTerminating);
  Launch();
  Answer();
  EXPECT_TRUE(Find()->IsAwaited()) << "else another one is launched beside it";
  EXPECT_FALSE(Find()->drained_by_operator);
  EXPECT_FALSE(Find()->pinned);
  EXPECT_EQ(Find()->fixed.count, 0);
}

TEST_F(NameGivenAgain, TheOldOneThatStillDrainsIsNotTheNextOne) {
  List(Machine::State::kRunning);
  Serve("boot-1");
  world_.nodes["files-3"].draining = true;
  world_.Report("files-3");
  world_.now += absl::Seconds(1);
  List(Machine::State::kStopping);
  Launch();
  Answer();
  world_.Report("files-3");
  EXPECT_TRUE(Find()->IsAwaited()) << "else another one is launched beside it";
  Serve("boot-2");
  EXPECT_EQ(Find()->state, NodeState::kServing);
}

TEST_F(NameGivenAgain, WhatIsBeingTerminatedDoesNotComeBackByAList) {
  List(Machine::State::kRunning);
  Action terminate = Made(TerminateNode{});
  terminate.id = "terminate-1";
  terminate.node = "files-3";
  world_.core.Observe(world_.now, ActionStarted{terminate});
  List(Machine::State::kRunning);
  EXPECT_EQ(Find()->state, NodeState::kTerminating);
}

}  // namespace
}  // namespace headroom
