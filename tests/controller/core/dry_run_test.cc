#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "controller/core/nodes/learning.h"
#include "tests/controller/core/world.h"

// The fleet that a dry run thinks of, and the real one.

namespace headroom {
namespace {

Policy DryPolicy() {
  Policy policy = LivePolicy();
  policy.mode = Mode::kDryRun;
  return policy;
}

World DryWorld(int64_t demand, int nodes = 3) {
  World world(DryPolicy());
  for (int i = 1; i <= nodes; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Seconds(30), Spread(world, demand));
  return world;
}

enum class Change { kPolicy, kRestart, kOperator };
class DryRun : public testing::TestWithParam<Change> {
 protected:
  static void GoLive(World& world) {
    const Policy live = LivePolicy();
    if (GetParam() == Change::kRestart) world.core = Autoscaler::Load(DryPolicy(), world.core.Save());
    if (GetParam() == Change::kOperator)
      world.core.Observe(world.now, ModeChosen{Mode::kLive, Mode::kDryRun, "it was right", "op"});
    else
      world.core.Observe(world.now, PolicyChanged{live});
  }
};

TEST_P(DryRun, WhatItOnlyLaunchedIsNotThereWhenItBecomesReal) {
  World world = DryWorld(1100);
  world.Run(absl::Seconds(30), Spread(world, 1100));
  ASSERT_GT(world.core.fleet().nodes().size(), 3u);
  ASSERT_EQ(world.nodes.size(), 3u);
  GoLive(world);
  EXPECT_EQ(world.core.fleet().nodes().size(), 3u);
  world.Run(absl::Seconds(20), Spread(world, 1100));
  EXPECT_GT(world.nodes.size(), 3u) << "really launched";
  EXPECT_EQ(world.core.fleet().launch_failures().in_a_row, 0);
}

TEST_P(DryRun, WhatItOnlyRemovedCountsAgainWhenItBecomesReal) {
  World world = DryWorld(300, 6);
  world.Run(absl::Minutes(10), Spread(world, 300));
  ASSERT_LT(world.Last().effective_count, 6);
  ASSERT_EQ(world.nodes.size(), 6u);
  GoLive(world);
  for (const auto& [id, node] : world.core.fleet().nodes()) {
    EXPECT_EQ(node.state, NodeState::kServing) << id;
    EXPECT_FALSE(node.shadow_gone) << id;
  }
  world.Run(absl::Seconds(1), Spread(world, 300));
  EXPECT_EQ(world.decisions.back().effective_count, 6);
}

TEST_P(DryRun, ALaunchThatItHadUnderWayIsNoFailureLater) {
  World world = DryWorld(300);
  Action launch{"dry-launch", 1, "", {}, LaunchNode{""}};
  world.core.Observe(world.now, ActionStarted{launch});
  GoLive(world);
  EXPECT_FALSE(world.core.fleet().in_flight().contains("dry-launch"));
  world.Run(absl::Minutes(20), Spread(world, 300));
  EXPECT_EQ(world.core.fleet().launch_failures().in_a_row, 0);
  EXPECT_EQ(world.Last().effective_count, 3);
}

TEST_P(DryRun, WhatTurnedOutToBeThereStaysWhenItBecomesReal) {
  World world = DryWorld(300);
  const auto imagine = [&](const ActionId& launch) {
    world.core.Observe(world.now, ActionStarted{Action{launch, 1, "", {}, LaunchNode{""}}});
    ActionFinished done{launch};
    done.hypothetical = true;
    world.core.Observe(world.now, done);
  };
  imagine("joined");
  imagine("listed");
  NodeHello hello;
  hello.boot_id = "boot-1";
  hello.launch_id = "joined";
  world.core.Observe(world.now, NodeJoined{"new-9", hello});
  world.core.Observe(world.now, MachinesListed{{{"machine", Machine::State::kRunning, "", "listed"}}});
  GoLive(world);
  EXPECT_NE(world.core.fleet().Find("new-9"), nullptr);
  EXPECT_NE(world.core.fleet().Find("machine"), nullptr);
  EXPECT_EQ(world.core.fleet().nodes().size(), 5u);
}

TEST(DryRunFleet, ItsThoughtsDoNotMakeSignalsUnknown) {
  World world = DryWorld(900);
  world.Run(absl::Minutes(1), Spread(world, 900));
  ASSERT_GT(world.core.fleet().nodes().size(), 3u);
  EXPECT_TRUE(world.Last().demands.front().node_count.has_value());
}

TEST(DryRunFleet, ItRemovesMoreThanOneNode) {
  World world = DryWorld(300, 6);
  world.Run(absl::Minutes(30), Spread(world, 300));
  EXPECT_EQ(world.Last().effective_count, 3);
}

TEST(DryRunFleet, ANodeThatItRemovedAndThatReallyDiesIsLost) {
  World world = DryWorld(300, 6);
  world.Run(absl::Minutes(30), Spread(world, 300));
  int dead = 0;
  for (auto& [id, node] : world.nodes) {
    node.silent = world.core.fleet().Find(id)->shadow_gone;
    dead += node.silent ? 1 : 0;
  }
  ASSERT_EQ(dead, 3);
  world.Run(absl::Minutes(1), Spread(world, 300));
  for (const auto& [id, node] : world.nodes) {
    EXPECT_EQ(world.core.fleet().Find(id)->state == NodeState::kLost, node.silent) << id;
  }
  EXPECT_TRUE(world.Last().demands.front().node_count.has_value()) << "the others tell all that there is";
}

TEST(ModeChosen, HoldsOverReloadsAndRestartsUntilTheFileSaysSomethingElse) {
  World world = DryWorld(330);
  Autoscaler& core = world.core;
  core.Observe(world.now, ModeChosen{Mode::kLive, Mode::kDryRun, "it was right", "op"});
  ASSERT_EQ(core.policy().mode, Mode::kLive);
  Policy file = DryPolicy();
  file.nodes.max = 9;
  core.Observe(world.now, PolicyChanged{file});
  EXPECT_EQ(core.policy().mode, Mode::kLive);
  EXPECT_EQ(core.policy().nodes.max, 9);
  core = Autoscaler::Load(core.policy(), core.Save());
  core.Observe(world.now, PolicyChanged{file});
  EXPECT_EQ(core.policy().mode, Mode::kLive);

  file.mode = Mode::kLive;
  core.Observe(world.now, PolicyChanged{file});
  EXPECT_EQ(core.policy().mode, Mode::kLive);
  file.mode = Mode::kDryRun;
  core.Observe(world.now, PolicyChanged{file});
  EXPECT_EQ(core.policy().mode, Mode::kDryRun) << "what was said last counts";
}

TEST(ModeChosen, TheTrialTellsWhatTheDryRunWouldHaveDoneAndBeginsAnewWhenItIsOver) {
  World world = DryWorld(330);
  world.Run(absl::Seconds(30), Spread(world, 1100));
  const Trial trial = world.core.Save().trial;
  EXPECT_GT(trial.decisions, 50);
  EXPECT_GT(trial.launches, 1);
  EXPECT_GT(trial.raises, 0);
  EXPECT_EQ(trial.nodes_least, 3);
  EXPECT_EQ(trial.largest.before, 3);
  EXPECT_EQ(trial.largest.after, 8);
  world.core.Observe(world.now, ModeChosen{Mode::kLive, Mode::kDryRun, "it was right", "op"});
  EXPECT_EQ(world.core.Save().trial.decisions, 0);
}

TEST(Learning, AFreshControllerSaysWhatItLearnsAndForHowLong) {
  World world = DryWorld(330);
  const Learning learning = LearningOf(world.core, world.Last().demands, world.now);
  std::vector<std::string> open;
  for (const Reason& reason : learning.open) open.push_back(RenderReason(reason));
  EXPECT_EQ(open, (std::vector<std::string>{
                      "Forecast: 3h21m more; it has seen 0 slots.",
                      "Surge: 41m20s more before a rise of demand is judged.",
                      "Window: 31s more before anything may be removed.",
                      "Lead time: fewer than two launches were seen, the policy's 10s is taken.",
                  }));
  EXPECT_EQ(learning.total, 7) << "four signals, the window, the lead time and the usual latency";
  world.Run(absl::Minutes(1), Spread(world, 330));
  EXPECT_EQ(LearningOf(world.core, world.Last().demands, world.now).open.size(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Changes, DryRun, testing::Values(Change::kPolicy, Change::kRestart, Change::kOperator));

TEST(DryRunGrants, AreHeldByNobodyOnceANodeHasReported) {
  World world = DryWorld(1100);
  ASSERT_GE(world.ActionsOf("grant_limits").size(), 6U) << "each node twice at least";
  for (const char* id : {"node-1", "node-2", "node-3"}) {
    world.Report(id);
    EXPECT_GT(world.core.fleet().Find(id)->granted_count, 200) << id;
    EXPECT_EQ(world.core.fleet().Find(id)->passed_count, 0) << id;
  }
}

}  // namespace
}  // namespace headroom
