#include <algorithm>

#include "controller/core/signals/signal.h"

namespace headroom {

// A demand that rises as it never did is expected to rise on as it has: what a lead time brought, the next one may
// bring too, yet it no more than doubles. The nodes are asked for before the ones that are there are full.
Demand SurgeDemand(const SignalInput& in) {
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  const absl::Duration lead = in.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  const auto surge = in.anomaly.DemandSurge(lead);
  if (!surge.has_value() || per_node <= 0) return {"surge", 0.0, MakeReason(ReasonCode::kSignalNoSurge)};
  const double ahead = surge->now + std::min(surge->now - surge->before, surge->now);
  const double nodes = NodesFor(ahead, per_node, in.policy);
  return {"surge", nodes,
          MakeReason(ReasonCode::kSignalSurge, surge->now, surge->before, surge->in, surge->sigmas, ahead, nodes)};
}

}  // namespace headroom
