// The demo's scenario in both models, under the production loop: what tests/bench/model_errors.py holds against a real
// run, and the one against the other. Prints one JSON object: per model requests, failures and, second by second, the
// connections in use and the nodes that serve.
//
//   model_errors POLICY dry_run|live BASE SURGE AFTER [SEED]     seconds of the three phases
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "controller/base/check.h"
#include "controller/runtime/config.h"
#include "controller/sim/cluster_model.h"
#include "controller/sim/interval_model.h"
#include "controller/sim/runner.h"

namespace headroom::sim {
namespace {

struct Phases {
  int base = 0, surge = 0, after = 0;
  int all() const { return base + surge + after; }
};

// deploy/demo: HAProxy takes every client's connection at once, so that only its request's second runs; a node serves
// 3.3 s after its launch is decided. The controller watches for a while before the load begins.
constexpr int kWarmUp = 10;

Scenario Demo(Policy policy, const Phases& phases, uint64_t seed) {
  Scenario scenario;
  scenario.policy = std::move(policy);
  scenario.provider_latency = absl::Milliseconds(100);
  scenario.cluster.initial_count = 3;
  scenario.cluster.boot = absl::Milliseconds(3200);
  scenario.cluster.settings.seed = seed;
  scenario.cluster.settings.client.connect_timeout = absl::Seconds(1);
  scenario.cluster.settings.node.knee = 0;
  scenario.cluster.settings.phases = {
      {.duration = absl::Seconds(kWarmUp), .requests_per_second = 0, .clients = 250},
      {.duration = absl::Seconds(phases.base), .requests_per_second = 450, .clients = 250},
      {.duration = absl::Seconds(phases.surge), .requests_per_second = 1350, .clients = 750},
      {.duration = absl::Hours(1), .requests_per_second = 450, .clients = 250},
  };
  return scenario;
}

std::string Run(const Scenario& scenario, std::unique_ptr<World> world, const Phases& phases) {
  SimRunner run(scenario, std::move(world));
  World& model = run.cluster().model();
  std::vector<int64_t> open, nodes;
  const absl::Time begin = run.start() + absl::Seconds(kWarmUp);
  run.RunUntil(begin);
  for (int second = 1; second <= phases.all(); ++second) {
    run.RunUntil(begin + absl::Seconds(second));
    open.push_back(0), nodes.push_back(0);
    for (const Machine& machine : model.Machines()) {
      if (!model.IsServing(machine.node)) continue;
      open.back() += model.Report(machine.node).open_count;
      ++nodes.back();
    }
  }
  // A request counts where it ends: those of the surge end within the seconds after it.
  const absl::Time surge = begin + absl::Seconds(phases.base);
  const ClientStatistics in_surge = model.Statistics(surge, surge + absl::Seconds(phases.surge));
  const ClientStatistics late = model.Statistics(surge, begin + absl::Seconds(phases.all()));
  const ClientStatistics& total = model.total();
  return absl::StrFormat(
      "{\"requests\": %d, \"failed\": %d, \"failed_ratio\": %.6f, \"surge_failed_ratio\": %.6f, \"causes\": [%s], "
      "\"open\": [%s], \"nodes\": [%s]}",
      total.offered, total.failed, total.failed_ratio(),
      static_cast<double>(late.failed) / static_cast<double>(std::max<int64_t>(1, in_surge.offered)),
      absl::StrJoin(run.summary().causes, ", ",
                    [](std::string* out, Cause cause) { absl::StrAppend(out, "\"", CauseName(cause), "\""); }),
      absl::StrJoin(open, ", "), absl::StrJoin(nodes, ", "));
}

int Main(int count, char** words) {
  Phases phases;
  uint64_t seed = 1;
  if (count < 6 || !absl::SimpleAtoi(words[3], &phases.base) || !absl::SimpleAtoi(words[4], &phases.surge) ||
      !absl::SimpleAtoi(words[5], &phases.after) || (count > 6 && !absl::SimpleAtoi(words[6], &seed))) {
    std::cerr << "usage: model_errors POLICY dry_run|live BASE SURGE AFTER [SEED]\n";
    return 2;
  }
  absl::StatusOr<Config> config = LoadConfig(words[1]);
  if (!config.ok()) {
    std::cerr << config.status().message() << '\n';
    return 1;
  }
  config->policy.mode = std::string(words[2]) == "live" ? Mode::kLive : Mode::kDryRun;
  const Scenario scenario = Demo(config->policy, phases, seed);
  const ClusterSettings& settings = scenario.cluster.settings;
  std::cout << "{\"request\": " << Run(scenario, std::make_unique<ClusterModel>(settings), phases)
            << ",\n \"interval\": " << Run(scenario, std::make_unique<IntervalModel>(settings), phases) << "}\n";
  return 0;
}

}  // namespace
}  // namespace headroom::sim

int main(int count, char** words) {
  return headroom::sim::Main(count, words);
}
