#include "controller/core/limits/knee.h"

#include <algorithm>
#include <map>
#include <optional>

#include "gtest/gtest.h"

#include "controller/core/fleet/fleet.h"
#include "controller/core/windows.h"
#include "controller/sim/cluster_model.h"
#include "controller/sim/runner.h"

// What the core makes of reports from clusters at the level of single requests: of nodes that are driven past their
// knee, and of nodes whose bottleneck is another.

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

// Two nodes with a knee of 40 requests in service, whose load climbs to `top` of what they can do at best.
Scenario Climb(double top, uint64_t seed) {
  constexpr double kBest = 2 * 40 / (2 * 0.02);  // of the law in sim/world.h at its knee: n / W(n)
  Scenario scenario;
  scenario.policy.mode = Mode::kDryRun;
  scenario.policy.nodes = {.min = 2, .max = 2};
  scenario.cluster.initial_count = 2;
  ClusterSettings& settings = scenario.cluster.settings;
  settings.seed = seed;
  settings.node.connection_limit = 1000;
  settings.node.cores = 64;
  settings.node.knee = 40;
  settings.client = {.connections_max = 1, .request_timeout = absl::Seconds(10), .retries_max = 0};
  for (const double share : {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.05, 0.8, 0.2})
    settings.phases.push_back({absl::Seconds(45), std::min(top, share) * kBest, 200});
  return scenario;
}

// Drives it, and checks at each report what must always hold. Returns what the core knows of each node at the end.
std::map<NodeId, std::optional<Knee>> KneesAfter(const Scenario& scenario, double& largest) {
  Fleet fleet;
  std::map<NodeId, double> seen;  // the most requests in service
  const auto knee_max = static_cast<double>(scenario.cluster.settings.node.knee);
  SimRunner run(scenario);
  run.OnlyHear([&](absl::Time at, const Event& event) {
    fleet.Apply(at, event, scenario.policy);
    const auto* said = std::get_if<NodeReported>(&event);
    if (said == nullptr) return true;
    double& most = seen[said->node];
    most = std::max(most, static_cast<double>(said->report.active_count));
    const Node* node = fleet.Find(said->node);
    if (node == nullptr || !node->knee.knee().has_value()) return true;
    EXPECT_LE(node->knee.knee()->count, 1.25 * most);
    EXPECT_GE(most, 0.5 * knee_max) << "known from loads that are far below it";
    return true;
  });
  run.RunUntil(run.start() + absl::Seconds(450));
  std::map<NodeId, std::optional<Knee>> knees;
  for (const auto& [id, node] : fleet.nodes()) knees[id] = node.knee.knee();
  for (const auto& [id, most] : seen) largest = std::max(largest, most);
  return knees;
}

TEST(SimKnee, AFleetThatIsDrivenPastItsKneeLearnsIt) {
  for (const uint64_t seed : {1, 2, 3}) {
    double largest = 0;
    const auto knees = KneesAfter(Climb(1.05, seed), largest);
    ASSERT_GT(largest, 60);
    ASSERT_EQ(knees.size(), 2U);
    for (const auto& [id, knee] : knees) {
      ASSERT_TRUE(knee.has_value()) << id << " of seed " << seed;
      EXPECT_LE(knee->low, 40) << "seed " << seed;
      EXPECT_GE(knee->high, 40) << "seed " << seed;
      EXPECT_LT(knee->high / knee->low, 1.5);
      EXPECT_NEAR(knee->count, 40, 4);
    }
  }
}

TEST(SimKnee, OfAFleetFarBelowItsKneeItIsUnknown) {
  double largest = 0;
  for (const auto& [id, knee] : KneesAfter(Climb(0.4, 4), largest)) EXPECT_FALSE(knee.has_value()) << id;
  EXPECT_LT(largest, 40);
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
