#include "controller/sim/fitted_cluster.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

#include "controller/runtime/memory_journal.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

Scenario Campaign() {
  Scenario scenario;
  scenario.policy.mode = Mode::kLive;
  scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
  scenario.policy.limits.law.ceiling_count = 2000;
  scenario.cluster.initial_count = 3;
  scenario.cluster.boot = absl::Seconds(40);
  scenario.cluster.settings.phases = {
      {.duration = absl::Minutes(5), .requests_per_second = 450, .clients = 200},
      {.duration = absl::Minutes(5), .requests_per_second = 1350, .clients = 750},
      {.duration = absl::Hours(10), .requests_per_second = 450, .clients = 200},
  };
  return scenario;
}

constexpr size_t kRecordsMax = 1'000'000;

TEST(FittedCluster, GoesTheWayOfTheClusterThatItWasFittedTo) {
  MemoryJournal journal(kRecordsMax);
  Scenario scenario = Campaign();
  scenario.journal = &journal;
  SimRunner run(scenario, std::make_unique<ClusterModel>(scenario.cluster.settings));
  double node_hours = 0;
  absl::Time last = run.start();
  run.OnDecision([&](const Decision& decision) {
    const std::vector<Machine> machines = run.cluster().model().Machines();
    const auto serving = std::count_if(machines.begin(), machines.end(), [&](const Machine& machine) {
      return run.cluster().model().IsServing(machine.node);
    });
    node_hours += static_cast<double>(serving) * absl::ToDoubleHours(decision.at - last);
    last = decision.at;
  });
  run.RunUntil(run.start() + absl::Minutes(30));

  FittedCluster fitted;
  for (const Recorded& record : journal.records()) {
    if (record.event) fitted.Take(record.at, *record.event);
  }
  EXPECT_NEAR(fitted.service_seconds(), 0.02, 0.002);
  ASSERT_TRUE(fitted.boot().has_value());
  EXPECT_NEAR(absl::ToDoubleSeconds(*fitted.boot()), 41, 2);
  EXPECT_NEAR(absl::ToDoubleMinutes(fitted.length()), 30, 0.5);

  const absl::StatusOr<Scenario> again = fitted.Make(scenario.policy);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->cluster.initial_count, 3);
  EXPECT_EQ(again->cluster.settings.node.connection_limit, 200);
  const CourseOutcome outcome = RunCourse(*again, fitted.length());
  const auto offered = static_cast<double>(run.cluster().model().total().offered);
  EXPECT_NEAR(static_cast<double>(outcome.offered), offered, 0.03 * offered);
  EXPECT_NEAR(outcome.node_hours, node_hours, 0.1 * node_hours);
  EXPECT_LT(outcome.failed_ratio(), 0.002);
  EXPECT_GT(outcome.limit_raises, 0);

  Policy cautious = scenario.policy;
  cautious.nodes.max = 3;
  cautious.limits.enabled = false;
  const CourseOutcome worse = RunCourse(*fitted.Make(cautious), fitted.length());
  EXPECT_LT(worse.node_hours, outcome.node_hours);
  EXPECT_GT(worse.failed_ratio(), 0.02);
  EXPECT_EQ(worse.launches, 0);
}

// One node, 100 requests a second on ten connections; a report each second but for the time of silence.
FittedCluster FitWithSilence(absl::Duration from, absl::Duration until) {
  FittedCluster fitted;
  NodeReport report;
  report.boot_id = "a-1";
  report.open_count = 10;
  for (int second = 0; second <= 600; ++second) {
    report.counters.completed = 100L * second;
    const absl::Duration at = absl::Seconds(second);
    if (at < from || at >= until) fitted.Take(absl::UnixEpoch() + at, NodeReported{"a", report});
  }
  return fitted;
}

TEST(FittedCluster, InventsNoBurstAfterAGapOfReports) {
  const absl::StatusOr<Scenario> gap = FitWithSilence(absl::Seconds(100), absl::Seconds(403)).Make({});
  ASSERT_TRUE(gap.ok()) << gap.status();
  const std::vector<Phase>& phases = gap->cluster.settings.phases;
  ASSERT_EQ(phases.size(), 60u);
  for (size_t i = 1; i < phases.size(); ++i) EXPECT_NEAR(phases[i].requests_per_second, 100, 0.5) << i;
}

TEST(FittedCluster, KnowsOfTheFirstSnapshotWhatNodesWereConfiguredWith) {
  Fleet fleet;
  NodeHello hello;
  hello.boot_id = "a-1";
  hello.configured_count_max = 77;
  hello.configured_idle_timeout = absl::Seconds(9);
  fleet.Apply(absl::UnixEpoch(), NodeJoined{"a", hello}, {});
  FittedCluster fitted = FitWithSilence(absl::InfiniteDuration(), absl::InfiniteDuration());
  fitted.Take(fleet);
  const absl::StatusOr<Scenario> made = fitted.Make({});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->cluster.settings.node.connection_limit, 77);
  EXPECT_EQ(made->cluster.settings.node.idle_timeout, absl::Seconds(9));
}

TEST(FittedCluster, SaysThatThereIsTooLittleToFit) {
  FittedCluster fitted;
  EXPECT_EQ(fitted.Make({}).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace headroom::sim
