#include "controller/sim/troubles.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/sim/interval_model.h"
#include "controller/sim/runner.h"
#include "controller/sim/scenario.h"

namespace headroom::sim {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kCall = absl::Seconds(1);

TEST(Troubles, AddUpWhileTheyAreUnderWay) {
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);
  const Troubles troubles({{absl::Seconds(10), absl::Seconds(10), BadReports{.lost_ratio = 0.5}},
                           {absl::Seconds(15), {}, BadReports{.lost_ratio = 0.5, .late_max = absl::Seconds(3)}},
                           {absl::Seconds(20), absl::Seconds(5), ClockBack{absl::Minutes(1)}}},
                          start);
  const auto lost = [&](int second) {
    return troubles.SettingsAt(start + absl::Seconds(second), kCall).report_lost_ratio;
  };
  EXPECT_EQ(lost(9), 0);
  EXPECT_EQ(lost(10), 0.5);
  EXPECT_EQ(lost(15), 0.75);
  EXPECT_EQ(lost(20), 0.5);
  EXPECT_EQ(troubles.NextAfter(start + absl::Seconds(10)), start + absl::Seconds(15));
  EXPECT_EQ(troubles.NextAfter(start + absl::Seconds(25)), absl::InfiniteFuture());
  EXPECT_EQ(troubles.ClockBehind(start + absl::Seconds(24)), absl::Minutes(1));
  EXPECT_EQ(troubles.ClockBehind(start + absl::Seconds(25)), absl::ZeroDuration());
  EXPECT_FALSE(troubles.KillsController());
}

TEST(Troubles, WithoutAnyACallTakesItsUsualTime) {
  const ControlFaultSettings settings = Troubles({}, {}).SettingsAt({}, kCall);
  ControlFaults faults(1);
  faults.Set(settings);
  EXPECT_EQ(faults.CallProvider({.body = LaunchNode{}}).until_told, kCall);
}

// A surge from the fifth minute on.
Scenario Surge(std::vector<Trouble> troubles) {
  Scenario scenario;
  scenario.policy.mode = Mode::kLive;
  scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
  scenario.policy.limits.law.ceiling_count = 2000;
  scenario.cluster.initial_count = 3;
  scenario.cluster.settings.phases = {
      {.duration = absl::Minutes(5), .requests_per_second = 450, .clients = 150},
      {.duration = absl::Minutes(25), .requests_per_second = 1350, .clients = 750},
  };
  scenario.troubles = std::move(troubles);
  return scenario;
}

struct Played {
  RunSummary summary;
  size_t machines = 0;
  double failed_ratio = 0;
  std::set<int64_t> terms;
  std::vector<int64_t> all;  // for comparison
};
Played Play(const Scenario& scenario, absl::Duration length) {
  SimRunner run(scenario, std::make_unique<IntervalModel>(scenario.cluster.settings));
  Played played;
  absl::Time last = absl::InfinitePast();
  run.OnDecision([&](const Decision& decision) {
    EXPECT_GE(decision.at, last) << "the core's time goes back";
    last = decision.at;
    for (const Action& action : decision.actions) played.terms.insert(action.term);
  });
  run.RunUntil(run.start() + length);
  played.summary = run.summary();
  played.machines = run.cluster().model().Machines().size();
  const ClientStatistics& total = run.cluster().model().total();
  played.failed_ratio = total.failed_ratio();
  played.all = {total.offered, total.failed, run.summary().decisions, run.summary().limit_changes,
                run.summary().launches};
  return played;
}

TEST(TroubledRun, AKilledControllerGoesOnUnderANewTermAndLaunchesNothingTwice) {
  const Played calm = Play(Surge({}), absl::Minutes(10));
  // While machines boot that it asked for.
  const Played killed = Play(Surge({{absl::Seconds(303), absl::Seconds(5), ControllerDown{}}}), absl::Minutes(10));
  EXPECT_EQ(calm.summary.starts, 1);
  EXPECT_EQ(killed.summary.starts, 2);
  EXPECT_GT(calm.machines, 3U);
  EXPECT_EQ(killed.machines, calm.machines);
  EXPECT_EQ(killed.summary.launches, calm.summary.launches);
  EXPECT_THAT(calm.terms, ::testing::ElementsAre(1));
  EXPECT_THAT(killed.terms, ::testing::ElementsAre(1, 2));
}

TEST(TroubledRun, WithoutAControllerLimitsStayAndSoDoesTheOutage) {
  const Played away = Play(Surge({{absl::Minutes(4), {}, ControllerDown{}}}), absl::Minutes(10));
  EXPECT_EQ(away.summary.launches, 0);
  EXPECT_EQ(away.machines, 3U);
  EXPECT_GT(away.failed_ratio, 0.1);
}

TEST(TroubledRun, OrdersThatAreLostLeaveTheLimitsAsTheyAre) {
  Scenario scenario = Surge({{{}, {}, LostOrders{1}}});
  scenario.policy.nodes.max = 3;
  const Played lost = Play(scenario, absl::Minutes(10));
  EXPECT_GT(lost.summary.limit_changes, 0);
  EXPECT_GT(lost.failed_ratio, 0.1);
}

TEST(TroubledRun, AProviderInTroubleLaunchesLateOrNothing) {
  const auto machines = [](const BadProvider& bad) { return Play(Surge({{{}, {}, bad}}), absl::Minutes(8)).machines; };
  EXPECT_EQ(machines({.refused_ratio = 1}), 3U);
  EXPECT_EQ(machines({.stock_out_ratio = 1}), 3U);
  EXPECT_EQ(machines({.answer_lost_ratio = 1}), 3U) << "no list of machines comes either";
  EXPECT_GT(machines({.answer_lost_ratio = 0.5}), 3U) << "it was done";
  EXPECT_GT(machines({.boot_failed_ratio = 1}), 3U) << "they are there";
}

TEST(TroubledRun, AMachineThatNeverComesUpIsReplacedWithinTheLimitOfFailures) {
  const Played run = Play(Surge({{{}, absl::Minutes(6), BadProvider{.boot_failed_ratio = 1}}}), absl::Minutes(30));
  EXPECT_GT(run.summary.terminations, 0);
  EXPECT_GT(run.summary.launches, static_cast<int64_t>(run.machines) - 3);
}

TEST(TroubledRun, AClockThatIsSetBackStopsNothing) {
  const Played run = Play(Surge({{absl::Minutes(4), absl::Minutes(3), ClockBack{absl::Hours(1)}}}), absl::Minutes(10));
  EXPECT_LT(run.failed_ratio, 0.01);
  EXPECT_GT(run.machines, 3U);
}

TEST(TroubledRun, IsTheSameFromTheSameSeed) {
  const auto all = [](uint64_t seed) {
    Scenario scenario = Surge({{{}, {}, BadReports{0.2, 0.2, 0.2, 0.2}},
                               {{}, {}, BadProvider{.refused_ratio = 0.3, .boot_failed_ratio = 0.3}},
                               {absl::Minutes(6), absl::Seconds(20), ControllerDown{}}});
    scenario.cluster.settings.seed = seed;
    return Play(scenario, absl::Minutes(10)).all;
  };
  EXPECT_EQ(all(1), all(1));
  EXPECT_NE(all(1), all(2));
}

TEST(TroublesInAScenario, AreReadAndTellTheirFaultsWithTheLine) {
  constexpr char kFile[] = R"(policy: {nodes: {max: 4}}
curve: {phases: [{duration: 1m, requests_per_second: 100}]}
faults:
  - {at: 1s, duration: 2s, bad_reports: {lost_ratio: 0.5, late_max: 3s}}
  - {bad_provider: {stock_out_ratio: 0.1, call_max: 20s}}
  - {lost_orders: {}}
  - {controller_down: {}}
  - {clock_back: {by: 1m}}
  - {count: 1, foreign_writer: {limit_count: 7}}
)";
  const absl::StatusOr<ScenarioFile> file = ParseScenario(kFile, {});
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<Trouble>& troubles = file->scenario.troubles;
  ASSERT_EQ(troubles.size(), 5U);
  EXPECT_EQ(troubles[0].at, absl::Seconds(1));
  EXPECT_EQ(std::get<BadReports>(troubles[0].what).late_max, absl::Seconds(3));
  EXPECT_EQ(std::get<BadProvider>(troubles[1].what).stock_out_ratio, 0.1);
  EXPECT_EQ(std::get<LostOrders>(troubles[2].what).lost_ratio, 1);
  EXPECT_EQ(std::get<ClockBack>(troubles[4].what).by, absl::Minutes(1));
  ASSERT_EQ(file->scenario.cluster.faults.size(), 1U);
  EXPECT_EQ(std::get<ForeignWriter>(file->scenario.cluster.faults[0].what).limit_count, 7);

  const std::string faults(ParseScenario(R"(policy: {nodes: {max: 4}}
curve: {phases: [{duration: 1m, requests_per_second: 100}]}
faults:
  - {bad_reports: {lost_ratio: 2}}
  - {bad_provider: {boot_faild_ratio: 0.5}}
  - {zone: a, controller_down: {}}
  - {clock_back: {by: 0s}}
  - {foreign_writer: {limit_count: 0, each: 1ms}}
  - {bad_report: {}}
)",
                                         {.name = "file"})
                               .status()
                               .message());
  for (const char* fault :
       {"file:4: faults[0].bad_reports.lost_ratio: 2 is outside 0 to 1",
        "file:5: faults[1].bad_provider.boot_faild_ratio: unknown field; did you mean boot_failed_ratio?",
        "file:6: faults[2]: nodes, zone and count say nothing here",
        "file:7: faults[3].clock_back.by: 0 is outside 1ms to",
        "file:8: faults[4].foreign_writer.limit_count: 0 is outside 1 to",
        "file:8: faults[4].foreign_writer.each: 1ms is outside 100ms to",
        "file:9: faults[5].bad_report: unknown field; did you mean bad_reports?"}) {
    EXPECT_THAT(faults, HasSubstr(fault));
  }
}

}  // namespace
}  // namespace headroom::sim
