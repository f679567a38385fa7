// What weeks cost: a cluster of about 50 nodes through the interval-level model and the production loop, in virtual
// time, at a tick of a minute and at the production tick. Traffic and clients follow the day. Prints one JSON object:
// processor seconds for 30 days, by tick, from a run of so many days as stands on the command line.
//
//   interval_bench [DAYS_AT_A_MINUTE DAYS_AT_A_SECOND]       default 30 1
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <numbers>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include <time.h>

#include "controller/sim/interval_model.h"
#include "controller/sim/runner.h"

namespace headroom::sim {
namespace {

constexpr double kDays = 30;

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return absl::ToDoubleSeconds(absl::DurationFromTimespec(now));
}

Scenario AboutFiftyNodes(absl::Duration tick) {
  Scenario scenario;
  scenario.policy.mode = Mode::kLive;
  scenario.policy.nodes.min = 40;
  scenario.policy.nodes.max = 60;
  scenario.policy.limits.law.ceiling_count = 2000;
  scenario.policy.control.tick = scenario.policy.control.report_interval = tick;
  scenario.policy.control.silent_after = 3 * tick + absl::Seconds(2);
  scenario.cluster.initial_count = 50;
  scenario.cluster.report_interval = tick;
  scenario.cluster.pace = SimulatedCluster::Options::Pace::kTogether;
  constexpr int kPhases = 288;
  for (int phase = 0; phase < kPhases; ++phase) {
    const double load = 0.7 + 0.3 * std::sin(2 * std::numbers::pi * phase / kPhases);
    scenario.cluster.settings.phases.push_back({.duration = absl::Hours(24) / kPhases,
                                                .requests_per_second = 8000 * load,
                                                .clients = static_cast<int64_t>(6000 * load)});
  }
  return scenario;
}

// Processor seconds that 30 days take, from so many.
std::string Measure(absl::Duration tick, double days) {
  const Scenario scenario = AboutFiftyNodes(tick);
  const double before = ProcessorSeconds();
  SimRunner run(scenario, std::make_unique<IntervalModel>(scenario.cluster.settings));
  double nodes = 0;
  run.OnDecision([&nodes](const Decision& decision) { nodes += decision.serving_count; });
  run.RunUntil(run.start() + days * absl::Hours(24));
  const double took = ProcessorSeconds() - before;
  const auto decisions = static_cast<double>(run.summary().decisions);
  return absl::StrFormat(
      "{\"days\": %g, \"seconds_for_30_days\": %.2f, \"micros_per_decision\": %.1f, \"nodes_mean\": %.1f, \"offered\": "
      "%d, \"failed\": %d}",
      days, took * kDays / days, 1e6 * took / decisions, nodes / decisions, run.cluster().model().total().offered,
      run.cluster().model().total().failed);
}

int Main(int count, char** words) {
  double minute_days = kDays, second_days = 1;
  if (count == 3 && (!absl::SimpleAtod(words[1], &minute_days) || !absl::SimpleAtod(words[2], &second_days))) return 2;
  std::cout << "{\"minute\": " << Measure(absl::Minutes(1), minute_days)
            << ", \"second\": " << Measure(absl::Seconds(1), second_days) << "}\n";
  return 0;
}

}  // namespace
}  // namespace headroom::sim

int main(int count, char** words) {
  return headroom::sim::Main(count, words);
}
