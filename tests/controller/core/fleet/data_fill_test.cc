#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "controller/core/autoscaler.h"
#include "controller/core/reason.h"
#include "tests/controller/core/world.h"

// Nodes that bear data count by what they have received.

namespace headroom {
namespace {

constexpr int64_t kCapacity = 1'000'000'000'000, kUsual = 600'000'000'000;

Policy BearingPolicy() {
  Policy policy = LivePolicy();
  policy.nodes.data = DataPlacement::kBearing;
  policy.nodes.launch_timeout = absl::Minutes(2);
  return policy;
}

void Store(World& world, const NodeId& node, int64_t bytes) {
  world.nodes[node].report.capacity_bytes = kCapacity;
  world.nodes[node].report.stored_bytes = bytes;
}

// Three nodes with data; those that come receive `bytes_per_second`.
class BearingWorld {
 public:
  explicit BearingWorld(const Policy& policy, int64_t bytes_per_second)
      : world(ThreeNodes(policy)), bytes_per_second_(bytes_per_second) {}
  void Run(absl::Duration time, int64_t demand) {
    const auto spread = Spread(world, demand);
    world.Run(time, [&] {
      spread();
      for (auto& [id, node] : world.nodes) {
        const bool is_new = id.rfind("new-", 0) == 0;
        const int64_t stored = is_new ? std::min(kUsual, node.report.stored_bytes + bytes_per_second_) : kUsual;
        Store(world, id, stored);
      }
    });
  }
  const Verdict* Said(ReasonCode code) const {
    for (const Decision& decision : world.decisions) {
      for (const Verdict& verdict : decision.verdicts) {
        if (verdict.reason.code == code) return &verdict;
      }
    }
    return nullptr;
  }

  World world;

 private:
  const int64_t bytes_per_second_;
};

TEST(DataFill, ANodeThatReceivesIsInFlightAndNoOtherIsAskedFor) {
  BearingWorld bearing(BearingPolicy(), kUsual / 3600);  // an hour until it is full
  bearing.Run(absl::Seconds(30), 330);
  bearing.Run(absl::Minutes(20), 500);
  EXPECT_EQ(bearing.world.ActionsOf("launch").size(), 1U);
}

TEST(DataFill, ANodeThatReceivesNothingIsMadeUpForAndAFewAtMost) {
  BearingWorld bearing(BearingPolicy(), 0);
  bearing.Run(absl::Seconds(30), 330);
  bearing.Run(absl::Minutes(2), 500);
  EXPECT_EQ(bearing.world.ActionsOf("launch").size(), 1U) << "it has only just come";
  bearing.Run(absl::Seconds(90), 500);
  EXPECT_EQ(bearing.world.ActionsOf("launch").size(), 2U);
  const Verdict* said = bearing.Said(ReasonCode::kGuardUnfilled);
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->after, said->before + 1);
  bearing.Run(absl::Minutes(60), 500);
  EXPECT_LE(bearing.world.nodes.size(), 3U + static_cast<size_t>(BearingPolicy().nodes.launch_failures_max))
      << "more would receive nothing either";
}

// Three nodes that were there from the beginning, one of which holds a tenth of what the others hold.
void RunUneven(World& world, absl::Duration time) {
  const auto spread = Spread(world, 380);
  world.Run(time, [&] {
    spread();
    for (auto& [id, node] : world.nodes) Store(world, id, id == "node-1" ? kUsual / 10 : kUsual);
  });
}

TEST(DataFill, AnOldNodeThatHoldsLessThanOthersMakesNoneGrow) {
  World world = ThreeNodes(BearingPolicy());
  RunUneven(world, absl::Minutes(30));
  EXPECT_TRUE(world.ActionsOf("launch").empty());
  world.nodes["node-1"].boot = "boot-2";
  world.Join("node-1");
  RunUneven(world, absl::Minutes(30));
  EXPECT_TRUE(world.ActionsOf("launch").empty()) << "nor when it has restarted";
}

TEST(DataFill, OfGatewaysNothingIsAsked) {
  Policy policy = BearingPolicy();
  policy.nodes.data = DataPlacement::kGateway;
  BearingWorld gateways(policy, 0);
  gateways.Run(absl::Seconds(30), 330);
  gateways.Run(absl::Minutes(30), 500);
  EXPECT_EQ(gateways.world.ActionsOf("launch").size(), 1U);
}

TEST(DataFill, WhatIsStoredFitsOnThoseThatAreRecommended) {
  BearingWorld bearing(BearingPolicy(), 0);
  bearing.Run(absl::Minutes(10), 20);
  const Verdict* fits = bearing.Said(ReasonCode::kGuardFits);
  ASSERT_NE(fits, nullptr) << "1.8 of 3 TB on nodes of 1 TB";
  EXPECT_EQ(fits->at_least, 3);
  EXPECT_TRUE(bearing.world.ActionsOf("drain").empty());
}

TEST(DataFill, CountsByTheMedianAndNotBelowATrifle) {
  using Part = DataLack::Part;
  std::vector<DataLack::OfNode> nodes = {{0.6, Part::kFilling},
                                         {0.5, Part::kFilling},
                                         {0.7, Part::kFilling},
                                         {0.06, Part::kStarved},
                                         {0.3, Part::kFilling}};
  const DataLack lack = DataLack::Of(nodes);
  EXPECT_EQ(lack.nodes, 2);
  EXPECT_EQ(lack.starved, 1);
  EXPECT_NEAR(lack.starving, 1 - 0.06 / 0.5, 1e-9);
  EXPECT_NEAR(lack.missing, 2 - 0.36 / 0.5, 1e-9);
  std::vector<DataLack::OfNode> empty = {{0, Part::kStarved}, {0, Part::kStarved}};
  EXPECT_EQ(DataLack::Of(empty).nodes, 0) << "a cluster that begins";
}

TEST(DataFill, GainsAreNoticedAfterALoss) {
  const absl::Time start = absl::UnixEpoch();
  DataFill fill;
  fill.Add(start, 1000);
  EXPECT_EQ(fill.gained_at, start);
  fill.Add(start + absl::Seconds(1), 1005);
  EXPECT_EQ(fill.gained_at, start) << "a trifle";
  fill.Add(start + absl::Seconds(2), 10);  // a disk was replaced
  EXPECT_EQ(fill.gained_at, start);
  fill.Add(start + absl::Seconds(3), 20);
  EXPECT_EQ(fill.gained_at, start + absl::Seconds(3));
}

}  // namespace
}  // namespace headroom
