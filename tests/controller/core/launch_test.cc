#include <algorithm>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// How nodes come, or do not.

namespace headroom {
namespace {

bool Alarms(const World& world, ReasonCode code) {
  const std::vector<Reason>& alarms = world.Last().alarms;
  return std::any_of(alarms.begin(), alarms.end(), [&](const Reason& reason) { return reason.code == code; });
}

TEST(Launch, OneThatIsStuckAndCannotBeRemovedFailsOnceAndDoesNotEndAllGrowth) {
  Policy policy = LivePolicy();
  policy.nodes.data = DataPlacement::kBearing;
  policy.nodes.launch_timeout = absl::Minutes(1);
  World world = ThreeNodes(policy);
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.launches_stick = 1;
  world.Run(absl::Minutes(3), Spread(world, 500));
  EXPECT_EQ(world.core.fleet().launch_failures().in_a_row, 0) << "the next one came up";
  EXPECT_TRUE(world.core.fleet().Find("new-1")->launch_failed);
  EXPECT_TRUE(Alarms(world, ReasonCode::kAlarmLaunchStuck));
  EXPECT_EQ(world.ActionsOf("launch").size(), 2u) << "the stuck one is no capacity";
  world.Run(absl::Minutes(2), Spread(world, 3000));
  EXPECT_EQ(world.nodes.size() + 1, 8u) << "grows to max, the stuck machine included";
}

TEST(Launch, AMachineThatNeverServedIsNotTakenBackAsCapacityWhenItsTerminateFailed) {
  Policy policy = LivePolicy();
  policy.nodes.launch_timeout = absl::Minutes(1);
  World world = ThreeNodes(policy);
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.launches_stick = 1;
  world.broken.insert("terminate");
  world.Run(absl::Minutes(2), Spread(world, 500));
  ASSERT_EQ(world.core.fleet().Find("new-1")->state, NodeState::kJoining);
  world.Run(absl::Minutes(2), Spread(world, 1400));
  EXPECT_TRUE(world.ActionsOf("cancel_drain").empty());
  world.broken.clear();
  world.Run(absl::Minutes(1), Spread(world, 1400));
  EXPECT_EQ(world.core.fleet().Find("new-1"), nullptr) << "it is still removed";
  EXPECT_TRUE(world.stuck.empty());
}

TEST(Launch, OneThatAnOperatorDrainsBeforeItServesIsNotAwaited) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(20), Spread(world, 330));
  world.launches_stick = 1;
  world.Run(absl::Seconds(3), Spread(world, 470));
  ASSERT_EQ(world.Last().effective_count, 4);
  world.core.Observe(world.now, DrainRequested{"new-1", true, "the wrong image", "ann"});
  world.Run(absl::Seconds(3), Spread(world, 470));
  EXPECT_EQ(world.nodes.size(), 4u) << "another one is launched in its stead";
  EXPECT_EQ(world.Last().effective_count, 4);
}

TEST(Launch, AMachineThatServesAfterItsTerminateFailedIsLeftAlone) {
  Policy policy = LivePolicy();
  policy.nodes.launch_timeout = absl::Minutes(1);
  World world = ThreeNodes(policy);
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.launches_stick = 1;
  world.broken.insert("terminate");
  world.Run(absl::Minutes(2), Spread(world, 500));
  const size_t asked = world.ActionsOf("terminate").size();
  ASSERT_GE(asked, 1u);
  world.stuck.clear();
  world.AddNode("new-1");  // it was slow
  world.broken.clear();
  world.Run(absl::Minutes(1), Spread(world, 640));
  EXPECT_EQ(world.ActionsOf("terminate").size(), asked);
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  EXPECT_EQ(world.core.fleet().Find("new-1")->state, NodeState::kServing);
}

TEST(Launch, AMachineOfOthersThatNeverSpeaksIsNoCapacityForEverAndIsNotTerminated) {
  Policy policy = LivePolicy();
  policy.nodes.launch_timeout = absl::Minutes(1);
  World world = ThreeNodes(policy);
  world.stuck["foreign"] = "";
  world.Run(absl::Seconds(45), Spread(world, 330));
  ASSERT_EQ(world.Last().effective_count, 4);
  world.Run(absl::Minutes(2), Spread(world, 330));
  EXPECT_EQ(world.Last().effective_count, 3);
  EXPECT_TRUE(Alarms(world, ReasonCode::kAlarmLaunchStuck));
  EXPECT_TRUE(world.ActionsOf("terminate").empty());
  EXPECT_EQ(world.core.fleet().launch_failures().in_a_row, 0) << "it was nobody's launch here";
}

TEST(Launch, AFleetAboveItsMaxThatWouldLikeToBeSmallerIsNotCapped) {
  Policy policy = LivePolicy();
  policy.nodes.max = 3;
  policy.nodes.data = DataPlacement::kBearing;
  policy.latency.objective = absl::Milliseconds(200);  // half of it is met: one node fewer, of five
  World world(policy);
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5"}) world.AddNode(id);
  world.Run(absl::Minutes(2), Spread(world, 330));
  EXPECT_FALSE(Alarms(world, ReasonCode::kAlarmAtMax));
}

TEST(Provider, OneThatIsDownIsAskedMoreAndMoreSeldom) {
  World world = ThreeNodes();
  world.broken.insert("list");
  world.Run(absl::Minutes(2), Spread(world, 330));
  EXPECT_GE(world.ActionsOf("list").size(), 5u);
  EXPECT_LE(world.ActionsOf("list").size(), 10u);
  EXPECT_TRUE(Alarms(world, ReasonCode::kAlarmProvider));
  world.broken.clear();
  world.Run(absl::Minutes(1), Spread(world, 330));
  EXPECT_NE(world.core.fleet().last_listed_at(), absl::InfinitePast());
}

TEST(Provider, AnEmptyNodeThatItDoesNotTerminateIsTriedMoreAndMoreSeldom) {
  World world = ThreeNodes();
  for (const char* id : {"node-4", "node-5"}) world.AddNode(id);
  world.broken.insert("terminate");
  world.Run(absl::Minutes(10), Spread(world, 250));
  ASSERT_FALSE(world.ActionsOf("drain").empty());
  EXPECT_GE(world.ActionsOf("terminate").size(), 5u);
  EXPECT_LE(world.ActionsOf("terminate").size(), 30u);
  world.broken.clear();
  world.Run(absl::Minutes(1), Spread(world, 250));
  EXPECT_LT(world.nodes.size(), 5u);
}

ActionFinished Launched(const ActionId& launch, const NodeId& node) {
  ActionFinished done{launch};
  done.node = node;
  return done;
}

TEST(Launch, AListThatWasMadeBeforeItDoesNotDeleteIt) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  Autoscaler& core = world.core;
  MachinesListed before;
  for (const auto& [id, node] : world.nodes) before.machines.push_back({id, Machine::State::kRunning, "", ""});
  core.Observe(world.now, ActionStarted{{"the-list", 1, "", {}, ListMachines{}}});
  world.now += absl::Milliseconds(10);
  core.Observe(world.now, ActionStarted{{"the-launch", 1, "", {}, LaunchNode{}}});
  core.Observe(world.now, Launched("the-launch", "fresh"));
  world.now += absl::Milliseconds(10);
  core.Observe(world.now, before);
  core.Observe(world.now, ActionFinished{"the-list"});
  ASSERT_NE(core.fleet().Find("fresh"), nullptr);
  EXPECT_EQ(core.fleet().launch_failures().in_a_row, 0);
  core.Observe(world.now += absl::Minutes(1), before);  // and this one was made after it
  EXPECT_EQ(core.fleet().Find("fresh"), nullptr);
}

TEST(Launch, ANodeThatJoinedWithoutTheNameOfItsLaunchIsNotCountedTwice) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  world.core.Observe(world.now, ActionStarted{{"the-launch", 1, "", {}, LaunchNode{}}});
  world.AddNode("node-4");
  world.core.Observe(world.now, Launched("the-launch", "node-4"));
  EXPECT_EQ(world.core.fleet().nodes().size(), 4u);
  EXPECT_EQ(world.core.fleet().Find("node-4")->launch_id, "the-launch");
}

TEST(Launch, AMachineThatSpokeBeforeAnybodyNamedItsLaunchIsThatLaunch) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  Autoscaler& core = world.core;
  core.Observe(world.now, ActionStarted{{"the-launch", 1, "", {}, LaunchNode{}}});
  core.Observe(world.now, Launched("the-launch", ""));  // a Deployment: its pod has no name yet
  world.now += absl::Seconds(9);
  world.AddNode("files-7d9f-x2vqc");
  world.Report("files-7d9f-x2vqc");
  ASSERT_EQ(core.fleet().nodes().size(), 5u) << "it may be somebody else's";
  const std::vector<Action> asked = core.Tick(world.now).actions;
  EXPECT_TRUE(std::any_of(asked.begin(), asked.end(), [](const Action& action) {
    return ActionKind(action) == "list";
  })) << "that is asked at once: until then it is counted twice";
  MachinesListed listed;
  for (const auto& [id, node] : world.nodes) listed.machines.push_back({id, Machine::State::kRunning, "", ""});
  listed.machines.front().launch_id = "the-launch";
  ASSERT_EQ(listed.machines.front().node, "files-7d9f-x2vqc");
  core.Observe(world.now += absl::Milliseconds(20), listed);
  EXPECT_EQ(core.fleet().nodes().size(), 4u);
  EXPECT_EQ(core.fleet().Find("files-7d9f-x2vqc")->launch_id, "the-launch");
  EXPECT_EQ(core.fleet().launch_failures().in_a_row, 0);
  core.Observe(world.now, ActionStarted{{"another", 1, "", {}, LaunchNode{}}});
  core.Observe(world.now += absl::Seconds(8), Launched("another", "node-5"));
  world.AddNode("node-5");
  world.Report("node-5");
  EXPECT_EQ(core.fleet().learned_lead_time(), absl::Seconds(9)) << "how long it took is learned as of any other";
}

TEST(Launch, OfTwoTheSlowerOneIsTheLeadTime) {
  World world(LivePolicy());
  for (const auto& [id, took] : {std::pair{"fast", absl::Seconds(60)}, {"slow", absl::Seconds(300)}}) {
    const ActionId launch = absl::StrCat("launch-of-", id);
    world.core.Observe(world.now, ActionStarted{{launch, 1, "", {}, LaunchNode{}}});
    world.core.Observe(world.now, Launched(launch, id));
    world.now += took;
    world.AddNode(id);
    world.Report(id);
  }
  EXPECT_EQ(world.core.fleet().learned_lead_time(), absl::Seconds(300));
}

TEST(Launch, OneWhoseMachineIsStillToComeIsNoNodeOfItsOwn) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(5), Spread(world, 330));
  const size_t before = world.core.fleet().nodes().size();
  world.core.Observe(world.now, MachinesListed{{{.node = "a", .state = Machine::State::kRunning},
                                                {.state = Machine::State::kStarting, .launch_id = "test-1-7-0"}}});
  EXPECT_EQ(world.core.fleet().Find(""), nullptr);
  EXPECT_LE(world.core.fleet().nodes().size(), before + 1);
}

}  // namespace
}  // namespace headroom
