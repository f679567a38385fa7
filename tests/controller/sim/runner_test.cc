#include "controller/sim/runner.h"

#include "gtest/gtest.h"

namespace headroom::sim {
namespace {

// The outage: a campaign brings three times the clients and three times the requests for a few minutes.
Scenario Campaign(Mode mode) {
  Scenario scenario;
  scenario.policy.mode = mode;
  scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
  scenario.policy.limits.law.ceiling_count = 2000;
  scenario.cluster.initial_count = 3;
  scenario.cluster.settings.phases = {
      {.duration = absl::Minutes(10), .requests_per_second = 450, .clients = 150},
      {.duration = absl::Minutes(5), .requests_per_second = 1350, .clients = 750},
      {.duration = absl::Hours(1000), .requests_per_second = 450, .clients = 150},
  };
  return scenario;
}

ClientStatistics Between(SimRunner& run, double from_minutes, double to_minutes) {
  return run.cluster().model().Statistics(run.start() + absl::Minutes(from_minutes),
                                          run.start() + absl::Minutes(to_minutes));
}

TEST(SimRunner, RunsTheCampaignIntoTheOutageWhenNobodyActs) {
  SimRunner run(Campaign(Mode::kDryRun));
  run.RunUntil(run.start() + absl::Minutes(20));
  EXPECT_EQ(Between(run, 0, 10).failed, 0);
  EXPECT_GT(Between(run, 10, 15).failed_ratio(), 0.20);
  for (const Machine& machine : run.cluster().model().Machines()) {
    EXPECT_EQ(run.cluster().model().Limits(machine.node).connection_count_max, 200);
  }
  EXPECT_EQ(run.cluster().model().Machines().size(), 3U);
  EXPECT_GT(run.summary().limit_changes, 0) << "a dry run decides";
  EXPECT_TRUE(run.summary().causes.contains(Cause::kSurge));
}

TEST(SimRunner, CarriesTheClusterThroughTheCampaignAndBack) {
  SimRunner run(Campaign(Mode::kLive));
  run.RunUntil(run.start() + absl::Minutes(15));
  EXPECT_LT(Between(run, 10, 15).failed_ratio(), 0.001);
  EXPECT_GT(run.summary().limit_changes, 0);
  run.RunUntil(run.start() + absl::Minutes(100));
  EXPECT_LT(run.cluster().model().total().failed_ratio(), 0.001);
  const std::vector<Machine> machines = run.cluster().model().Machines();
  EXPECT_EQ(machines.size(), 3U);
  for (const Machine& machine : machines) {
    EXPECT_EQ(run.cluster().model().Limits(machine.node).connection_count_max, 200) << machine.node;
    EXPECT_EQ(run.cluster().model().Limits(machine.node).idle_timeout, absl::Seconds(30)) << machine.node;
  }
}

TEST(SimRunner, LaunchesNothingForNodesThatRanBeforeItLooked) {
  Scenario scenario = Campaign(Mode::kLive);
  scenario.provider_latency = absl::Seconds(10);
  SimRunner run(scenario);
  run.RunUntil(run.start() + absl::Minutes(9));
  EXPECT_EQ(run.summary().launches, 0);
  EXPECT_EQ(run.cluster().model().Machines().size(), 3U);
}

TEST(SimulatedCluster, ReachesTimesThatAreNoWholeNanoseconds) {
  Scenario scenario = Campaign(Mode::kLive);
  scenario.cluster.report_interval = absl::Seconds(1) / 3;
  SimulatedCluster cluster(scenario.cluster);
  const absl::Time end = absl::UnixEpoch() + absl::Seconds(10) / 7;
  int stops = 0;
  while (cluster.AdvanceTo(end) < end) {
    ASSERT_LT(++stops, 1000);
    cluster.TakeEvents();
  }
  EXPECT_GT(stops, 3);
}

TEST(SimRunner, RunsTheSameFromTheSameSeed) {
  const auto run_once = [] {
    SimRunner run(Campaign(Mode::kLive));
    run.RunUntil(run.start() + absl::Minutes(16));
    const ClientStatistics& total = run.cluster().model().total();
    return std::vector<int64_t>{total.offered,
                                total.completed,
                                total.attempts,
                                run.summary().decisions,
                                run.summary().limit_changes,
                                run.summary().launches,
                                absl::ToInt64Nanoseconds(total.latency_sum)};
  };
  EXPECT_EQ(run_once(), run_once());
}

}  // namespace
}  // namespace headroom::sim
