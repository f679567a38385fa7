#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/sim/expectation.h"
#include "controller/sim/scenario.h"

namespace headroom::sim {

// The grain of the simulated cluster.
enum class Grain : uint8_t { kRequest, kInterval };
std::unique_ptr<World> MakeWorld(Grain grain, const ClusterSettings& settings);

struct ScenarioOptions {
  Grain grain = Grain::kRequest;
  std::optional<uint64_t> seed;                         // instead of the file's
  std::function<void(absl::Duration done)> progress{};  // called at each look
};

// What came of a run.
struct ScenarioResult {
  std::vector<RunSample> samples;  // evenly spaced, at most kSamplesMax and the last; without `total.latency`
  std::vector<Outcome> outcomes;   // of the expectations, in their order
  ClientStatistics total;
  RunSummary summary;
  std::string last_words;  // the sentence of the last cause that was named; empty: none was
  uint64_t seed = 0;

  static constexpr int64_t kSamplesMax = 20'000;
  bool met() const {
    for (const Outcome& outcome : outcomes) {
      if (!outcome.met) return false;
    }
    return true;
  }
};

// Runs a scenario from its start through its duration. Same file, same seed: same result. It is looked at each virtual
// second; at the interval level each ten (or each tick, where that is longer), but a hundred times at least. Counts are
// exact at either; a gauge may pass a bound between two looks. UNIMPLEMENTED: the grain knows no such fault.
absl::StatusOr<ScenarioResult> RunScenario(const ScenarioFile& file, const ScenarioOptions& options);

}  // namespace headroom::sim
