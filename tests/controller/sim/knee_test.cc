#include "controller/core/limits/knee.h"

#include <optional>

#include "gtest/gtest.h"

#include "controller/core/windows.h"
#include "controller/sim/cluster_model.h"

// What the estimator makes of reports from a cluster at the level of single requests whose bottleneck is not the node.

namespace headroom::sim {
namespace {

// One node whose load climbs and falls for an hour and a half, up to `top` requests a second.
ClusterSettings Waves(double top, uint64_t seed) {
  ClusterSettings settings;
  settings.seed = seed;
  settings.node.connection_limit = 3000;
  settings.node.cores = 64;
  settings.client = {.connections_max = 0, .request_timeout = absl::Seconds(20), .retries_max = 0};
  for (const double share : {0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0, 0.9, 0.6, 0.2})
    settings.phases.push_back({absl::Minutes(1), share * top, 400});
  return settings;
}

std::optional<Knee> Learn(const ClusterSettings& settings, const NodeCondition& condition) {
  ClusterModel model(settings);
  const NodeId node = model.Launch({});
  model.AdvanceTo(model.now() + absl::Seconds(1));
  model.TakeChanges();
  EXPECT_TRUE(model.SetCondition(node, condition).ok());
  CounterWindow window;
  KneeEstimator estimator;
  for (int second = 0; second < 90 * 60; ++second) {
    const absl::Time until = model.now() + absl::Seconds(1);
    while (model.AdvanceTo(until) < until) model.TakeChanges();
    const NodeReport report = model.Report(node);
    window.Add(report.counters);
    estimator.Add(model.now(), {static_cast<double>(report.active_count), window.Rates(absl::Seconds(1)).completed,
                                window.LatencyOver(absl::Seconds(1)).Summary().mean});
  }
  return estimator.knee();
}

TEST(SimKnee, OfANodeThatNeverGetsSlowerThereIsNone) {
  ClusterSettings settings = Waves(800, 2);
  settings.node.knee = 0;
  EXPECT_FALSE(Learn(settings, {}).has_value());
}

TEST(SimKnee, ALossyNetworkIsNoKneeOfTheNode) {
  ClusterSettings settings = Waves(600, 3);
  settings.node.knee = 400;
  EXPECT_FALSE(Learn(settings, {.loss_ratio = 0.05}).has_value());
}

TEST(SimKnee, SlotsThatRunOutFirstAreNoKneeOfTheNode) {
  ClusterSettings settings = Waves(900, 4);
  settings.node.knee = 400;
  settings.node.connection_limit = 12;
  settings.client.connections_max = 1;
  EXPECT_FALSE(Learn(settings, {}).has_value());
}

}  // namespace
}  // namespace headroom::sim
