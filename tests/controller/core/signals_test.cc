#include <gtest/gtest.h>

#include "controller/core/signals/signal.h"
#include "tests/controller/core/world.h"

namespace headroom {
namespace {

Policy WithLatency() {
  Policy policy = LivePolicy();
  policy.nodes.min = 2;
  policy.latency.objective = absl::Milliseconds(500);
  return policy;
}

TEST(LatencySignal, AQuietFleetShrinksWithTheSignalOn) {
  World world(WithLatency());
  for (int i = 1; i <= 6; ++i) world.AddNode(absl::StrCat("node-", i));
  world.Run(absl::Minutes(10), [&] {
    for (auto& [id, node] : world.nodes) node.open = node.draining ? 0 : 20;
  });
  EXPECT_EQ(world.nodes.size(), 2u);
}

TEST(LatencySignal, WhileNodesAreOnTheirWayAMissedObjectiveTakesNoneBack) {
  Fleet fleet;
  FleetSummary summary;
  summary.serving = summary.carrying = summary.fresh = 3;
  summary.joining = 3;
  summary.effective = 6;
  summary.completed = 100;
  for (int i = 0; i < 100; ++i) summary.latency.Add(absl::Seconds(2));
  const Demand demand = LatencyDemand({fleet, summary, {}, {}, WithLatency(), absl::UnixEpoch()});
  EXPECT_EQ(demand.node_count, 6);
}

TEST(LatencySignal, AnswersWithoutLatenciesAreNotTakenForFastOnes) {
  Fleet fleet;
  FleetSummary summary;
  summary.serving = summary.carrying = summary.fresh = summary.effective = 3;
  summary.completed = 100;
  EXPECT_EQ(LatencyDemand({fleet, summary, {}, {}, WithLatency(), absl::UnixEpoch()}).node_count, std::nullopt);
}

FleetSummary Calm(int nodes) {
  FleetSummary summary;
  summary.serving = summary.carrying = summary.fresh = summary.effective = nodes;
  return summary;
}

TEST(LatencySignal, AFewLongDownloadsKeepNoQuietFleetFromShrinking) {
  Fleet fleet;
  FleetSummary summary = Calm(3);
  summary.active = 3;
  summary.sent_bytes = 5e6;
  EXPECT_EQ(LatencyDemand({fleet, summary, {}, {}, WithLatency(), absl::UnixEpoch()}).node_count, 2);
}

TEST(LatencySignal, AFleetThatWorksAndAnswersNothingKeepsItsSize) {
  Fleet fleet;
  FleetSummary summary = Calm(3);
  summary.active = 3;
  EXPECT_EQ(LatencyDemand({fleet, summary, {}, {}, WithLatency(), absl::UnixEpoch()}).node_count, 3);
}

TEST(Quorum, AsManyLostNodesAsItAllowsAreNodesThatFailed) {
  FleetSummary summary = Calm(18);
  summary.lost = 2;
  EXPECT_FALSE(summary.ReportsAreLost(ControlPolicy()));
  summary.serving = 17;
  summary.lost = 3;
  EXPECT_TRUE(summary.ReportsAreLost(ControlPolicy()));
}

TEST(Quorum, AsManyStaleNodesAsItAllowsLeaveConnectionsKnown) {
  Fleet fleet;
  FleetSummary summary = Calm(10);
  summary.configured_median = 200;
  summary.stale = 1;
  EXPECT_TRUE(ConnectionDemand({fleet, summary, {}, {}, LivePolicy(), absl::UnixEpoch()}).node_count.has_value());
  summary.stale = 2;
  EXPECT_FALSE(ConnectionDemand({fleet, summary, {}, {}, LivePolicy(), absl::UnixEpoch()}).node_count.has_value());
}

TEST(InFlightSignal, CountsRequestsInServiceAgainstWhatANodeCarries) {
  Fleet fleet;
  Policy policy = LivePolicy();
  policy.in_flight.per_node_count = 64;
  FleetSummary summary = Calm(3);
  summary.in_flight = 224;
  EXPECT_DOUBLE_EQ(*InFlightDemand({fleet, summary, {}, {}, policy, absl::UnixEpoch()}).node_count, 5);
  summary.fresh = 0;
  EXPECT_EQ(InFlightDemand({fleet, summary, {}, {}, policy, absl::UnixEpoch()}).node_count, std::nullopt);
}

TEST(StoredSignal, NeedsAsManyNodesAsKeepTheirDisksBelowTheTarget) {
  Fleet fleet;
  Policy policy = LivePolicy();
  policy.stored.target_ratio = 0.8;
  FleetSummary summary = Calm(4);
  EXPECT_EQ(StoredDemand({fleet, summary, {}, {}, policy, absl::UnixEpoch()}).node_count, std::nullopt)
      << "nobody tells what it stores";
  summary.storing = 4;
  summary.capacity_bytes = 4e12;
  summary.stored_bytes = 3.6e12;
  EXPECT_DOUBLE_EQ(*StoredDemand({fleet, summary, {}, {}, policy, absl::UnixEpoch()}).node_count, 4.5);
  policy.stored.bytes_per_node = 500'000'000'000;
  EXPECT_DOUBLE_EQ(*StoredDemand({fleet, summary, {}, {}, policy, absl::UnixEpoch()}).node_count, 9);
}

FleetSummary Filled(const std::vector<double>& positions) {
  FleetSummary summary = Calm(static_cast<int>(positions.size()));
  for (const double position : positions) summary.positions.Add(position);
  return summary;
}

Demand HotWith(const FleetSummary& summary) {
  return HotNodeDemand({Fleet(), summary, {}, {}, LivePolicy(), absl::UnixEpoch() + absl::Hours(1)});
}

TEST(HotNodeSignal, OfAnEvenLoadItAsksForLessThanConnectionsDo) {
  const Demand demand = HotWith(Filled(std::vector<double>(20, 0.7)));
  EXPECT_LT(*demand.node_count, 20);
  EXPECT_GT(*demand.node_count, 14);
}

TEST(HotNodeSignal, FullNodesBesideCoolOnesAreSeenThoughTheMeanIsFine) {
  std::vector<double> positions(20, 0.6);
  positions[3] = positions[4] = 0.95;
  const Demand demand = HotWith(Filled(positions));
  EXPECT_GE(*demand.node_count, 20) << "none is taken away";
  EXPECT_LE(*demand.node_count, 22);
  positions[4] = 0.6;
  EXPECT_LT(*HotWith(Filled(positions)).node_count, 16) << "one of twenty is not the fleet";
}

TEST(HotNodeSignal, OfASkewThatNewNodesDoNotCureItSaysSoAndDoesNotWindUp) {
  int nodes = 10;
  std::vector<double> positions(10, 0.2);
  positions[0] = positions[1] = 1.5;  // clients that stay where they are
  for (int i = 0; i < 20; ++i) {
    const Demand demand = HotWith(Filled(positions));
    EXPECT_EQ(demand.reason.code, ReasonCode::kSignalHotNodesSkewed);
    nodes = std::max(nodes, static_cast<int>(std::ceil(*demand.node_count)));
    positions.resize(static_cast<size_t>(nodes), 0.0);
  }
  EXPECT_EQ(nodes, 10);
}

TEST(HotNodeSignal, NewNodesThatAreStillEmptyAreNoSkew) {
  FleetSummary summary = Filled({1.0, 1.0, 1.0, 0, 0, 0});
  summary.newest_at = absl::UnixEpoch() + absl::Hours(1) - absl::Seconds(5);
  EXPECT_EQ(HotWith(summary).reason.code, ReasonCode::kSignalHotNodesIdle);
}

// A day of 600 connections with 2,400 from nine to twelve, five times over, up to `minutes` before the sixth peak.
forecast::DemandForecast PastPeaks(int minutes) {
  forecast::DemandForecast past;
  for (int minute = 0; minute < 5 * 24 * 60 + 9 * 60 - minutes; ++minute) {
    const int hour = minute / 60 % 24;
    past.Observe(absl::UnixEpoch() + absl::Minutes(minute), hour >= 9 && hour < 12 ? 2400 : 600 + minute % 7,
                 {.lead = absl::Minutes(3)});
  }
  return past;
}

Demand ForecastWith(const forecast::DemandForecast& past) {
  Fleet fleet;
  Policy policy = LivePolicy();
  policy.connections.per_node_count = 200;
  policy.nodes.lead_time = absl::Minutes(3);
  return ForecastDemand({fleet, Calm(5), past, {}, policy, absl::UnixEpoch()});
}

TEST(ForecastSignal, AsksForTheNodesOfAPeakBeforeItIsThere) {
  EXPECT_NEAR(*ForecastWith(PastPeaks(2)).node_count, 2400 / (200 * 0.7), 2);
  EXPECT_LT(*ForecastWith(PastPeaks(30)).node_count, 6) << "half an hour before it is too early";
}

TEST(ForecastSignal, ASurpriseIsToldAsOneAndAsksForMoreThanIsThere) {
  forecast::DemandForecast past = PastPeaks(120);
  past.Observe(absl::UnixEpoch() + absl::Minutes(5 * 24 * 60 + 9 * 60 - 120), 1500, {.lead = absl::Minutes(3)});
  const Demand demand = ForecastWith(past);
  EXPECT_EQ(demand.reason.code, ReasonCode::kSignalSurprise) << RenderReason(demand.reason);
  EXPECT_NEAR(*demand.node_count, (1500 + 0.5 * (900 - 150)) / (200 * 0.7), 1);
}

TEST(ForecastSignal, AsksForNothingWhileItLearnsAndKeepsNobodyFromShrinking) {
  const Demand demand = ForecastWith({});
  EXPECT_EQ(demand.node_count, 0);
  EXPECT_EQ(demand.reason.code, ReasonCode::kSignalForecastLearns);
}

}  // namespace
}  // namespace headroom
