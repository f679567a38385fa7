#include <algorithm>
#include <cmath>
#include <string>

#include "gtest/gtest.h"

#include "tests/controller/core/world.h"

// What anomalies do to the number of nodes.

namespace headroom {
namespace {

Policy ThatLearnsFast() {
  Policy policy = LivePolicy();
  policy.nodes.min = 2;
  policy.nodes.lead_time = absl::Minutes(2);
  policy.nodes.stabilization = absl::Seconds(30);
  policy.nodes.cooldown = absl::Seconds(30);
  policy.anomaly.hold = absl::Minutes(15);
  return policy;
}

// Three nodes for three hours, with a demand that wavers a little.
World Watched(Policy policy = ThatLearnsFast()) {
  World world = ThreeNodes(std::move(policy));
  int second = 0;
  world.Run(absl::Hours(3), [&] { Spread(world, 330 + 8 * (second++ % 7))(); });
  return world;
}

const Verdict* Said(const Decision& decision, absl::string_view guard) {
  const auto found = std::find_if(decision.verdicts.begin(), decision.verdicts.end(),
                                  [&](const Verdict& verdict) { return verdict.guard == guard; });
  return found == decision.verdicts.end() ? nullptr : &*found;
}

size_t AnomalyAlarms(const Decision& decision) {
  return static_cast<size_t>(std::count_if(decision.alarms.begin(), decision.alarms.end(), [](const Reason& alarm) {
    return alarm.code == ReasonCode::kAlarmAnomaly;
  }));
}

const Demand& SurgeSignal(const Decision& decision) {
  return *std::find_if(decision.demands.begin(), decision.demands.end(),
                       [](const Demand& demand) { return demand.signal == "surge"; });
}

TEST(AnomalyPolicy, LoadThatVanishesTakesNoNodeAwayUntilItIsBelieved) {
  World world = Watched();
  ASSERT_EQ(world.nodes.size(), 3u);
  EXPECT_EQ(AnomalyAlarms(world.Last()), 0u);
  world.Run(absl::Minutes(14), Spread(world, 40));
  EXPECT_EQ(world.nodes.size(), 3u);
  const Verdict* verdict = Said(world.Last(), "anomaly");
  ASSERT_NE(verdict, nullptr);
  EXPECT_EQ(verdict->at_least, 3);
  EXPECT_FALSE(verdict->at_most.has_value());
  EXPECT_EQ(AnomalyAlarms(world.Last()), 1u) << "one of the cluster, however many series show it";
  world.Run(absl::Minutes(10), Spread(world, 40));
  EXPECT_EQ(world.nodes.size(), 2u) << "a level that holds is believed";
}

TEST(AnomalyPolicy, WithoutTheWatchTheSameLoadTakesANodeAwayAtOnce) {
  Policy policy = ThatLearnsFast();
  policy.anomaly.enabled = false;
  World world = Watched(policy);
  ASSERT_EQ(world.nodes.size(), 3u);
  world.Run(absl::Minutes(10), Spread(world, 40));
  EXPECT_EQ(world.nodes.size(), 2u);
}

TEST(AnomalyPolicy, ASurgeLetsGrowthBeginBeforeTheNodesAreFull) {
  absl::Duration began[2];
  for (const bool watched : {false, true}) {
    Policy policy = ThatLearnsFast();
    policy.anomaly.enabled = watched;
    policy.forecast.enabled = false;
    World world = Watched(policy);
    const absl::Time onset = world.now;
    double demand = 354;
    while (world.ActionsOf("launch").empty() && world.now - onset < absl::Minutes(10)) {
      world.Run(absl::Seconds(1), [&] {
        demand += 1;
        Spread(world, static_cast<int64_t>(demand))();
      });
    }
    began[watched ? 1 : 0] = world.now - onset;
    ASSERT_FALSE(world.ActionsOf("launch").empty());
  }
  EXPECT_LT(began[1], began[0]);
}

TEST(AnomalyPolicy, AQuietClusterAsksForNothingOnTheseGrounds) {
  const World world = Watched();
  const Demand& surge = SurgeSignal(world.Last());
  EXPECT_EQ(surge.node_count, 0.0);
  EXPECT_EQ(surge.reason.code, ReasonCode::kSignalNoSurge);
}

// Twelve nodes of which five would do, and which a hold keeps for one more minute.
World Oversized() {
  Policy policy = ThatLearnsFast();
  policy.nodes.max = 20;
  policy.control.lost_after = absl::Minutes(30);
  World world(std::move(policy));
  for (int i = 1; i <= 12; ++i) world.AddNode("node-" + std::to_string(i));
  world.core.Observe(world.now, HoldChanged{HoldDirection::kDown, world.now + absl::Minutes(21), "test", "test"});
  world.Run(absl::Minutes(20), Spread(world, 500));
  return world;
}

TEST(AnomalyPolicy, ASilentNodeForbidsShrinkingAndNeverHoldsGrowthBack) {
  for (const bool silent : {false, true}) {
    World world = Oversized();
    world.nodes["node-2"].silent = silent;
    world.Run(absl::Seconds(10), Spread(world, 500));
    EXPECT_EQ(AnomalyAlarms(world.Last()), silent ? 1u : 0u);
    world.Run(absl::Minutes(4), Spread(world, 500));  // not so long that silence is usual
    EXPECT_EQ(world.ActionsOf("drain").empty(), silent);
    if (!silent) continue;
    const Verdict* verdict = Said(world.Last(), "anomaly");
    ASSERT_NE(verdict, nullptr);
    EXPECT_EQ(verdict->at_least, 12);
    EXPECT_FALSE(verdict->at_most.has_value());
    ASSERT_TRUE(world.ActionsOf("launch").empty());
    world.Run(absl::Minutes(1), Spread(world, 3000));
    EXPECT_FALSE(world.ActionsOf("launch").empty());
  }
}

}  // namespace
}  // namespace headroom
