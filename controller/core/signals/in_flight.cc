#include <algorithm>

#include "controller/core/signals/signal.h"

namespace headroom {

// Requests in service: what a node works at, where connections only say who may come.
Demand InFlightDemand(const SignalInput& in) {
  if (!in.summary.Known(in.policy.control)) return Unknown("in_flight", in.summary);
  const auto work = static_cast<double>(in.summary.in_flight);
  const auto per_node = static_cast<double>(in.policy.in_flight.per_node_count);
  const double target = in.policy.in_flight.target_ratio;
  const double nodes = work / (per_node * target);
  return {"in_flight", nodes, MakeReason(ReasonCode::kSignalInFlight, work, per_node, target, nodes)};
}

}  // namespace headroom
