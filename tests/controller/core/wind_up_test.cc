#include <algorithm>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// Two actuators that answer one demand must not add up: limits absorb a surge at once, and what they absorbed must not
// be asked for again as nodes. In a quick model that steered on granted limits, five nodes became thirty-two.

namespace headroom {
namespace {

Policy RoomyPolicy() {
  Policy policy = LivePolicy();
  policy.nodes.min = 5;
  policy.nodes.max = 100;
  policy.nodes.stabilization = absl::Minutes(5);
  policy.nodes.cooldown = absl::Minutes(10);
  policy.nodes.lead_time = absl::Minutes(1);
  return policy;
}

World FiveNodes(Policy policy = RoomyPolicy()) {
  World world(std::move(policy));
  for (int i = 1; i <= 5; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Minutes(2), Spread(world, 600));
  return world;
}

// Nodes that a demand needs at 200 connections each, filled to 0.7.
size_t Needed(int64_t demand) {
  return static_cast<size_t>((demand + 139) / 140);
}

size_t MostNodes(World& world, absl::Duration time, const std::function<void()>& spread) {
  size_t most = 0;
  for (absl::Duration run; run < time; run += absl::Seconds(5)) {
    world.Run(absl::Seconds(5), spread);
    most = std::max(most, world.nodes.size() + world.stuck.size());
  }
  return most;
}

TEST(WindUp, ASurgeThatLimitsAbsorbedIsNotAskedForTwice) {
  World world = FiveNodes();
  const size_t most = MostNodes(world, absl::Minutes(20), Spread(world, 1500));
  EXPECT_GE(most, Needed(1500));
  EXPECT_LE(most, Needed(1500) + 1) << "raised limits must not count as demand";
}

TEST(WindUp, LimitsThatLagBehindAfterTheSurgeKeepNobody) {
  World world = FiveNodes();
  world.Run(absl::Minutes(10), Spread(world, 1500));
  world.Run(absl::Minutes(1), Spread(world, 600));
  const bool lags =
      std::any_of(world.nodes.begin(), world.nodes.end(), [](const auto& node) { return node.second.limit > 200; });
  EXPECT_TRUE(lags) << "a limit is a peak-hold";
  world.Run(absl::Hours(2), Spread(world, 600));
  EXPECT_EQ(world.nodes.size(), Needed(600 * 11 / 10));
}

TEST(WindUp, AFleetWhoseNewNodesStayEmptyDoesNotGrowForThem) {
  World world = FiveNodes();
  const size_t most = MostNodes(world, absl::Minutes(20), [&world] {
    for (auto& [id, node] : world.nodes) {  // sticky clients: all stays with the five
      node.open = id.rfind("node-", 0) == 0 ? std::min<int64_t>(300, node.limit) : 0;
    }
  });
  EXPECT_LE(most, 18u) << "1,500 connections need 11 nodes, and a skew is worth half as many again at most";
}

TEST(WindUp, NodesThatAreStillComingAreCountedAsThere) {
  World world = FiveNodes();
  world.launches_stick = 100;
  world.Run(absl::Seconds(50), Spread(world, 1500));
  EXPECT_LE(world.ActionsOf("launch").size(), Needed(1500) - 5);
}

TEST(WindUp, ABudgetThatHoldsLimitsDownDoesNotHoldNodesDownOrUp) {
  Policy policy = RoomyPolicy();
  policy.limits.budget_count = 1400;
  World world = FiveNodes(policy);
  const size_t most = MostNodes(world, absl::Minutes(10), Spread(world, 1500));
  EXPECT_LE(most, Needed(1500 + 11 * 130)) << "those who wait in queues are demand, not more than once";
}

TEST(WindUp, AWaveThatComesAndGoesDoesNotPumpTheFleetUp) {
  World world = FiveNodes();
  size_t most = 0;
  for (int wave = 0; wave < 20; ++wave) {
    most = std::max(most, MostNodes(world, absl::Minutes(2), Spread(world, 1500)));
    most = std::max(most, MostNodes(world, absl::Minutes(2), Spread(world, 600)));
  }
  EXPECT_LE(most, Needed(1500) + 1);
}

TEST(Cooldown, IsLongerTheMoreOfTheFleetWasAdded) {
  ScaleMemory scale;
  const NodePolicy policy = RoomyPolicy().nodes;
  const absl::Time grown_at = absl::FromUnixSeconds(1'700'000'000);
  for (const auto& [ratio, minutes] :
       std::vector<std::pair<double, int>>{{0.02, 1}, {0.1, 1}, {0.5, 5}, {1, 10}, {3, 10}}) {
    scale.growths = {{grown_at, ratio}};
    EXPECT_EQ(GrowthCoolsUntil(scale, policy) - grown_at, absl::Minutes(minutes)) << ratio;
  }
}

TEST(Cooldown, NeverDelaysGrowth) {
  World world = FiveNodes();
  world.Run(absl::Seconds(70), Spread(world, 1300));
  ASSERT_EQ(world.nodes.size(), 10u);
  ASSERT_GT(GrowthCoolsUntil(world.core.Save().scale, world.core.policy().nodes), world.now + absl::Minutes(5));
  world.Run(absl::Seconds(70), Spread(world, 2000));
  EXPECT_EQ(world.nodes.size(), Needed(2000));
}

// A rolling update that starts each new server before it stops the old one.
TEST(RollingUpdate, SurgeNodesAreNotCountedTwice) {
  Policy policy = RoomyPolicy();
  policy.nodes.max = 6;
  World world(policy);
  for (int i = 1; i <= 5; ++i) world.AddNode("old-" + std::to_string(i));
  world.broken.insert("list");  // someone else's machines: no provider knows their names
  world.Run(absl::Minutes(11), Spread(world, 600));
  const size_t began = world.decisions.size();
  for (int i = 1; i <= 5; ++i) {
    world.AddNode("new-server-" + std::to_string(i));
    world.Run(absl::Seconds(20), Spread(world, 600));
    const NodeId old = "old-" + std::to_string(i);
    world.core.Observe(world.now, NodeLeft{old, world.nodes[old].boot, NodeLeft::How::kStopping});
    world.nodes.erase(old);
    world.Run(absl::Seconds(20), Spread(world, 600));
  }
  world.Run(absl::Minutes(5), Spread(world, 600));
  for (size_t i = began; i < world.decisions.size(); ++i) {
    for (const Reason& alarm : world.decisions[i].alarms) {
      EXPECT_NE(alarm.code, ReasonCode::kAlarmNodeLost);
      EXPECT_NE(alarm.code, ReasonCode::kAlarmAtMax);
    }
  }
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  EXPECT_EQ(world.core.fleet().nodes().size(), 5u);
}

TEST(RollingUpdate, NodesThatAFleetBeginsWithAreNoNewcomersToIt) {
  Policy policy = RoomyPolicy();
  policy.nodes.min = 1;
  policy.nodes.stabilization = absl::Seconds(10);
  policy.nodes.cooldown = absl::ZeroDuration();
  World world(policy);
  for (int i = 1; i <= 5; ++i) world.AddNode("node-" + std::to_string(i));
  world.Run(absl::Seconds(90), Spread(world, 130));
  EXPECT_LT(world.nodes.size(), 5u) << "within restart_grace: nobody updates a fleet that has just begun";
}

}  // namespace
}  // namespace headroom
