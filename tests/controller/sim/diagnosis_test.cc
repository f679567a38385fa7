#include "controller/core/diagnosis/diagnosis.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

#include "controller/sim/runner.h"

// Diagnosis held against the cluster at the level of single requests, which knows nothing of its rules.

namespace headroom::sim {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(250);

Scenario Outage(Mode mode, absl::Duration calm, uint64_t seed) {
  Scenario scenario;
  scenario.policy.mode = mode;
  scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
  scenario.policy.limits.law.ceiling_count = 2000;
  scenario.cluster.initial_count = 3;
  scenario.cluster.settings.seed = seed;
  scenario.cluster.settings.phases = {
      {.duration = calm, .requests_per_second = 450, .clients = 250},
      {.duration = absl::Seconds(30), .requests_per_second = 1350, .clients = 750},
      {.duration = absl::Hours(1000), .requests_per_second = 450, .clients = 250},
  };
  return scenario;
}

bool HasRejected(SimRunner& run) {
  World& model = run.cluster().model();
  const std::vector<Machine> machines = model.Machines();
  return std::any_of(machines.begin(), machines.end(), [&](const Machine& machine) {
    return model.IsServing(machine.node) && model.Report(machine.node).counters.rejected > 0;
  });
}

bool RulesOut(const Diagnosis& diagnosis, ReasonCode code) {
  return std::any_of(diagnosis.ruled_out.begin(), diagnosis.ruled_out.end(),
                     [&](const Reason& reason) { return reason.code == code && !reason.arguments.empty(); });
}

// Every cause that is said until then, in order.
std::vector<Cause> Listen(SimRunner& run, absl::Duration until) {
  std::vector<Cause> said;
  while (run.now() < run.start() + until) {
    run.RunUntil(run.now() + kStep);
    const Cause cause = run.Latest()->diagnosis.cause;
    if (said.empty() || said.back() != cause) said.push_back(cause);
  }
  return said;
}

TEST(SimDiagnosis, NamesTheSurgeWithinFiveSecondsOfTheFirstRejectionAndRulesOutTheWrongGuesses) {
  for (const absl::Duration calm : {absl::Seconds(10), absl::Seconds(60)}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      SimRunner run(Outage(Mode::kDryRun, calm, seed));
      run.RunUntil(run.start() + calm);
      ASSERT_EQ(run.Latest()->diagnosis.cause, Cause::kNone);
      while (!HasRejected(run) && run.now() < run.start() + absl::Minutes(3)) run.RunUntil(run.now() + kStep);
      ASSERT_TRUE(HasRejected(run));
      run.RunUntil(run.now() + absl::Seconds(5));
      const Diagnosis& diagnosis = run.Latest()->diagnosis;
      EXPECT_EQ(diagnosis.cause, Cause::kSurge) << RenderReason(diagnosis.reason);
      for (const ReasonCode code : {ReasonCode::kNotBadDeploy, ReasonCode::kNotNetwork, ReasonCode::kNotSoftware})
        EXPECT_TRUE(RulesOut(diagnosis, code)) << ReasonName(code);
    }
  }
}

TEST(SimDiagnosis, NeverTakesTheSurgeOrItsTailForAnythingElse) {
  for (const Mode mode : {Mode::kDryRun, Mode::kLive}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      SimRunner run(Outage(mode, absl::Seconds(60), seed));
      run.RunUntil(run.start() + absl::Seconds(60));
      const std::vector<Cause> said = Listen(run, absl::Minutes(4));
      EXPECT_EQ(std::count(said.begin(), said.end(), Cause::kSurge), 1);
      for (const Cause cause : said) EXPECT_LE(cause, Cause::kSurge) << CauseName(cause);
    }
  }
}

TEST(SimDiagnosis, TellsOneSlowNodeFromALoad) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Scenario scenario = Outage(Mode::kDryRun, absl::Hours(1), seed);
    scenario.cluster.settings.phases[0].clients = 130;
    SimRunner run(scenario);
    run.RunUntil(run.start() + absl::Seconds(60));
    const NodeId node = run.cluster().model().Machines()[1].node;
    ASSERT_TRUE(run.cluster().model().SetSlowness(node, 15).ok());
    const std::vector<Cause> said = Listen(run, absl::Seconds(90));
    EXPECT_EQ(said.back(), Cause::kSlowDisk);
    EXPECT_NE(RenderReason(run.Latest()->diagnosis.reason).find(node), std::string::npos);
  }
}

TEST(SimDiagnosis, BlamesNobodyForARollingRestart) {
  Scenario scenario = Outage(Mode::kDryRun, absl::Hours(1), 1);
  scenario.cluster.settings.phases[0].clients = 130;
  SimRunner run(scenario);
  run.RunUntil(run.start() + absl::Seconds(60));
  for (const Machine& machine : run.cluster().model().Machines()) {
    ASSERT_TRUE(run.cluster().model().Restart(machine.node, absl::Seconds(5)).ok());
    const std::vector<Cause> said = Listen(run, run.now() - run.start() + absl::Seconds(15));
    EXPECT_TRUE(std::none_of(said.begin(), said.end(), [](Cause cause) { return cause >= Cause::kSurge; }));
  }
}

}  // namespace
}  // namespace headroom::sim
