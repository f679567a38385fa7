#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/sim/scenario_run.h"

namespace headroom::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kSmall[] = R"(
policy: {mode: dry_run, nodes: {min: 2, max: 4}}
curve:
  phases:
    - {duration: 20s, requests_per_second: 100, clients: 20}
)";

std::string FaultsOf(absl::string_view yaml) {
  return std::string(ParseScenario(yaml, {.name = "file"}).status().message());
}

TEST(Scenario, TakesDefaultsFromTheModel) {
  const absl::StatusOr<ScenarioFile> file = ParseScenario(kSmall, {});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->duration, absl::Seconds(20));
  EXPECT_EQ(file->scenario.cluster.initial_count, 2);
  EXPECT_EQ(file->scenario.cluster.settings.node.connection_limit, NodeSettings().connection_limit);
  EXPECT_EQ(file->scenario.cluster.settings.client.connections_max, ClientSettings().connections_max);
}

TEST(Scenario, TellsEveryFaultWithItsLine) {
  const std::string faults = FaultsOf(R"(policy: {nodes: {min: 9, max: 6}}
cluster:
  conection_limit: 5
  cores: 0
  connection_bytes: 0
  memory_bytes: 1Gi
curve:
  phases:
    - {duration: 0s, requests_per_second: -1}
faults:
  - {at: 1m, slow_disk: {slowness: 0}}
  - {at: 1m, count: 1, zone: a, packet_loss: {loss_ratio: 2}}
  - {at: 1m}
expect:
  - {cause: slow_disc}
  - {nodes: {}}
  - {nodes: {least: 3, most: 2}, to: 1m, within: 1m}
)");
  for (const char* fault :
       {"file:1: policy.nodes.", "file:3: cluster.conection_limit: unknown field; did you mean connection_limit?",
        "file:4: cluster.cores: 0 is outside", "file:5: cluster.connection_bytes: 0 is outside 1 to",
        "file:9: curve.phases[0].duration: must be longer than nothing",
        "file:9: curve.phases[0].requests_per_second: -1 is outside",
        "file:11: faults[0].slow_disk.slowness: 0 is outside 1 to 10000",
        "file:12: faults[1].packet_loss.loss_ratio: 2 is outside 0 to 1",
        "file:12: faults[1]: nodes, zone and count exclude each other", "file:13: faults[2]: says not what goes wrong",
        "file:15: expect[0].cause: \"slow_disc\" is no cause; did you mean slow_disk?",
        "file:16: expect[1].nodes: needs least, most or both", "file:17: expect[2].nodes: least 3 exceeds most 2",
        "file:17: expect[2]: to and within exclude each other"}) {
    EXPECT_THAT(faults, HasSubstr(fault));
  }
}

TEST(Scenario, NeedsACurveAndNoProvider) {
  EXPECT_THAT(FaultsOf("policy: {nodes: {max: 3}}\n"), HasSubstr("curve: needs one of phases and trace"));
  EXPECT_THAT(FaultsOf(std::string(kSmall) + "cluster: {nodes: 3}\nfaults: []\npolicy: {}\n"),
              HasSubstr("stands twice"));
  EXPECT_THAT(FaultsOf("policy: {nodes: {max: 3}, provider: {simulated: {}}}\ncurve: {phases: [{duration: 1s}]}\n"),
              HasSubstr("policy.provider: must be left out"));
}

TEST(Scenario, RampsFromThePhaseBefore) {
  const absl::StatusOr<ScenarioFile> file = ParseScenario(R"(
policy: {nodes: {max: 4}}
curve:
  phases:
    - {duration: 10s, requests_per_second: 100, clients: 10}
    - {duration: 10s, requests_per_second: 500, clients: 50, ramp: 3s}
)",
                                                          {});
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<double> rates;
  for (const Phase& phase : file->scenario.cluster.settings.phases) rates.push_back(phase.requests_per_second);
  EXPECT_THAT(rates, ElementsAre(100, 200, 300, 400, 500));
  EXPECT_EQ(file->duration, absl::Seconds(20));
}

constexpr char kTraced[] = R"(
policy: {nodes: {max: 4}}
curve:
  trace: {file: a.csv, requests_per_second_peak: 500, clients_peak: 50, from: 60s, speed: 2}
)";

TEST(Scenario, ScalesATrace) {
  std::string asked;
  const CurveReader reader = [&](const std::string& path) -> absl::StatusOr<RecordedCurve> {
    asked = path;
    return RecordedCurve{.step = absl::Seconds(60), .values = {1, 4, 0, 2}};
  };
  const absl::StatusOr<ScenarioFile> file = ParseScenario(kTraced, {.folder = "dir", .curves = reader});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(asked, "dir/a.csv");
  const std::vector<Phase>& phases = file->scenario.cluster.settings.phases;
  ASSERT_THAT(phases, SizeIs(3));
  EXPECT_EQ(phases[0].requests_per_second, 500);
  EXPECT_EQ(phases[0].duration, absl::Seconds(30));
  EXPECT_EQ(phases[1].clients, 1) << "somebody is always there";
  EXPECT_EQ(phases[2].clients, 25);
}

TEST(Scenario, TellsWhatIsWrongWithATrace) {
  const CurveReader reader = [](const std::string&) { return absl::NotFoundError("a.csv: there is no such file"); };
  const absl::Status status = ParseScenario(kTraced, {.name = "file", .curves = reader}).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("file:4: curve.trace.file: a.csv: there is no such file"));
}

ScenarioResult Play(const std::string& yaml, const ScenarioOptions& options = {}) {
  const absl::StatusOr<ScenarioFile> file = ParseScenario(yaml, {});
  EXPECT_TRUE(file.ok()) << file.status();
  absl::StatusOr<ScenarioResult> result = RunScenario(*file, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

TEST(ScenarioRun, LooksOnceASecondFromTheStartToTheEnd) {
  const ScenarioResult result = Play(kSmall);
  ASSERT_THAT(result.samples, SizeIs(21));
  EXPECT_LT(result.samples.front().at, absl::Seconds(1));
  EXPECT_EQ(result.samples.back().at, absl::Seconds(20));
  EXPECT_EQ(result.samples.front().nodes, 2);
  EXPECT_EQ(result.samples.back().limit_most, 200);
  EXPECT_GT(result.samples.back().connections, 0);
  EXPECT_NEAR(static_cast<double>(result.total.offered), 2000, 250);
}

TEST(ScenarioRun, IsTheSameFromTheSameSeed) {
  EXPECT_EQ(Play(kSmall, {.seed = 3}).total.latency_sum, Play(kSmall, {.seed = 3}).total.latency_sum);
  EXPECT_NE(Play(kSmall, {.seed = 3}).total.latency_sum, Play(kSmall, {.seed = 4}).total.latency_sum);
}

TEST(ScenarioRun, JudgesEveryExpectation) {
  const ScenarioResult result = Play(std::string(kSmall) + R"(expect:
  - {failed_ratio: {most: 0}}
  - {failed_ratio: {least: 0.1}}
  - {nodes: {least: 2, most: 2}}
  - {nodes: {least: 3}}
  - {limit: {least: 200, most: 200}}
  - {connections: {least: 1}, from: 5s}
  - {p99_ms: {least: 20, most: 500}}
  - {attempts: {most: 1}}
  - {never_cause: slow_disk}
  - {cause: slow_disk}
  - {terminations: {most: 0}}
  - {nodes: {least: 1}, from: 1h}
)");
  std::vector<bool> met;
  for (const Outcome& outcome : result.outcomes) met.push_back(outcome.met);
  EXPECT_THAT(met, ElementsAre(true, false, true, false, true, true, true, true, true, false, true, false));
  EXPECT_FALSE(result.met());
  EXPECT_EQ(result.outcomes[1].text, "failed_ratio at least 0.1");
  EXPECT_EQ(result.outcomes[11].got, "never seen");
}

TEST(ScenarioRun, JudgesOnlyTheStretchThatIsMeant) {
  const ScenarioResult result = Play(R"(
policy: {mode: dry_run, nodes: {min: 2, max: 4}}
cluster: {clients: {retries_max: 0, spread: requests}}
curve:
  phases: [{duration: 60s, requests_per_second: 100, clients: 20}]
faults:
  - {at: 20s, duration: 20s, software_errors: {error_ratio: 1}}
expect:
  - {failed_ratio: {most: 0}, to: 19s}
  - {failed_ratio: {least: 0.99}, from: 21s, within: 18s}
  - {failed_ratio: {most: 0}, from: 42s}
  - {failed_ratio: {least: 0.3, most: 0.4}}
)");
  for (const Outcome& outcome : result.outcomes) EXPECT_TRUE(outcome.met) << outcome.text << ": " << outcome.got;
}

TEST(ScenarioRun, RunsAtTheIntervalLevel) {
  const ScenarioResult result = Play(kSmall, {.grain = Grain::kInterval});
  EXPECT_NEAR(static_cast<double>(result.total.offered), 2000, 250);
}

// A look ends a step, so that short ones make weeks long.
TEST(ScenarioRun, LooksSeldomAtTheIntervalLevelOfALongRun) {
  const ScenarioResult result = Play(R"(
policy:
  nodes: {max: 2}
  limits: {lease: 5m}
  control: {tick: 1m, report_interval: 1m, silent_after: 3m, lost_after: 10m}
cluster: {nodes: 2}
curve: {phases: [{duration: 1h, requests_per_second: 100, clients: 20}]}
)",
                                     {.grain = Grain::kInterval});
  ASSERT_EQ(result.samples.size(), 101u);
  EXPECT_EQ(result.samples[2].at - result.samples[1].at, absl::Seconds(36));
  EXPECT_EQ(result.samples.back().at, absl::Hours(1));
}

TEST(ScenarioRun, RefusesWhatTheIntervalLevelDoesNotKnow) {
  for (const char* unknown :
       {"faults: [{packet_loss: {}}]\n", "faults: [{client_leak: {}}]\n", "cluster: {probes: shared}\n",
        "cluster: {memory_bytes: 1Gi}\n", "cluster: {clients: {retries_max: 8}}\n"}) {
    const absl::StatusOr<ScenarioFile> file = ParseScenario(std::string(kSmall) + unknown, {});
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(RunScenario(*file, {.grain = Grain::kInterval}).status().code(), absl::StatusCode::kUnimplemented)
        << unknown;
    EXPECT_TRUE(RunScenario(*file, {}).ok()) << unknown;
  }
}

}  // namespace
}  // namespace headroom::sim
