#include <algorithm>

#include "controller/core/signals/signal.h"

namespace headroom {

// Latency says "more" or "fewer", never how many: one node up while the objective is missed, one down only when p99 is
// below half of it. A quiet cluster has no latency and needs none, and neither has one that is busy with a few long
// downloads; where work is in service and nothing goes out, nothing may be taken away. Servers that answer and do not
// tell their latency are unknown.
Demand LatencyDemand(const SignalInput& in) {
  const FleetSummary& summary = in.summary;
  const bool no_latency = summary.latency.Total() == 0;
  const bool untold = no_latency && summary.completed > 0;
  if (!summary.Known(in.policy.control) || untold) return Unknown("latency", summary);
  const absl::Duration objective = in.policy.latency.objective, p99 = summary.latency.Quantile(0.99);
  double nodes = summary.effective;
  if (p99 > objective) nodes = std::max(summary.effective, summary.serving + 1);  // those on their way count
  const bool stands = no_latency && summary.active > 0 && summary.sent_bytes <= 0;
  if (p99 < objective / 2 && !stands) nodes = std::max(1, summary.effective - 1);
  return {"latency", nodes, MakeReason(ReasonCode::kSignalLatency, p99, objective, nodes), Demand::Kind::kStep};
}

}  // namespace headroom
