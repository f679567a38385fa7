#include "tests/controller/core/crash.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/core/fleet/fleet_summary.h"
#include "tests/controller/core/world.h"

// What a controller may think of a cluster whose last controller was killed: its last grants, drains and growth may be
// written nowhere. Each of these was found by a seed of the swarm.

namespace headroom {
namespace {

int64_t SumOfLimits(const World& world) {
  int64_t sum = 0;
  for (const auto& [id, node] : world.nodes) sum += node.limit;
  return sum;
}

void FillAll(World& world) {
  for (auto& [id, node] : world.nodes) {
    node.open = node.limit;
    node.queue = 100;
  }
}

TEST(Crash, ARaiseThatIsWrittenNowhereIsNotGivenToOthersToo) {
  World world = Settled(FixedNodes(900));
  const State written = world.core.Save();
  for (int second = 0; second < 5; ++second) {
    world.nodes["node-1"].open = world.nodes["node-1"].limit;
    world.nodes["node-1"].queue = 100;
    world.Run(absl::Seconds(1));
  }
  ASSERT_GT(world.nodes["node-1"].limit, 400);
  Crash(world, written);
  world.nodes["node-1"].silent = true;
  for (const char* id : {"node-2", "node-3"}) ComeBack(world, id);
  for (int second = 0; second < 8; ++second) {
    FillAll(world);
    world.Run(absl::Seconds(1));
    ASSERT_LE(SumOfLimits(world), 900) << "after " << second << " s";
  }
  ComeBack(world, "node-1");
  world.nodes["node-1"].silent = false;
  for (int second = 0; second < 5; ++second) {
    FillAll(world);
    world.Run(absl::Seconds(1));
  }
  EXPECT_EQ(SumOfLimits(world), 900) << "once all are heard, what is free is given";
}

TEST(Crash, WhatIsUnknownOfOneNodeCutsNoOther) {
  World world = Settled(FixedNodes(900));
  const State written = world.core.Save();
  Crash(world, written);
  world.nodes["node-1"].silent = true;
  for (const char* id : {"node-2", "node-3"}) ComeBack(world, id);
  world.Run(absl::Seconds(8));
  EXPECT_EQ(world.nodes["node-2"].limit, 200);
  EXPECT_EQ(world.nodes["node-3"].limit, 200);
}

TEST(Crash, AGrantThatIsInTheJournalIsKnownThoughItsTickWasNotTaken) {
  World world = Settled(FixedNodes(0));
  const uint64_t id = world.core.Save().grant_sequence + 5;
  const GrantLimits grant{.grant_id = id, .connection_count_max = 320};
  world.core.Observe(world.now, ActionStarted{{.id = "lost-tick", .node = "node-1", .body = grant}});
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_count, 320);
  EXPECT_EQ(world.core.Save().grant_sequence, id) << "a number is not given twice";
}

TEST(Crash, ALimitIsAdoptedAsItIsFoundBeforeTheNodeHasReported) {
  World world = Settled(FixedNodes(0));
  const State written = world.core.Save();
  Crash(world, written);
  world.nodes["node-1"].limit = 532;
  world.nodes["node-1"].silent = true;
  ComeBack(world, "node-1");
  world.Run(absl::Seconds(4));
  EXPECT_GE(world.nodes["node-1"].limit, 532);
}

TEST(Crash, AClusterThatHasNotSpokenSinceIsNotKnown) {
  World world = Settled(FixedNodes(0));
  const State written = world.core.Save();
  Crash(world, written);
  for (const char* id : {"node-1", "node-2", "node-3"}) ComeBack(world, id);
  const Policy& policy = world.core.policy();
  EXPECT_FALSE(Summarize(world.core.fleet(), policy, world.now).Known(policy.control));
  world.Run(absl::Seconds(1));
  EXPECT_TRUE(Summarize(world.core.fleet(), policy, world.now).Known(policy.control));
}

TEST(Crash, GrowthCoolsThoughItsTickWasNotTaken) {
  World world = Settled(LivePolicy());
  world.core.Observe(world.now + absl::Seconds(1), ActionStarted{{.id = "lost-tick", .body = LaunchNode{}}});
  const Policy& policy = world.core.policy();
  EXPECT_EQ(GrowthCoolsUntil(world.core.Save().scale, policy.nodes),
            world.now + absl::Seconds(1) + policy.nodes.cooldown);
}

TEST(Crash, AStepOfGrowthIsNotTakenTwiceThoughItsTickWasNotTaken) {
  World world = Settled(LivePolicy());
  const absl::Time at = world.now + absl::Seconds(1);
  for (const char* id : {"lost-1", "lost-2", "lost-3"})
    world.core.Observe(at, ActionStarted{{.id = id, .body = LaunchNode{}}});
  EXPECT_EQ(world.core.Save().scale.step_began_at, at);
  EXPECT_EQ(world.core.Save().scale.step_base, 3) << "what was there before them";
  world.core.Observe(at + absl::Seconds(2), ActionStarted{{.id = "lost-4", .body = LaunchNode{}}});
  EXPECT_EQ(world.core.Save().scale.step_began_at, at) << "the same step";
}

TEST(Crash, ANodeThatServesThoughItWasToldToLeaveIsNotToldAgain) {
  Policy policy = LivePolicy();
  World world = Settled(policy);
  world.core.Observe(world.now, ActionStarted{{.id = "drain", .node = "node-1", .body = DrainNode{}}});
  ASSERT_TRUE(world.core.fleet().Find("node-1")->IsLeaving());
  const State written = world.core.Save();
  Crash(world, written);
  for (const char* id : {"node-1", "node-2", "node-3"}) ComeBack(world, id);
  const size_t before = world.ActionsOf("drain").size();
  world.Run(absl::Seconds(30));
  EXPECT_EQ(world.core.fleet().Find("node-1")->state, NodeState::kServing);
  EXPECT_EQ(world.ActionsOf("drain").size(), before);
}

TEST(Crash, ANodeThatWasToldToLeaveIsAMachineUntilItIsHeard) {
  World world = Settled(LivePolicy());
  world.core.Observe(world.now, ActionStarted{{.id = "drain", .node = "node-3", .body = DrainNode{}}});
  ASSERT_EQ(Summarize(world.core.fleet(), world.core.policy(), world.now).absent, 0);
  Crash(world, world.core.Save());  // the one before may have taken it back, and it may have died since
  EXPECT_EQ(Summarize(world.core.fleet(), world.core.policy(), world.now).absent, 1);
  ComeBack(world, "node-3");
  world.nodes["node-3"].draining = true;
  world.Run(absl::Seconds(1));
  EXPECT_EQ(Summarize(world.core.fleet(), world.core.policy(), world.now).absent, 0);
}

TEST(Crash, NoNodeIsLostBecauseItsReportsWereWrittenNowhere) {
  World world = Settled(LivePolicy());
  State written = world.core.Save();
  world.now += absl::Minutes(1);
  written.last_tick_at = world.now;
  written.fleet.ForgiveSilence(world.now, absl::ZeroDuration());
  written.fleet.AssumeServing(world.now);
  world.core = Autoscaler::Load(world.core.policy(), std::move(written));
  world.core.Tick(world.now);
  EXPECT_EQ(Summarize(world.core.fleet(), world.core.policy(), world.now).serving, 3);
}

TEST(Crash, NoNodeIsDrainedForOneThatHasNotBeenHeardSince) {
  Policy policy = LivePolicy();
  policy.control.quorum_ratio = 0.6;
  policy.control.lost_after = absl::Minutes(20);
  policy.anomaly.enabled = policy.forecast.enabled = false;
  World world(policy);
  for (const char* id : {"node-1", "node-2", "node-3", "node-4"}) world.AddNode(id);
  world.Run(absl::Seconds(20), Spread(world, 600));
  Crash(world, world.core.Save());
  for (const char* id : {"node-1", "node-2", "node-3"}) ComeBack(world, id);
  world.nodes["node-4"].silent = true;
  world.Run(absl::Minutes(10), Spread(world, 100));
  EXPECT_TRUE(world.ActionsOf("drain").empty()) << "node-4 may be dead, and three have to stay";
  ComeBack(world, "node-4");
  world.nodes["node-4"].silent = false;
  world.Run(absl::Minutes(10), Spread(world, 100));
  EXPECT_FALSE(world.ActionsOf("drain").empty());
}

TEST(Crash, ANodeThatWasToldToLeaveIsHeardOrLongSilentBeforeItIsTerminated) {
  Policy policy = LivePolicy();
  policy.nodes.drain_timeout = absl::Seconds(30);
  World world = Settled(policy);
  world.core.Observe(world.now, ActionStarted{{.id = "drain", .node = "node-3", .body = DrainNode{}}});
  world.now += absl::Minutes(2);
  Crash(world, world.core.Save());
  for (const char* id : {"node-1", "node-2"}) ComeBack(world, id);
  world.nodes["node-3"].silent = true;  // it may have been taken back by the one that was killed
  world.Run(policy.nodes.launch_timeout - absl::Seconds(5));
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
  world.Run(absl::Seconds(10));
  EXPECT_EQ(world.ActionsOf("terminate").size(), 1u);
}

TEST(Crash, ANodeThatAnOperatorDrainsDoesNotCountForATickBecauseItStillServes) {
  World world = Settled(LivePolicy());
  world.core.Observe(world.now, DrainRequested{.node = "node-1", .drain = true, .reason = "disk", .actor = "op"});
  world.core.Observe(world.now, ActionStarted{{.id = "drain", .node = "node-1", .body = DrainNode{}}});
  const State written = world.core.Save();
  Crash(world, written);
  for (const char* id : {"node-1", "node-2", "node-3"}) {
    ComeBack(world, id);
    world.Report(id);
  }
  EXPECT_EQ(world.core.fleet().Find("node-1")->state, NodeState::kDraining);
}

TEST(Crash, ANodeThatIsTakenBackIsNotDrainedInTheSameBreath) {
  World world = Settled(LivePolicy());
  world.core.Observe(world.now, ActionStarted{{.id = "drain", .node = "node-1", .body = DrainNode{}}});
  world.Run(absl::Seconds(20), Spread(world, 600));
  for (const Decision& decision : world.decisions) {
    const auto tells = [&decision](absl::string_view kind) {
      return std::any_of(decision.actions.begin(), decision.actions.end(), [kind](const Action& action) {
        return action.node == "node-1" && ActionKind(action) == kind;
      });
    };
    EXPECT_FALSE(tells("drain") && tells("cancel_drain"));
  }
  EXPECT_THAT(world.ActionsOf("cancel_drain"), ::testing::Not(::testing::IsEmpty()));
}

// All nodes but `silent` are back, and all that there is to be had is asked for.
void FillWithout(World& world, const NodeId& silent) {
  for (const auto& [id, node] : world.nodes) {
    if (id != silent) ComeBack(world, id);
  }
  for (int second = 0; second < 10; ++second) {
    FillAll(world);
    world.Run(absl::Seconds(1));
  }
}

TEST(Crash, ABalancerThatLeftLongBeforeHoldsNothingBack) {
  World world = Settled(FixedNodes(900));
  BalancerReported reported{.balancer = "front"};
  reported.report.boot_id = "boot";
  reported.report.sequence = 1;
  reported.report.slot_place = SlotPlace::kBalancer;
  BalancedServer server;
  server.node = "node-1";
  server.session_count_max = 60;
  reported.report.servers.push_back(server);
  world.core.Observe(world.now, reported);
  ASSERT_TRUE(world.core.fleet().Find("node-1")->behind.holds_slots);
  world.core.Observe(world.now, BalancerLeft{"front"});
  world.Run(absl::Minutes(62));
  ASSERT_TRUE(world.core.fleet().balancers().contains("front"));
  Crash(world, world.core.Save());
  FillWithout(world, "");
  EXPECT_EQ(SumOfLimits(world), 900);
}

TEST(Crash, ANodeThatDiedLongBeforeHoldsBackWhatItWasKnownToHaveAndNoMore) {
  World world = Settled(FixedNodes(900));
  world.nodes["node-1"].silent = true;
  world.core.Observe(world.now, NodeLeft{"node-1", "boot-1", NodeLeft::How::kLost});
  world.Run(absl::Minutes(3));
  ASSERT_EQ(world.core.fleet().Find("node-1")->state, NodeState::kLost);
  Crash(world, world.core.Save());
  FillWithout(world, "node-1");
  EXPECT_EQ(world.nodes["node-2"].limit + world.nodes["node-3"].limit, 700);
}

TEST(Crash, ANodeThatDiesWithTheControllerFreezesTheOthersForAnHourAtMost) {
  World world = Settled(FixedNodes(900));
  world.nodes["node-1"].silent = true;
  Crash(world, world.core.Save());
  FillWithout(world, "node-1");
  ASSERT_EQ(world.nodes["node-2"].limit + world.nodes["node-3"].limit, 400) << "node-1 may have been granted the rest";
  world.Run(absl::Minutes(62));
  for (int second = 0; second < 10; ++second) {
    FillAll(world);
    world.Run(absl::Seconds(1));
  }
  EXPECT_EQ(world.nodes["node-2"].limit + world.nodes["node-3"].limit, 700);
}

// Launches whose outcome nobody knows.

Action LaunchAction(const ActionId& id) {
  return {.id = id, .body = LaunchNode{}};
}

TEST(UnansweredLaunch, CountsAsAMachineUntilAListDeniesIt) {
  World world = Settled(LivePolicy());
  world.core.Observe(world.now, ActionStarted{LaunchAction("slow")});
  const absl::Time over = world.now + world.core.policy().nodes.launch_timeout + absl::Seconds(1);
  world.core.Tick(over);
  EXPECT_EQ(world.core.fleet().unanswered_launches(), 1);
  EXPECT_EQ(Summarize(world.core.fleet(), world.core.policy(), over).absent, 4)
      << "three that fell silent, and this one";
  world.core.Observe(over + absl::Seconds(30), MachinesListed{});
  EXPECT_EQ(world.core.fleet().unanswered_launches(), 1) << "the call may be under way still";
  world.core.Observe(over + absl::Seconds(61), MachinesListed{});
  EXPECT_EQ(world.core.fleet().unanswered_launches(), 0);
}

TEST(UnansweredLaunch, ThatIsAnsweredLateIsAMachineOfOurs) {
  World world = Settled(LivePolicy());
  world.core.Observe(world.now, ActionStarted{LaunchAction("slow")});
  const absl::Time over = world.now + world.core.policy().nodes.launch_timeout + absl::Seconds(1);
  world.core.Tick(over);
  world.core.Observe(over, ActionFinished{.id = "slow", .node = "machine"});
  const Node* machine = world.core.fleet().Find("machine");
  ASSERT_NE(machine, nullptr);
  EXPECT_TRUE(machine->listed);
  EXPECT_EQ(machine->launch_id, "slow");
  EXPECT_EQ(world.core.fleet().unanswered_launches(), 0);
}

// Machines that count for the maximum beside those that serve, once a node that no list named died.
int AbsentAfterADeath(const ActionId& launch) {
  Policy policy = LivePolicy();
  World world = Settled(policy);
  NodeHello hello;
  hello.boot_id = "boot";
  hello.launch_id = launch;
  world.core.Observe(world.now, NodeJoined{"node-4", hello});
  NodeReport report;
  report.boot_id = "boot";
  report.sequence = 1;
  world.core.Observe(world.now, NodeReported{"node-4", report});
  world.core.Observe(world.now, NodeLeft{"node-4", "boot", NodeLeft::How::kLost});
  const absl::Time later = world.now + policy.control.lost_after + absl::Seconds(1);
  world.core.Tick(later);
  EXPECT_EQ(world.core.fleet().Find("node-4")->state, NodeState::kLost);
  return Summarize(world.core.fleet(), policy, later).absent;
}

TEST(UnlistedNode, ThatDiedBeforeAnyListNamedItStillCountsAsAMachine) {
  EXPECT_EQ(AbsentAfterADeath("launch"), 4) << "three that are listed and lost, and this one";
  EXPECT_EQ(AbsentAfterADeath(""), 4) << "whoever launched it";
}

TEST(NodeThatNeverSpoke, CountsAsAMachineAfterARefusedTerminateThoughItsLatenessIsForgotten) {
  World world = Settled(LivePolicy());
  world.stuck["stuck"] = "launch";
  world.core.Observe(world.now, MachinesListed{{{"stuck", Machine::State::kRunning, "", "launch"}}});
  const Action terminate{.id = "end", .node = "stuck", .body = TerminateNode{}};
  world.core.Observe(world.now, ActionStarted{terminate});
  world.core.Observe(world.now, ActionFinished{.id = "end", .code = absl::StatusCode::kUnavailable, .node = "stuck"});
  EXPECT_EQ(world.core.fleet().Find("stuck")->state, NodeState::kJoining);
  world.broken = {"terminate"};
  world.Run(world.core.policy().nodes.launch_timeout + absl::Minutes(1));
  EXPECT_EQ(Summarize(world.core.fleet(), world.core.policy(), world.now).absent, 1);
}

// The budget, beside crashes.

TEST(Budget, WhatANodeWasToldToGiveUpIsNotGivenBackWhileMoreIsInUseThanThereIs) {
  World world = Settled(FixedNodes(900));
  for (int second = 0; second < 20; ++second) {
    FillAll(world);
    world.Run(absl::Seconds(1));
  }
  ASSERT_EQ(world.nodes["node-1"].limit, 300);
  // A fourth comes with 200 of its own; node-1 does as it is told, and its reports are lost.
  world.nodes["node-1"].silent = true;
  world.AddNode("node-4");
  world.Run(absl::Seconds(2));
  const int64_t told = world.nodes["node-1"].limit;
  ASSERT_LT(told, 300);
  world.Run(absl::Seconds(6));
  EXPECT_LE(world.nodes["node-1"].limit, told);
}

}  // namespace
}  // namespace headroom
