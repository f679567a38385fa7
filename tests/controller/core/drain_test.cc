#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// How nodes leave and come back.

namespace headroom {
namespace {

const Node& NodeOf(const World& world, const NodeId& id) {
  return *world.core.fleet().Find(id);
}

World FiveNodes() {
  World world(LivePolicy());
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5"}) world.AddNode(id);
  world.Run(absl::Seconds(5), Spread(world, 650));
  return world;
}

// The fifth, and a hold keeps it for a minute.
World FiveNodesOneDrained() {
  World world = FiveNodes();
  world.core.Observe(world.now, HoldChanged{HoldDirection::kDown, world.now + absl::Minutes(1), "", "op"});
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.nodes["node-5"].draining = true;
  world.Run(absl::Seconds(5), Spread(world, 500));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  return world;
}

TEST(Drain, AnOperatorsUndrainBringsTheNodeBackWhereNobodyNeedsIt) {
  World world = FiveNodes();
  world.core.Observe(world.now, DrainRequested{"node-5", true, "maintenance", "op"});
  world.Run(absl::Seconds(5), Spread(world, 500));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  world.core.Observe(world.now, DrainRequested{"node-5", false, "done", "op"});
  world.Run(absl::Seconds(5), Spread(world, 500));
  ASSERT_TRUE(world.nodes.contains("node-5"));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
  EXPECT_FALSE(world.nodes["node-5"].draining);
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
  ASSERT_EQ(world.ActionsOf("cancel_drain").size(), 1u);
  EXPECT_EQ(RenderReason(world.ActionsOf("cancel_drain")[0].reason),
            "node-5 is taken back from draining (done) by op.");
}

TEST(Drain, ADrainThatHeadroomBeganIsTakenBackToo) {
  World world = FiveNodes();
  world.drains_hang = true;
  world.Run(absl::Minutes(10), [&world] {
    if (world.ActionsOf("drain").empty()) Spread(world, 100)();
  });
  ASSERT_FALSE(world.ActionsOf("drain").empty());
  const NodeId victim = world.ActionsOf("drain").back().node;
  ASSERT_EQ(NodeOf(world, victim).state, NodeState::kDraining);
  world.core.Observe(world.now, DrainRequested{victim, false, "undone", "op"});
  world.Run(absl::Seconds(2));
  EXPECT_EQ(NodeOf(world, victim).state, NodeState::kServing);
}

TEST(Drain, ACancelThatTheNodeMissedIsRepeatedUntilItServes) {
  World world = FiveNodes();
  world.core.Observe(world.now, DrainRequested{"node-5", true, "", "op"});
  world.Run(absl::Seconds(3), Spread(world, 500));
  world.cancels_miss = 2;
  world.core.Observe(world.now, DrainRequested{"node-5", false, "", "op"});
  world.Run(absl::Seconds(30), Spread(world, 500));
  EXPECT_EQ(world.ActionsOf("cancel_drain").size(), 3u) << "every 5 s until it is obeyed, and no longer";
  EXPECT_FALSE(world.nodes["node-5"].draining);
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
}

TEST(Drain, ANodeThatSomebodyElseDrainedIsNoCapacityAndIsNotTerminated) {
  World world = FiveNodes();
  world.nodes["node-5"].draining = true;  // by hand, at the server itself
  world.nodes["node-5"].open = 0;
  world.Run(absl::Minutes(30), Spread(world, 500));
  ASSERT_TRUE(world.nodes.contains("node-5"));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  EXPECT_TRUE(world.ActionsOf("cancel_drain").empty()) << "nobody here knows better";
  EXPECT_EQ(world.Last().effective_count, 4);
  world.nodes["node-5"].draining = false;
  world.Run(absl::Seconds(2), Spread(world, 500));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
}

TEST(Drain, ALostNodeThatComesBackDrainingIsNoCapacityAndComesBackForDemand) {
  World world = FiveNodes();
  world.nodes["node-5"].silent = true;
  world.Run(absl::Seconds(40), Spread(world, 500));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kLost);
  world.nodes["node-5"].silent = false;
  world.nodes["node-5"].draining = true;
  world.Run(absl::Seconds(20), Spread(world, 400));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  world.Run(absl::Seconds(5), Spread(world, 900));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
}

TEST(Drain, AServerThatCannotBeToldIsNotCalledBackFromItsOwnDrain) {
  World world(LivePolicy());
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5"}) {
    World::FakeNode node;
    if (id == std::string("node-5")) node.capabilities = {"limit", "idle_timeout"};
    world.AddNode(id, node);
  }
  world.nodes["node-5"].draining = true;
  world.Run(absl::Seconds(5), Spread(world, 500));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  world.Run(absl::Seconds(30), Spread(world, 900));
  EXPECT_TRUE(world.ActionsOf("cancel_drain").empty());
  EXPECT_FALSE(world.ActionsOf("launch").empty());
}

TEST(Drain, ANodeThatDoesNotFollowACancelledDrainIsNoCapacityForEver) {
  World world = FiveNodes();
  world.nodes["node-5"].draining = true;  // by hand, at the server itself
  world.Run(absl::Seconds(5), Spread(world, 500));
  world.cancels_miss = 1000;
  world.Run(absl::Minutes(5), Spread(world, 900));
  ASSERT_FALSE(world.ActionsOf("cancel_drain").empty());
  EXPECT_LE(world.ActionsOf("cancel_drain").size(), 13u) << "every 5 s for a minute";
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  EXPECT_FALSE(world.ActionsOf("launch").empty());
  EXPECT_TRUE(world.ActionsOf("terminate").empty()) << "nor is it ours to remove";
  world.nodes["node-5"].draining = false;
  world.Run(absl::Seconds(2), Spread(world, 900));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
}

TEST(Drain, FailedLaunchesDoNotKeepADrainingNodeFromComingBack) {
  Policy policy = LivePolicy();
  policy.nodes.max = 9;
  policy.nodes.launch_backoff = absl::Minutes(10);
  World world(policy);
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5"}) world.AddNode(id);
  world.Run(absl::Seconds(5), Spread(world, 650));
  world.launches_fail = true;
  world.Run(absl::Seconds(20), Spread(world, 1000));
  ASSERT_GE(world.core.fleet().launch_failures().in_a_row, 3);
  world.drains_hang = true;
  const Action drain{"drain", 1, "node-5", {}, DrainNode{}};
  world.core.Observe(world.now, ActionStarted{drain});
  world.nodes["node-5"].draining = true;
  world.Run(absl::Seconds(5), Spread(world, 1000));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
}

TEST(Drain, AServerThatRestartsDoesNotKeepADrainingNodeFromComingBack) {
  World world = FiveNodes();
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.nodes["node-5"].draining = true;
  world.core.Observe(world.now, NodeLeft{"node-4", world.nodes["node-4"].boot, NodeLeft::How::kRestarting});
  world.nodes["node-4"].silent = true;
  world.Run(absl::Seconds(3), Spread(world, 900));
  EXPECT_EQ(NodeOf(world, "node-4").state, NodeState::kRestarting);
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
}

TEST(Drain, ASilentDrainingNodeIsNotTakenForAnEmptyOne) {
  World world = FiveNodes();
  world.drains_hang = true;
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.core.Observe(world.now, NodeLeft{"node-5", world.nodes["node-5"].boot, NodeLeft::How::kLost});
  world.nodes["node-5"].silent = world.nodes["node-5"].draining = true;
  world.Run(absl::Minutes(9), Spread(world, 400));
  EXPECT_EQ(NodeOf(world, "node-5").state, NodeState::kDraining);
  world.Run(absl::Minutes(2), Spread(world, 400));
  ASSERT_EQ(world.ActionsOf("terminate").size(), 1u);
  EXPECT_EQ(world.ActionsOf("terminate")[0].reason.code, ReasonCode::kTerminateDeadline);
}

TEST(Drain, ADrainedNodeWhoseProcessIsGoneIsNotTakenBackAsCapacity) {
  World world = FiveNodes();
  world.broken.insert("terminate");
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.nodes["node-5"].draining = true;
  world.nodes["node-5"].open = 0;
  world.Run(absl::Seconds(5), Spread(world, 500));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  world.core.Observe(world.now, NodeLeft{"node-5", world.nodes["node-5"].boot, NodeLeft::How::kLost});
  world.nodes["node-5"].silent = true;
  world.Run(absl::Minutes(1), Spread(world, 900));
  EXPECT_TRUE(world.ActionsOf("cancel_drain").empty());
  EXPECT_FALSE(world.ActionsOf("launch").empty());
}

TEST(Drain, ANodeThatAnOperatorKeepsDrainedDoesNotEndAllShrinking) {
  World world = FiveNodes();
  world.core.Observe(world.now, DrainRequested{"node-5", true, "a long repair", "op"});
  world.Run(absl::Minutes(20), Spread(world, 100));
  EXPECT_EQ(world.Last().effective_count, 3);
  EXPECT_TRUE(world.nodes.contains("node-5"));
}

TEST(Drain, NodesThatWereDrainedByHandAndAreGoneDoNotEndAllShrinking) {
  World world(LivePolicy());
  world.broken.insert("list");  // no provider knows them
  for (const char* id : {"a-1", "a-2", "a-3", "b-1", "b-2", "b-3"}) {
    World::FakeNode node;
    node.zone = id[0];
    world.AddNode(id, node);
  }
  world.core.Observe(world.now, DrainRequested{"a-3", true, "taken away", "op"});
  world.nodes["b-3"].draining = true;  // at the server itself
  world.nodes["b-3"].open = 0;
  world.Run(absl::Seconds(5), Spread(world, 520));
  world.core.Observe(world.now, NodeLeft{"a-3", world.nodes["a-3"].boot, NodeLeft::How::kLost});
  world.core.Observe(world.now, NodeLeft{"b-3", world.nodes["b-3"].boot, NodeLeft::How::kStopping});
  world.nodes["a-3"].silent = world.nodes["b-3"].silent = true;
  world.Run(absl::Minutes(1), Spread(world, 520));
  ASSERT_EQ(NodeOf(world, "a-3").state, NodeState::kDrained);
  ASSERT_EQ(NodeOf(world, "b-3").state, NodeState::kDrained) << "it may be back";
  world.Run(absl::Minutes(2), Spread(world, 520));
  EXPECT_EQ(world.core.fleet().Find("b-3"), nullptr);
  EXPECT_NE(world.core.fleet().Find("a-3"), nullptr) << "what an operator said is kept longer";
  world.now += absl::Hours(24);
  world.Run(absl::Minutes(10), Spread(world, 100));
  EXPECT_EQ(world.core.fleet().Find("a-3"), nullptr);
  EXPECT_EQ(world.Last().effective_count, 3);
}

TEST(Drain, NoSecondZoneLosesNodesWhileTheProviderStillTerminatesOne) {
  Policy policy = LivePolicy();
  policy.nodes.remove_count_max = 2;
  policy.nodes.min = 1;
  policy.nodes.stabilization = absl::Seconds(10);
  World world(policy);
  for (const char* id : {"a-1", "a-2", "b-1", "b-2"}) {
    World::FakeNode node;
    node.zone = id[0];
    world.AddNode(id, node);
  }
  world.Run(absl::Seconds(5), Spread(world, 520));
  world.core.Observe(world.now, ActionStarted{{"terminate", 1, "a-1", {}, TerminateNode{}}});
  world.nodes["a-1"].silent = true;
  world.Run(absl::Seconds(150), Spread(world, 100));
  ASSERT_EQ(NodeOf(world, "a-1").state, NodeState::kTerminating);
  ASSERT_FALSE(world.ActionsOf("drain").empty());
  for (const Action& drain : world.ActionsOf("drain")) EXPECT_EQ(drain.node, "a-2");
}

TEST(Drain, AHoldOnShrinkingKeepsADrainedNodeUntilItEnds) {
  World world = FiveNodes();
  world.core.Observe(world.now, HoldChanged{HoldDirection::kDown, world.now + absl::Minutes(20), "wrong drain", "op"});
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.nodes["node-5"].draining = true;
  world.nodes["node-5"].open = 0;
  world.Run(absl::Minutes(19), Spread(world, 500));
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
  EXPECT_TRUE(world.nodes.contains("node-5"));
  world.Run(absl::Minutes(2), Spread(world, 500));
  EXPECT_FALSE(world.nodes.contains("node-5"));
}

TEST(Drain, ADrainedNodeThatServesAgainIsDrainedAgainBeforeItIsTerminated) {
  World world = FiveNodesOneDrained();
  World::FakeNode& node = world.nodes["node-5"];
  node.draining = false;  // its process was restarted, and takes direct clients
  node.boot = "boot-2";
  world.Join("node-5");
  world.drains_hang = true;
  const auto direct_clients = [&] {
    Spread(world, 500)();
    node.open = 50;
  };
  world.Run(absl::Minutes(3), direct_clients);
  ASSERT_TRUE(world.ActionsOf("terminate").empty());
  EXPECT_TRUE(node.draining) << "told again";
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDraining);
  world.Run(absl::Seconds(3), Spread(world, 500));
  EXPECT_EQ(world.ActionsOf("terminate").size(), 1u);
}

TEST(Drain, ADrainedNodeOnWhichAConnectionIsOpenAgainIsNotTerminatedAsEmpty) {
  World world = FiveNodesOneDrained();
  World::FakeNode& node = world.nodes["node-5"];
  world.Run(absl::Minutes(2), [&] {
    Spread(world, 500)();
    node.open = 1;
  });
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
  world.Run(absl::Seconds(3), Spread(world, 500));
  EXPECT_EQ(world.ActionsOf("terminate").size(), 1u);
}

// Probes of a node that is kept drained: each visit is over in a second, and says nothing of how long a drain takes.
TEST(Drain, VisitsOfADrainedNodeDoNotMakeDrainsLookShort) {
  World world = FiveNodes();
  world.drains_hang = true;
  world.core.Observe(world.now, DrainRequested{"node-5", true, "kept at hand", "op"});
  int second = 0;
  const auto visit = [&] {
    Spread(world, 500)();
    world.nodes["node-5"].open = ++second < 60 ? 50 : second % 5 == 0;
  };
  world.Run(absl::Minutes(5), visit);
  ASSERT_TRUE(NodeOf(world, "node-5").IsLeaving());
  EXPECT_GT(world.core.fleet().drain_times().Deadline(absl::Hours(1)), absl::Minutes(1));
}

TEST(Drain, ATerminateThatFailedBeforeTheNodeServedAgainIsForgotten) {
  World world = FiveNodes();
  world.broken.insert("terminate");
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  World::FakeNode& node = world.nodes["node-5"];
  node.draining = true;
  world.Run(absl::Seconds(5), Spread(world, 500));
  ASSERT_GT(NodeOf(world, "node-5").terminates_failed.in_a_row, 0);
  world.Run(absl::Seconds(5), Spread(world, 900));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kServing);
  world.broken.clear();
  world.decisions.clear();
  world.core.Observe(world.now, HoldChanged{HoldDirection::kDown, world.now + absl::Minutes(4), "", "op"});
  world.Run(absl::Minutes(3), Spread(world, 500));  // nothing asks for it any more
  world.core.Observe(world.now, ActionStarted{{"drain-2", 1, "node-5", {}, DrainNode{}}});
  node.draining = true;
  world.Run(absl::Seconds(5), Spread(world, 500));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  world.Run(absl::Minutes(2), [&] {
    Spread(world, 500)();
    node.open = 1;
  });
  for (const Action& end : world.ActionsOf("terminate")) EXPECT_NE(end.node, "node-5") << "a client is there";
}

// The platform may have removed another one: only a list tells.
TEST(Drain, AfterATerminateThatFailedNothingIsRemovedBeforeTheMachinesWereListed) {
  World world = FiveNodes();
  world.broken.insert("terminate");
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.nodes["node-5"].draining = true;
  world.Run(absl::Seconds(20), Spread(world, 500));
  int terminates = 0;
  bool has_looked = true;
  for (const Decision& decision : world.decisions) {
    for (const Action& action : decision.actions) {
      if (std::holds_alternative<ListMachines>(action.body)) has_looked = true;
      if (!std::holds_alternative<TerminateNode>(action.body)) continue;
      ++terminates;
      EXPECT_TRUE(std::exchange(has_looked, false)) << decision.at;
    }
  }
  EXPECT_GE(terminates, 2) << "a look is due at once, not with the next interval";
  world.broken.insert("list");
  world.decisions.clear();
  world.Run(absl::Minutes(2), Spread(world, 500));
  EXPECT_LE(world.ActionsOf("terminate").size(), 1u) << "it cannot be looked";
}

TEST(Drain, ATerminateThatFailedOfANodeThatIsNotEmptyIsNotRepeatedAsOfAnEmptyOne) {
  World world = FiveNodes();
  world.drains_hang = true;
  world.broken.insert("terminate");
  world.core.Observe(world.now, ActionStarted{{"drain", 1, "node-5", {}, DrainNode{}}});
  world.nodes["node-5"].draining = true;
  const auto stays = [&world] {
    Spread(world, 400)();
    if (world.nodes.contains("node-5")) world.nodes["node-5"].open = 30;
  };
  world.Run(absl::Minutes(12), stays);
  ASSERT_GT(world.ActionsOf("terminate").size(), 1u);
  for (const Action& terminate : world.ActionsOf("terminate"))
    EXPECT_EQ(terminate.reason.code, ReasonCode::kTerminateDeadline);
  Policy patient = world.core.policy();
  patient.nodes.drain_timeout = absl::Hours(1);
  world.core.Observe(world.now, PolicyChanged{patient});
  world.broken.clear();
  world.Run(absl::Minutes(5), stays);
  EXPECT_TRUE(world.nodes.contains("node-5"));
  world.Run(absl::Minutes(45), stays);
  EXPECT_FALSE(world.nodes.contains("node-5")) << "the time that it took before counts";
}

TEST(Drain, AClientThatComesWhileATerminateFailsHasTheTimeOfADrain) {
  World world = FiveNodesOneDrained();
  World::FakeNode& node = world.nodes["node-5"];
  world.broken.insert("terminate");
  world.Run(absl::Minutes(12), Spread(world, 500));  // longer than a drain may take
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  const Action end{"end", 1, "node-5", {}, TerminateNode{}};
  world.core.Observe(world.now, ActionStarted{end});
  node.open = 1;
  world.Report("node-5");
  world.core.Observe(world.now, ActionFinished{.id = "end", .code = absl::StatusCode::kUnavailable, .node = "node-5"});
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDraining);
  world.broken.clear();
  const auto stays = [&] {
    Spread(world, 500)();
    if (world.nodes.contains("node-5")) node.open = 1;
  };
  world.Run(world.core.policy().nodes.drain_timeout - absl::Seconds(5), stays);
  ASSERT_TRUE(world.nodes.contains("node-5")) << "its drain had ended in time";
  world.Run(absl::Minutes(1), stays);
  EXPECT_FALSE(world.nodes.contains("node-5"));
}

TEST(Drain, AServerThatCannotDrainIsNoVictim) {
  World world(LivePolicy());
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5"}) {
    World::FakeNode node;
    if (id != std::string("node-4")) node.capabilities = {"limit", "idle_timeout"};
    world.AddNode(id, node);
  }
  world.Run(absl::Minutes(10), Spread(world, 250));
  ASSERT_EQ(world.ActionsOf("drain").size(), 1u);
  EXPECT_EQ(world.ActionsOf("drain")[0].node, "node-4");
}

TEST(Drain, AProcessThatHasOnlySaidHelloIsNotToldToDrain) {
  World world = FiveNodes();
  world.nodes["node-5"].draining = true;  // by hand, at the server itself
  world.nodes["node-5"].open = 0;
  world.Run(absl::Seconds(20), Spread(world, 500));
  ASSERT_EQ(NodeOf(world, "node-5").state, NodeState::kDrained);
  world.nodes["node-5"].boot = "boot-2";
  world.nodes["node-5"].silent = true;
  world.Join("node-5");
  for (int i = 0; i < 5; ++i) {
    world.Run(absl::Seconds(5), Spread(world, 500));
    world.Join("node-5");  // its stream breaks again and again, and no report comes through
  }
  EXPECT_TRUE(world.ActionsOf("drain").empty()) << "it would be ours then, and be terminated";
}

// An operator's number skips the cooldown, which forbade this otherwise.
TEST(Drain, ANodeThatServesIsNotGivenUpForOneThatIsStillToCome) {
  World world(LivePolicy());
  for (const char* id : {"node-1", "node-2", "node-3"}) world.AddNode(id);
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.launches_stick = 1;
  world.core.Observe(world.now, OverrideSet{.nodes = 4, .until = absl::InfiniteFuture()});
  world.Run(absl::Seconds(5), Spread(world, 330));
  ASSERT_EQ(world.ActionsOf("launch").size(), 1u);
  world.core.Observe(world.now, OverrideSet{.nodes = 3, .until = absl::InfiniteFuture()});
  world.Run(absl::Seconds(30), Spread(world, 330));
  EXPECT_TRUE(world.ActionsOf("drain").empty()) << "three serve, and three must";
}

}  // namespace
}  // namespace headroom
