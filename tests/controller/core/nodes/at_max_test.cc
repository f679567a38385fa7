#include "controller/core/nodes/at_max.h"

#include <gtest/gtest.h>

#include "tests/controller/core/world.h"

// One alarm where more nodes are wanted than allowed, with what breaks first.

namespace headroom {
namespace {

struct Cluster {
  Cluster() {
    policy.nodes.max = 12;
    summary.carrying = summary.serving = 12;
    summary.ceiling = 12'000;
    summary.demand = 8'000;
  }
  std::optional<Reason> Judge(int wanted) { return at_max.Judge({summary, {}, policy, 12, wanted, now}); }
  // A second at a time, demand growing by so many a second.
  std::optional<Reason> Run(absl::Duration time, int wanted, int64_t growth) {
    std::optional<Reason> alarm;
    for (const absl::Time end = now + time; now < end; now += absl::Seconds(1)) {
      summary.demand += growth;
      alarm = Judge(wanted);
    }
    return alarm;
  }
  Policy policy = LivePolicy();
  FleetSummary summary;
  AtMax at_max;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
};

TEST(AtMax, TellsWhatBreaksFirstAndWhen) {
  Cluster cluster;
  cluster.Run(absl::Minutes(3), 12, 0);
  const auto alarm = cluster.Run(absl::Minutes(2), 17, 12);
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(RenderReason(*alarm),
            "Capped at 12 nodes, 17 are wanted; first to break: connections in 4m.");  // (4000 - 732) / 12 a second
}

TEST(AtMax, NothingBreaksWhereNothingGrows) {
  Cluster cluster;
  const auto alarm = cluster.Run(absl::Minutes(3), 17, 0);
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(RenderReason(*alarm),
            "Capped at 12 nodes, 17 are wanted; nothing is about to break, the nearest are connections, used to 67 %.");
}

TEST(AtMax, WhatIsFullAlreadyBreaksNow) {
  Cluster cluster;
  cluster.policy.in_flight.per_node_count = 64;
  cluster.summary.in_flight = 12 * 64;
  EXPECT_EQ(RenderReason(*cluster.Judge(13)), "Capped at 12 nodes, 13 are wanted; requests in flight are exhausted.");
}

TEST(AtMax, IsOneEventThoughTheWishWavers) {
  Cluster cluster;
  std::vector<Reason> told;
  for (int second = 0; second < 600; ++second) {
    const auto alarm = cluster.Run(absl::Seconds(1), second % 7 == 0 ? 12 : 15 + second % 3, second % 5);
    ASSERT_EQ(alarm.has_value(), second > 0);
    if (alarm.has_value() && (told.empty() || told.back() != *alarm)) told.push_back(*alarm);
  }
  EXPECT_LE(told.size(), 11u) << "new numbers once a minute at most";
}

TEST(AtMax, EndsWhenTheBoundNoLongerBinds) {
  Cluster cluster;
  cluster.Run(absl::Minutes(1), 17, 0);
  EXPECT_TRUE(cluster.Run(absl::Minutes(1), 12, 0).has_value());
  EXPECT_FALSE(cluster.Run(absl::Minutes(2), 12, 0).has_value());
}

TEST(AtMax, NodesThatAreStillToComeBearTheirShare) {
  Cluster cluster;
  cluster.summary.carrying = 4;
  cluster.summary.ceiling = 4'000;  // a thousand each, and eight more nodes are allowed
  EXPECT_EQ(RenderReason(*cluster.Judge(17)),
            "Capped at 12 nodes, 17 are wanted; nothing is about to break, the nearest are connections, used to 67 %.");
}

TEST(AtMax, TheBudgetBindsBeforeTheCeilings) {
  Cluster cluster;
  cluster.policy.limits.budget_count = 8'000;
  EXPECT_EQ(RenderReason(*cluster.Judge(17)), "Capped at 12 nodes, 17 are wanted; connections are exhausted.");
}

TEST(AtMax, MeanwhileLimitsTakeOver) {
  World world = ThreeNodes();
  world.Run(absl::Minutes(4), Spread(world, 5000));
  ASSERT_EQ(world.nodes.size(), 8u);
  EXPECT_EQ(world.Last().alarms.front().code, ReasonCode::kAlarmAtMax);
  for (const auto& [id, node] : world.nodes) {
    EXPECT_GT(node.limit, 600) << id;
    EXPECT_EQ(node.queue, 0) << id;
  }
}

}  // namespace
}  // namespace headroom
