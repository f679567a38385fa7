#include <algorithm>

#include "controller/core/signals/signal.h"

namespace headroom {

// Latency says "more" or "fewer", never how many: one node up while the objective is missed, one down only when p99 is
// below half of it. A quiet cluster has no latency and needs none.
Demand LatencyDemand(const SignalInput& in) {
  if (!in.summary.Known(in.policy.control)) return Unknown("latency", in.summary);
  const absl::Duration objective = in.policy.latency.objective, p99 = in.summary.latency.Quantile(0.99);
  double nodes = in.summary.effective;
  if (p99 > objective) nodes = in.summary.serving + 1;
  if (p99 < objective / 2) nodes = std::max(1, in.summary.effective - 1);
  return {"latency", nodes, MakeReason(ReasonCode::kSignalLatency, p99, objective, nodes)};
}

}  // namespace headroom
