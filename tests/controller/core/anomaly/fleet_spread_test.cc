#include "controller/core/anomaly/fleet_spread.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace headroom {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

Node Serving(int64_t open) {
  Node node;
  node.state = NodeState::kServing;
  node.last_report_at = kNow;
  node.report.open_count = open;
  node.hello.configured_count_max = node.report.limits.connection_count_max = 200;
  return node;
}

// The spread points at nodes: they must outlive it, so no temporary is taken.
FleetSpread Spread(const std::vector<Node>&& nodes) = delete;
FleetSpread Spread(const std::vector<Node>& nodes) {
  FleetSpread spread(absl::Seconds(5), kNow);
  for (const Node& node : nodes) spread.Add(node);
  return spread;
}

TEST(FleetSpread, KnowsTheMiddleTheEdgeAndTheHottest) {
  std::vector<Node> nodes;
  for (int64_t open = 1; open <= 200; ++open) nodes.push_back(Serving(open));
  nodes[42].id = "hot";
  nodes[42].report.open_count = 300;
  const FleetSpread spread = Spread(nodes);
  EXPECT_EQ(spread.count(), 200);
  EXPECT_NEAR(spread.Median(), 0.5, 0.02);
  EXPECT_NEAR(spread.P95(), 0.95, 0.03);
  EXPECT_NEAR(spread.Sigma(), 1.4826 * 0.25, 0.02);
  ASSERT_NE(spread.hottest(), nullptr);
  EXPECT_EQ(spread.hottest()->id, "hot");
  EXPECT_DOUBLE_EQ(spread.hottest_position(), 1.5);
}

TEST(FleetSpread, HoldsANodeAgainstItsOwnSizeAndNotAgainstARaisedLimit) {
  Node raised = Serving(150);
  raised.report.limits.connection_count_max = 1000;
  const std::vector<Node> nodes = {raised};
  EXPECT_DOUBLE_EQ(Spread(nodes).hottest_position(), 0.75);
}

TEST(FleetSpread, LikeNodesDoNotDifferByLessThanCountingDoes) {
  const std::vector<Node> nodes = {Serving(100), Serving(100), Serving(100)};
  EXPECT_GE(Spread(nodes).Sigma(), std::sqrt(0.5 / 200));
}

TEST(FleetSpread, CountsTheSilentApart) {
  Node silent = Serving(190);
  silent.id = "quiet";
  silent.last_report_at = kNow - absl::Seconds(6);
  const std::vector<Node> nodes = {Serving(10), silent};
  const FleetSpread spread = Spread(nodes);
  EXPECT_EQ(spread.count(), 1);
  EXPECT_EQ(spread.silent_count(), 1);
  ASSERT_NE(spread.first_silent(), nullptr);
  EXPECT_EQ(spread.first_silent()->id, "quiet");
  EXPECT_DOUBLE_EQ(spread.hottest_position(), 0.05);
}

TEST(FleetSpread, AnEmptyFleetHasNoSpread) {
  const std::vector<Node> nodes;
  const FleetSpread spread = Spread(nodes);
  EXPECT_EQ(spread.Median(), 0);
  EXPECT_EQ(spread.Sigma(), 0);
  EXPECT_EQ(spread.hottest(), nullptr);
}

}  // namespace
}  // namespace headroom
