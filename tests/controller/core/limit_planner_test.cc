#include "controller/core/limit_planner.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/controller/core/world.h"

namespace headroom {
namespace {

Policy ThreeFixedNodes() {
  Policy policy = LivePolicy();
  policy.nodes.max = 3;
  return policy;
}

void Fill(World& world, int64_t open, int64_t queue) {
  for (auto& [id, node] : world.nodes) {
    node.open = std::min(open, node.limit);
    node.queue = queue;
  }
}

World SettledNodes(Policy policy = ThreeFixedNodes()) {
  World world(std::move(policy));
  for (const char* id : {"node-1", "node-2", "node-3"}) world.AddNode(id);
  world.Run(absl::Seconds(20));
  return world;
}

int64_t LimitOf(const World& world, const NodeId& id) {
  return world.core.fleet().Find(id)->limit.limit_count;
}

// Grants of the next seconds that change something, with ticks between the reports.
int CountChanges(World& world, int seconds) {
  int changes = 0;
  const auto count = [&changes](const Decision& decision) {
    for (const Action& action : decision.actions) {
      const auto* grant = std::get_if<GrantLimits>(&action.body);
      if (grant != nullptr && !grant->renewal) ++changes;
    }
  };
  for (int i = 0; i < seconds; ++i) {
    const size_t before = world.decisions.size();
    world.Run(absl::Seconds(1));
    for (size_t k = before; k < world.decisions.size(); ++k) count(world.decisions[k]);
    count(world.core.Tick(world.now += absl::Milliseconds(50)));
  }
  return changes;
}

TEST(LimitPlanner, TheIdleTimeoutStandsStillUnderAFixedLimit) {
  World world = SettledNodes();
  for (const auto& [id, node] : world.nodes)
    world.core.Observe(world.now, NodeLimitFixed{id, 200, absl::InfiniteFuture(), "test", "me"});
  Fill(world, 200, 0);
  world.Run(absl::Seconds(3));
  EXPECT_EQ(CountChanges(world, 5), 0);
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_idle_timeout, absl::Seconds(5));
}

TEST(LimitPlanner, TheIdleTimeoutStandsStillUnderAHoldUp) {
  World world = SettledNodes();
  world.core.Observe(world.now, HoldChanged{HoldDirection::kUp, absl::InfiniteFuture(), "test", "me"});
  Fill(world, 200, 0);
  world.Run(absl::Seconds(3));
  EXPECT_EQ(CountChanges(world, 5), 0);
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_idle_timeout, absl::Seconds(5));
}

TEST(LimitPlanner, TheIdleTimeoutStandsStillUnderABudget) {
  Policy policy = ThreeFixedNodes();
  policy.limits.budget_count = 600;
  World world = SettledNodes(policy);
  Fill(world, 200, 0);
  world.Run(absl::Seconds(3));
  EXPECT_EQ(CountChanges(world, 5), 0);
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_idle_timeout, absl::Seconds(5));
}

TEST(LimitPlanner, ABudgetThatBindsStaysSaidBetweenReports) {
  Policy policy = ThreeFixedNodes();
  policy.limits.budget_count = 600;
  World world = SettledNodes(policy);
  Fill(world, 200, 50);
  world.Run(absl::Seconds(3));
  const Decision between = world.core.Tick(world.now += absl::Milliseconds(50));
  ASSERT_EQ(between.limits.size(), 3u);
  for (const LimitDecision& limit : between.limits) {
    EXPECT_EQ(limit.bound_by, Ceiling::kBudget);
    EXPECT_EQ(limit.reason.code, ReasonCode::kLimitBudget);
  }
}

TEST(LimitPlanner, EqualDemandsShareABudgetEquallyWhoeverTellsFirst) {
  Policy policy = LivePolicy();
  policy.nodes.min = policy.nodes.max = 2;
  policy.limits.budget_count = 500;
  World world(policy);
  for (const char* id : {"node-1", "node-2"}) world.AddNode(id);
  world.Run(absl::Seconds(20));
  bool first = true;
  for (int second = 0; second < 30; ++second) {
    Fill(world, 400, 100);
    world.nodes["node-1"].silent = first;
    world.nodes["node-2"].silent = !first;
    first = !first;
    world.Run(absl::Seconds(1));
    EXPECT_LE(world.nodes["node-1"].limit + world.nodes["node-2"].limit, 500);
    if (second < 10) continue;
    EXPECT_EQ(world.nodes["node-1"].limit, 250) << "after " << second << " s";
    EXPECT_EQ(world.nodes["node-2"].limit, 250) << "after " << second << " s";
  }
  for (const Action& action : world.ActionsOf("grant_limits")) {
    const auto& grant = std::get<GrantLimits>(action.body);
    if (grant.connection_count_max == 200 || grant.renewal) continue;  // the first one changes nothing
    EXPECT_NE(action.reason.code, ReasonCode::kLimitRenewed);
  }
}

TEST(LimitPlanner, AReconnectIsNoSecondBadReport) {
  World world = SettledNodes();
  Fill(world, 190, 0);
  world.nodes["node-1"].latency = absl::Seconds(1);
  world.Run(absl::Seconds(1));
  const int64_t limit = LimitOf(world, "node-1");
  ASSERT_EQ(world.core.fleet().Find("node-1")->limit.unhealthy_count, 1);
  world.core.Observe(world.now += absl::Milliseconds(100), NodeLeft{"node-1", "boot-1", NodeLeft::How::kLost});
  world.Join("node-1");
  world.core.Tick(world.now += absl::Milliseconds(100));
  EXPECT_EQ(LimitOf(world, "node-1"), limit);
}

TEST(LimitPlanner, OneBadReportIsOneStepHoweverManyTicksLookAtIt) {
  World world = SettledNodes();
  Fill(world, 190, 40);
  for (auto& [id, node] : world.nodes) node.latency = absl::Seconds(1);
  world.Run(absl::Seconds(1));
  const int64_t limit = LimitOf(world, "node-1");
  for (int i = 0; i < 20; ++i) world.core.Tick(world.now += absl::Milliseconds(50));
  EXPECT_EQ(LimitOf(world, "node-1"), limit) << "nothing new was heard";
}

TEST(LimitPlanner, ANodeThatGoesQuietAfterABadReportIsNotCutOnStaleData) {
  World world = SettledNodes();
  Fill(world, 190, 0);
  world.nodes["node-1"].latency = absl::Seconds(1);
  world.Run(absl::Seconds(1));
  world.nodes["node-1"].silent = true;
  world.Run(absl::Seconds(25));
  EXPECT_GE(LimitOf(world, "node-1"), 200);
}

TEST(LimitPlanner, AReconnectDoesNotMakeOldNewsNew) {
  Policy policy = ThreeFixedNodes();
  policy.limits.law.decay_after = absl::Seconds(1);
  policy.limits.law.decay_half_life = absl::Minutes(1);
  policy.limits.peak_window = absl::Seconds(5);
  World world = SettledNodes(policy);
  Fill(world, 200, 50);
  world.Run(absl::Seconds(5));
  Fill(world, 20, 0);
  world.Run(absl::Seconds(8));
  const int64_t limit = LimitOf(world, "node-1");
  ASSERT_GT(limit, 200);
  world.Report("node-1");  // its last word: no tick sees it before the stream breaks
  world.nodes["node-1"].silent = true;
  world.core.Observe(world.now, NodeLeft{"node-1", "boot-1", NodeLeft::How::kLost});
  world.Run(absl::Seconds(15));
  world.Join("node-1");
  world.Run(absl::Seconds(3));
  EXPECT_GE(LimitOf(world, "node-1"), limit);
}

TEST(LimitPlanner, ASilentNodeKeepsItsShareOfTheBudget) {
  Policy policy = LivePolicy();
  policy.nodes.min = policy.nodes.max = 2;
  policy.limits.budget_count = 500;
  World world(policy);
  world.AddNode("node-1");
  world.Run(absl::Seconds(5));
  world.nodes["node-1"].open = 300;
  world.nodes["node-1"].limit = 300;
  world.Run(absl::Seconds(5));
  const int64_t limit = LimitOf(world, "node-1");
  ASSERT_GE(limit, 300);
  world.nodes["node-1"].silent = true;
  world.Run(absl::Seconds(8));
  World::FakeNode busy;
  busy.open = 200;
  busy.queue = 100;
  world.AddNode("node-2", busy);
  world.Run(absl::Seconds(8));
  EXPECT_GE(LimitOf(world, "node-1"), limit) << "what it needs is not known";
  EXPECT_LE(LimitOf(world, "node-1") + LimitOf(world, "node-2"), 500);
}

TEST(LimitPlanner, ABindingCeilingStaysSaidBetweenReports) {
  Policy policy = ThreeFixedNodes();
  policy.limits.law.ceiling_count = 200;
  World world = SettledNodes(policy);
  Fill(world, 200, 50);
  world.Run(absl::Seconds(3));
  const Decision between = world.core.Tick(world.now += absl::Milliseconds(50));
  EXPECT_TRUE(std::any_of(between.alarms.begin(), between.alarms.end(),
                          [](const Reason& alarm) { return alarm.code == ReasonCode::kAlarmCeiling; }));
}

// An even load has a correlation of work and throughput that wavers around zero, the more the fewer samples there are:
// that is no plateau.
class UnderAnEvenLoad : public ::testing::TestWithParam<int> {};

TEST_P(UnderAnEvenLoad, SlotsFullOfIdleConnectionsAreAlwaysRaised) {
  for (int seed = 1; seed <= 20; ++seed) {
    World world(ThreeFixedNodes());
    for (const char* id : {"node-1", "node-2", "node-3"}) world.AddNode(id);
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    const auto roll = [&random](uint64_t sides) { return static_cast<int64_t>(random() % sides); };
    for (int second = 0; second < GetParam(); ++second) {
      world.Run(absl::Seconds(1), [&] {
        for (auto& [id, node] : world.nodes) {
          node.active = 4 + roll(5);
          node.requests_per_second = static_cast<double>(90 + roll(21));
        }
      });
    }
    Fill(world, 200, 60);
    world.Run(absl::Seconds(1));
    for (const auto& [id, node] : world.nodes) EXPECT_GT(node.limit, 200) << id << " with seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, UnderAnEvenLoad, ::testing::Values(12, 30, 60, 200));

TEST(LimitPlanner, TheFirstReportOfAProcessTellsNoThroughputAndVetoesNoRaise) {
  World world(ThreeFixedNodes());
  for (const char* id : {"node-1", "node-2", "node-3"}) world.AddNode(id, {.active = 40});
  world.Run(absl::Seconds(1));
  for (auto& [id, node] : world.nodes) node.active = 5;
  world.Run(absl::Minutes(2));
  Fill(world, 200, 60);
  world.Run(absl::Seconds(1));
  for (const auto& [id, node] : world.nodes) EXPECT_GT(node.limit, 200) << id;
}

TEST(LimitPlanner, WhileMoreIsInUseThanThereIsNobodyIsToldAgainToTakeARaiseThatItMissed) {
  Policy policy = ThreeFixedNodes();
  policy.limits.budget_count = 700;
  World world = SettledNodes(policy);
  world.nodes["node-1"].hears_grants = false;
  world.nodes["node-1"].open = 200;
  world.Run(absl::Seconds(2));
  ASSERT_EQ(world.core.fleet().Find("node-1")->granted_count, 300);
  world.Run(absl::Seconds(2), [&world] {
    for (const char* id : {"node-2", "node-3"}) world.nodes[id].limit = 300;  // by hand, at the servers themselves
  });
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_count, 200);
}

TEST(LimitPlanner, ANodeWhoseStreamBrokeKeepsItsShareOfTheBudget) {
  Policy policy = ThreeFixedNodes();
  policy.limits.budget_count = 900;
  World world = SettledNodes(policy);
  for (int i = 0; i < 20; ++i) {
    Fill(world, 400, 100);
    world.Run(absl::Seconds(1));
  }
  ASSERT_EQ(world.nodes["node-1"].limit, 300);
  world.nodes["node-1"].silent = true;
  world.core.Observe(world.now, NodeLeft{"node-1", "boot-1", NodeLeft::How::kLost});
  for (int i = 0; i < 25; ++i) {
    Fill(world, 900, 100);
    world.Run(absl::Seconds(1));
    int64_t sum = 0;
    for (const auto& [id, node] : world.nodes) sum += node.limit;
    ASSERT_LE(sum, 900) << "after " << i << " s";
  }
}

TEST(LimitPlanner, ABudgetThatIsHeldByLostNodesNeverCutsTheOthersToNothing) {
  World world = SettledNodes();
  Fill(world, 190, 0);
  world.Run(absl::Seconds(20));
  Policy policy = ThreeFixedNodes();
  policy.limits.budget_count = 100;
  world.core.Observe(world.now, PolicyChanged{policy});
  world.nodes["node-1"].silent = true;
  world.core.Observe(world.now, NodeLeft{"node-1", "boot-1", NodeLeft::How::kLost});
  world.Run(absl::Seconds(5));
  const int64_t least = world.nodes["node-2"].active + policy.limits.law.reserve_count;
  EXPECT_GE(world.nodes["node-2"].limit, least);
  EXPECT_GE(world.nodes["node-3"].limit, least);
}

TEST(LimitPlanner, ANodeThatNumbersNoGrantsConfirmsByHavingNoMoreThanItWasGranted) {
  World world = SettledNodes(ThreeFixedNodes());
  world.nodes["node-1"].numbers_grants = false;
  world.nodes["node-1"].report.limits = {};
  for (int i = 0; i < 20; ++i) {
    Fill(world, 400, 100);
    world.Run(absl::Seconds(1), [&world] { world.nodes["node-1"].limit = 220; });  // a ceiling of its own
  }
  ASSERT_GT(world.core.fleet().Find("node-1")->granted_count, 220);
  EXPECT_EQ(world.core.fleet().Find("node-1")->passed_count, 0) << "the budget would count it for ever";
}

TEST(LimitPlanner, WhatANodeHadBeforeItsFirstGrantsCameConfirmsNoneOfThem) {
  World world(ThreeFixedNodes());
  world.AddNode("node-1", {.open = 190, .queue = 100, .hears_grants = false});
  world.Run(absl::Seconds(2));
  const int64_t raised = world.core.fleet().Find("node-1")->granted_count;
  ASSERT_GT(raised, 300);
  world.core.Observe(world.now, NodeLimitFixed{"node-1", 220, absl::InfiniteFuture(), "test", "me"});
  world.Run(absl::Seconds(3));
  const Node& node = *world.core.fleet().Find("node-1");
  ASSERT_EQ(node.granted_count, 220);
  EXPECT_EQ(node.passed_count, raised) << "both grants may be on their way, and the stream may break between them";
  world.Run(absl::Seconds(6));
  EXPECT_EQ(node.passed_count, 0) << "it has been told, and keeps to less";
}

TEST(LimitPlanner, AServerThatTakesNoLimitsIsGrantedNone) {
  World world(ThreeFixedNodes());
  NodeHello hello;
  hello.boot_id = "boot-1";
  hello.capabilities = {"drain"};
  hello.configured_count_max = hello.limits.connection_count_max = 200;
  world.core.Observe(world.now, NodeJoined{"node-1", hello});
  world.nodes["node-1"] = {};
  Fill(world, 200, 50);
  world.Run(absl::Seconds(5));
  ASSERT_TRUE(world.core.fleet().Find("node-1")->ready);
  for (const Action& action : world.ActionsOf("grant_limits")) EXPECT_NE(action.node, "node-1");
}

}  // namespace
}  // namespace headroom
