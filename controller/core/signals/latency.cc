#include <algorithm>

#include "controller/core/signals/signal.h"

namespace headroom {

// Latency says "more" or "fewer", never how many: one node up while the objective is missed, one down only when p99 is
// below half of it. A quiet cluster has no latency and needs none; servers that answer and do not tell theirs are
// unknown.
Demand LatencyDemand(const SignalInput& in) {
  const FleetSummary& summary = in.summary;
  const bool untold = summary.latency.Total() == 0 && (summary.completed > 0 || summary.active > 0);
  if (!summary.Known(in.policy.control) || untold) return Unknown("latency", summary);
  const absl::Duration objective = in.policy.latency.objective, p99 = summary.latency.Quantile(0.99);
  double nodes = summary.effective;
  if (p99 > objective) nodes = std::max(summary.effective, summary.serving + 1);  // those on their way count
  if (p99 < objective / 2) nodes = std::max(1, summary.effective - 1);
  return {"latency", nodes, MakeReason(ReasonCode::kSignalLatency, p99, objective, nodes), Demand::Kind::kStep};
}

}  // namespace headroom
