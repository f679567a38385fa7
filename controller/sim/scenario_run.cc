#include "controller/sim/scenario_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/sim/cluster_model.h"
#include "controller/sim/interval_model.h"
#include "controller/sim/waiting_line.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kLook = absl::Seconds(1);
constexpr absl::Duration kIntervalLook = absl::Seconds(10);
constexpr absl::Duration kFirstLook = absl::Milliseconds(1);  // the first nodes have begun to serve

// The interval level takes long steps where nothing turns, and a look ends one.
absl::Duration LookEach(Grain grain, const ScenarioFile& file) {
  if (grain == Grain::kRequest) return kLook;
  return std::min(std::max(kIntervalLook, file.scenario.policy.control.tick),
                  std::max(kLook, absl::Trunc(file.duration / 100, kLook)));
}

RunSample Look(SimRunner& run) {
  const SimulatedCluster& cluster = run.cluster();
  RunSample sample{.at = run.now() - run.start(), .total = cluster.model().total()};
  for (const Machine& machine : cluster.model().Machines()) {
    if (!cluster.model().IsServing(machine.node)) continue;
    const int64_t limit = cluster.model().Limits(machine.node).connection_count_max;
    sample.limit_least = sample.nodes == 0 ? limit : std::min(sample.limit_least, limit);
    sample.limit_most = std::max(sample.limit_most, limit);
    sample.connections += cluster.model().OpenCount(machine.node);
    ++sample.nodes;
  }
  if (const auto latest = run.Latest()) sample.cause = latest->diagnosis.cause;
  return sample;
}

// What the interval level would silently leave out. Faults that it does not know it refuses itself.
absl::Status CheckIntervalKnows(const ClusterSettings& settings) {
  const auto refuse = [](absl::string_view what) {
    return absl::UnimplementedError(absl::StrCat("the interval level knows no ", what, "; --model request does"));
  };
  if (settings.node.memory.bytes_max > 0) return refuse("memory");
  if (settings.node.data.bytes_per_node > 0) return refuse("data");
  if (settings.node.probes.way == ProbeSettings::Way::kShared) return refuse("probes that share the slots");
  if (settings.client.retry_budget_ratio > 0) return refuse("retry budgets");
  if (settings.client.retries_max >= kAttemptsMax)
    return refuse(absl::StrCat("more than ", kAttemptsMax - 1, " retries"));
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<World> MakeWorld(Grain grain, const ClusterSettings& settings) {
  if (grain == Grain::kInterval) return std::make_unique<IntervalModel>(settings);
  return std::make_unique<ClusterModel>(settings);
}

absl::StatusOr<ScenarioResult> RunScenario(const ScenarioFile& file, const ScenarioOptions& options) {
  Scenario scenario = file.scenario;
  if (options.grain == Grain::kInterval) HR_RETURN_IF_ERROR(CheckIntervalKnows(scenario.cluster.settings));
  if (options.seed.has_value()) scenario.cluster.settings.seed = *options.seed;
  ScenarioResult result{.seed = scenario.cluster.settings.seed};
  std::vector<Judge> judges(file.expectations.begin(), file.expectations.end());
  SimRunner run(scenario, MakeWorld(options.grain, scenario.cluster.settings));
  run.OnDecision([&](const Decision& decision) {
    // By the world's clock: the controller's own may have been set back.
    for (Judge& judge : judges) judge.See(run.now() - run.start(), decision);
    if (decision.diagnosis.cause > Cause::kCannotTell) result.last_words = RenderReason(decision.diagnosis.reason);
  });
  const absl::Duration each = LookEach(options.grain, file);
  const int64_t looks = std::max<int64_t>(1, file.duration / each);
  const int64_t keep_each = looks / ScenarioResult::kSamplesMax + 1;
  for (int64_t look = 0; look <= looks; ++look) {
    run.RunUntil(run.start() + (look == looks ? file.duration : std::max(look * each, kFirstLook)));
    HR_RETURN_IF_ERROR(run.cluster().fault_status());
    RunSample sample = Look(run);
    for (Judge& judge : judges) judge.See(sample);
    if (options.progress) options.progress(sample.at);
    sample.total.latency = {};
    if (look % keep_each == 0 || look == looks) result.samples.push_back(sample);
  }
  for (const Judge& judge : judges) result.outcomes.push_back(judge.Tell());
  result.total = run.cluster().model().total();
  result.summary = run.summary();
  return result;
}

}  // namespace headroom::sim
