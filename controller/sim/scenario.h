#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/sim/expectation.h"
#include "controller/sim/runner.h"

namespace headroom::sim {

// What a scenario file says (proto/headroom/v1/scenario.proto, docs/planning.md).
struct ScenarioFile {
  std::string about;
  Scenario scenario;
  absl::Duration duration;
  std::vector<Expectation> expectations;
};

// A recorded series, for the curve of a scenario: values from the first row on, `step` apart.
struct RecordedCurve {
  absl::Duration step;
  std::vector<double> values;
};
// Reads FILE or FILE:COLUMN. The laboratory has one (lab/scenario_curve.h); without any, traces are refused.
using CurveReader = std::function<absl::StatusOr<RecordedCurve>(const std::string& path)>;

// How a scenario is read: what the faults call the text, where its relative paths begin, who reads traces.
struct ScenarioSource {
  std::string name = "scenario";
  std::string folder;  // empty: the current one
  CurveReader curves;
};

// Reads YAML. All faults are reported at once in INVALID_ARGUMENT, a line each, as of a policy:
//   outage.yaml:12: faults[0].slow_disk.slowness: 0 is outside 1 to 10000
// A trace that cannot be read is a fault of curve.trace.file.
absl::StatusOr<ScenarioFile> ParseScenario(absl::string_view yaml, const ScenarioSource& source);
// NOT_FOUND / PERMISSION_DENIED with the path, else as above.
absl::StatusOr<ScenarioFile> LoadScenario(const std::string& path, const CurveReader& curves);

}  // namespace headroom::sim
