#include "controller/sim/faults.h"

#include <algorithm>

#include "gtest/gtest.h"

#include "controller/sim/cluster_model.h"
#include "controller/sim/runner.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kOnset = absl::Seconds(60);

// A calm cluster, observed only, to which one thing happens after a minute.
Scenario Incident(Fault fault) {
  Scenario scenario;
  scenario.policy.mode = Mode::kDryRun;
  scenario.policy.nodes = {.min = 4, .max = 8, .lead_time = absl::Minutes(1)};
  scenario.cluster.initial_count = 4;
  scenario.cluster.zones = {"a", "b"};
  scenario.cluster.settings.client.spread = Spread::kRequests;
  scenario.cluster.settings.client.connections_max = 0;
  scenario.cluster.settings.phases = {{.duration = absl::Hours(1000), .requests_per_second = 400, .clients = 60}};
  fault.at = kOnset;
  scenario.cluster.faults = {std::move(fault)};
  return scenario;
}

Cause NamedWithin(SimRunner& run, absl::Duration span) {
  const absl::Time end = run.now() + span;
  while (run.now() < end) {
    run.RunUntil(std::min(end, run.now() + absl::Milliseconds(500)));
    const Cause cause = run.Latest()->diagnosis.cause;
    if (cause > Cause::kCannotTell) return cause;
  }
  return run.Latest()->diagnosis.cause;
}

std::vector<NodeReport> Reports(SimRunner& run) {
  std::vector<NodeReport> reports;
  World& world = run.cluster().model();
  for (const Machine& machine : world.Machines()) {
    if (world.IsServing(machine.node)) reports.push_back(world.Report(machine.node));
  }
  return reports;
}

// What nodes report of the stretch that begins 2 s after the onset and ends 12 s after it, over all nodes.
struct Stretch {
  double completed = 0, errors_slots_free = 0, retransmit_ratio = 0, device_ms = 0, cores = 0;
};
Stretch Observe(Fault fault) {
  SimRunner run(Incident(std::move(fault)));
  run.RunUntil(run.start() + kOnset + absl::Seconds(2));
  Stretch sums;
  double segments = 0, device = 0;
  const auto add = [&](double sign) {
    for (const NodeReport& report : Reports(run)) {
      const NodeCounters& counters = report.counters;
      sums.completed += sign * static_cast<double>(counters.completed);
      sums.errors_slots_free += sign * static_cast<double>(counters.errors_slots_free);
      sums.retransmit_ratio += sign * static_cast<double>(counters.retransmits.value());
      segments += sign * static_cast<double>(counters.segments_out.value());
      device += sign * absl::ToDoubleMilliseconds(counters.device_time.value());
      sums.cores += sign * absl::ToDoubleSeconds(counters.cpu_time) / 10;
    }
  };
  add(-1);
  run.RunUntil(run.now() + absl::Seconds(10));
  add(+1);
  sums.retransmit_ratio /= segments;
  sums.device_ms = device / sums.completed;
  return sums;
}

TEST(Faults, TellNothingWhereNothingIsWrong) {
  const Stretch calm = Observe({.what = SlowDisk{.slowness = 1}});
  EXPECT_NEAR(calm.completed, 4000, 250);
  EXPECT_EQ(calm.errors_slots_free, 0);
  EXPECT_EQ(calm.retransmit_ratio, 0);
  EXPECT_NEAR(calm.device_ms, 20, 2);
  EXPECT_LT(calm.cores, 0.1);
}

TEST(Faults, SlowDisksAreSeenInTheDeviceTime) {
  EXPECT_NEAR(Observe({.where = {.count = 4}, .what = SlowDisk{.slowness = 5}}).device_ms, 100, 12);
}

TEST(Faults, BusyProcessorsAreSeenInTheProcessorTimeOnly) {
  const Stretch busy = Observe({.what = BusyProcessor{.cost = 60}});
  EXPECT_NEAR(busy.cores, 400 * 0.00015 * 60, 0.5);
  EXPECT_NEAR(busy.device_ms, 20, 2);
}

TEST(Faults, SoftwareErrorsAreCountedWhileSlotsAreFree) {
  const Stretch errors = Observe({.what = SoftwareErrors{.error_ratio = 0.1}});
  EXPECT_NEAR(errors.errors_slots_free / errors.completed, 0.1, 0.02);
}

TEST(Faults, LostPacketsAreSentAgain) {
  EXPECT_NEAR(Observe({.what = PacketLoss{.loss_ratio = 0.05}}).retransmit_ratio, 0.05, 0.01);
}

TEST(Faults, ReleasesAreToldWithTheirTime) {
  SimRunner run(Incident({.what = BadDeploy{.error_ratio = 0.3}}));
  run.RunUntil(run.start() + kOnset + absl::Seconds(30));
  for (const Machine& machine : run.cluster().model().Machines()) {
    const NodeHello hello = run.cluster().model().Hello(machine.node);
    EXPECT_EQ(hello.server_version, "simulated/2");
    ASSERT_TRUE(hello.server_version_time.has_value());
    EXPECT_GE(*hello.server_version_time, run.start() + kOnset);
  }
}

TEST(Faults, ADeployIsRolledBackAtItsEnd) {
  SimRunner run(Incident({.duration = absl::Seconds(40), .what = BadDeploy{.error_ratio = 0.3}}));
  run.RunUntil(run.start() + kOnset + absl::Seconds(80));
  const int64_t failed = run.cluster().model().total().failed;
  const int64_t attempts = run.cluster().model().total().attempts - run.cluster().model().total().offered;
  run.RunUntil(run.now() + absl::Seconds(10));
  EXPECT_EQ(run.cluster().model().total().failed, failed);
  EXPECT_EQ(run.cluster().model().total().attempts - run.cluster().model().total().offered, attempts);
  for (const Machine& machine : run.cluster().model().Machines()) {
    EXPECT_EQ(run.cluster().model().Hello(machine.node).server_version, "simulated/1");
  }
}

TEST(Faults, LeakedConnectionsFillSlotsAndAreNotUsed) {
  SimRunner run(Incident({.what = ClientLeak{.connections_per_second = 8}}));
  run.RunUntil(run.start() + kOnset + absl::Seconds(20));
  int64_t leaked = 0;
  for (const NodeReport& report : Reports(run)) {
    ASSERT_FALSE(report.top_clients.empty());
    leaked += report.top_clients[0].open_count;
    EXPECT_EQ(report.top_clients[0].address, "client-60");
  }
  EXPECT_NEAR(static_cast<double>(leaked), 160, 40);
}

TEST(Faults, AZoneWithoutPowerIsSilentAndComesBack) {
  SimRunner run(Incident({.duration = absl::Seconds(60), .where = {.zone = "a"}, .what = PowerLoss{}}));
  run.RunUntil(run.start() + kOnset + absl::Seconds(20));
  EXPECT_EQ(Reports(run).size(), 2U);
  EXPECT_EQ(run.cluster().model().Machines().size(), 4U);
  run.RunUntil(run.start() + kOnset + absl::Seconds(70));
  EXPECT_EQ(Reports(run).size(), 4U);
  // Clients choose the dead nodes until they notice, and try again: some requests are late, hardly any is lost.
  EXPECT_LT(run.cluster().model().total().failed_ratio(), 0.05);
}

TEST(Faults, ACrashIsToldAsALoss) {
  SimulatedCluster::Options options = Incident({.duration = absl::Seconds(10), .what = NodeCrash{}}).cluster;
  SimulatedCluster cluster(options);
  const absl::Time end = options.settings.start + kOnset + absl::Seconds(20);
  std::vector<Event> events;
  while (cluster.AdvanceTo(end) < end) {
    for (Event& event : cluster.TakeEvents()) {
      if (!std::holds_alternative<NodeReported>(event)) events.push_back(std::move(event));
    }
  }
  ASSERT_EQ(events.size(), 6U);
  EXPECT_EQ(std::get<NodeLeft>(events[4]).how, NodeLeft::How::kLost);
  EXPECT_EQ(std::get<NodeLeft>(events[4]).node, std::get<NodeJoined>(events[5]).node);
}

TEST(Faults, ARollingRestartTakesOneNodeAtATime) {
  SimRunner run(Incident({.what = RollingRestart{}}));
  size_t least = 4;
  for (int second = 0; second < 120; ++second) {
    run.RunUntil(run.now() + absl::Seconds(1));
    least = std::min(least, Reports(run).size());
  }
  EXPECT_EQ(least, 3U);
  for (const NodeReport& report : Reports(run)) EXPECT_LT(report.counters.uptime, absl::Seconds(60));
}

TEST(Faults, AnImbalanceKeepsNewNodesIdle) {
  Scenario scenario = Incident({.what = Imbalance{}});
  SimRunner run(scenario);
  run.RunUntil(run.start() + kOnset + absl::Seconds(1));
  const NodeId node = run.cluster().Launch("more", "a");
  run.RunUntil(run.now() + absl::Minutes(2));
  ASSERT_TRUE(run.cluster().model().IsServing(node));
  EXPECT_EQ(run.cluster().model().Report(node).counters.accepted, 0);
}

TEST(Faults, ARetryStormIsAttemptsWithoutRequests) {
  SimRunner run(Incident({.what = RetryStorm{}}));
  run.RunUntil(run.start() + kOnset + absl::Seconds(20));
  const ClientStatistics storm = run.cluster().model().Statistics(run.now() - absl::Seconds(10), run.now());
  EXPECT_NEAR(static_cast<double>(storm.offered), 4000, 250);
  EXPECT_GT(storm.attempts, storm.offered * 5 / 4);
}

TEST(Faults, TwoOnOneNodeAddUp) {
  Scenario scenario = Incident({.what = SoftwareErrors{.error_ratio = 0.5}});
  scenario.cluster.faults.push_back({.at = kOnset, .what = SoftwareErrors{.error_ratio = 0.5}});
  scenario.cluster.settings.client.retries_max = 0;
  SimRunner run(scenario);
  run.RunUntil(run.start() + kOnset + absl::Seconds(20));
  const ClientStatistics both = run.cluster().model().Statistics(run.now() - absl::Seconds(10), run.now());
  EXPECT_NEAR(both.failed_ratio(), 0.75, 0.03);
}

// Each of these is for diagnosis to name; how often it does is measured elsewhere.
struct NamedCase {
  const char* name;
  FaultKind what;
  Cause want;
};
class NamedFault : public testing::TestWithParam<NamedCase> {};

TEST_P(NamedFault, IsNamedByDiagnosisWithin30s) {
  SimRunner run(Incident({.what = GetParam().what}));
  run.RunUntil(run.start() + kOnset);
  EXPECT_EQ(run.Latest()->diagnosis.cause, Cause::kNone);
  EXPECT_EQ(CauseName(NamedWithin(run, absl::Seconds(30))), CauseName(GetParam().want))
      << RenderReason(run.Latest()->diagnosis.reason);
}

INSTANTIATE_TEST_SUITE_P(All, NamedFault,
                         testing::Values(NamedCase{"deploy", BadDeploy{.error_ratio = 0.2}, Cause::kBadDeploy},
                                         NamedCase{"slow_deploy", BadDeploy{.code_slowness = 5}, Cause::kBadDeploy},
                                         NamedCase{"errors", SoftwareErrors{}, Cause::kSoftware},
                                         NamedCase{"packets", PacketLoss{}, Cause::kNetwork},
                                         NamedCase{"disk", SlowDisk{.slowness = 8}, Cause::kSlowDisk},
                                         NamedCase{"processor", BusyProcessor{.cost = 150}, Cause::kCpu},
                                         NamedCase{"leak", ClientLeak{.connections_per_second = 60},
                                                   Cause::kClientLeak}),
                         [](const auto& of) { return of.param.name; });

TEST(Faults, AHotNodeDrawsItsShareOfTheRequests) {
  SimRunner run(Incident({.duration = absl::Minutes(3), .what = HotNode{.share = 0.7}}));
  run.RunUntil(run.start() + kOnset);
  const auto completed = [&run] {
    std::vector<int64_t> counts;
    for (const NodeReport& report : Reports(run)) counts.push_back(report.counters.completed);
    return counts;
  };
  const std::vector<int64_t> before = completed();
  run.RunUntil(run.now() + absl::Seconds(30));
  const std::vector<int64_t> after = completed();
  int64_t sum = 0;
  for (size_t node = 0; node < 4; ++node) sum += after[node] - before[node];
  EXPECT_GT(after[0] - before[0], sum / 2) << "the first one, of four";
}

}  // namespace
}  // namespace headroom::sim
