#include "controller/core/signals/signal.h"

namespace headroom {

// Of nodes that bear data: what they store together against what a node may. Nodes that do not tell leave it unknown.
Demand StoredDemand(const SignalInput& in) {
  const FleetSummary& summary = in.summary;
  double per_node = static_cast<double>(in.policy.stored.bytes_per_node);
  if (per_node <= 0 && summary.storing > 0) per_node = summary.capacity_bytes / summary.storing;
  const bool told = summary.storing > 0 && static_cast<double>(summary.storing) >=
                                               in.policy.control.quorum_ratio * static_cast<double>(summary.carrying);
  if (!summary.Known(in.policy.control) || !told || per_node <= 0) return Unknown("stored", summary);
  const double target = in.policy.stored.target_ratio;
  const double nodes = summary.stored_bytes / (per_node * target);
  return {"stored", nodes, MakeReason(ReasonCode::kSignalStored, summary.stored_bytes, per_node, target, nodes)};
}

}  // namespace headroom
