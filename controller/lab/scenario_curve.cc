#include "controller/lab/scenario_curve.h"

#include <cmath>

#include "controller/base/status.h"
#include "controller/lab/trace.h"

namespace headroom::lab {

absl::StatusOr<sim::RecordedCurve> ReadScenarioCurve(const std::string& source) {
  HR_ASSIGN_OR_RETURN(const Trace trace, ReadTrace(source));
  const int64_t step = absl::ToInt64Seconds(trace.step);
  if (step <= 0) return absl::InvalidArgumentError("rows are less than a second apart");
  sim::RecordedCurve curve{.step = absl::Seconds(step)};
  int64_t next = trace.samples.front().unix_seconds;  // where the next value belongs
  for (const TraceSample& sample : trace.samples) {
    if (std::isnan(sample.value)) continue;
    if (curve.values.empty()) next = sample.unix_seconds;
    while (next < sample.unix_seconds && curve.values.size() < kTraceRowsMax) {
      curve.values.push_back(curve.values.back());
      next += step;
    }
    curve.values.push_back(sample.value);
    next += step;
  }
  return curve;
}

}  // namespace headroom::lab
