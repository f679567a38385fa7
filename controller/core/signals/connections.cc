#include "controller/core/signals/signal.h"

namespace headroom {
namespace {

// The slots are where nobody tells of: what is used of them is not known.
bool BalancersAreSilent(const FleetSummary& summary, const Policy& policy) {
  return summary.carrying - summary.stale < policy.control.quorum_ratio * summary.carrying;
}

}  // namespace

Demand Unknown(absl::string_view signal, const FleetSummary& summary) {
  if (summary.carrying == 0) return {std::string(signal), std::nullopt, MakeReason(ReasonCode::kSignalNoNodes, signal)};
  return {std::string(signal), std::nullopt,
          MakeReason(ReasonCode::kSignalUnknown, signal, summary.fresh, summary.carrying)};
}

int64_t ConnectionsPerNode(const Policy& policy, const FleetSummary& summary) {
  return policy.connections.per_node_count > 0 ? policy.connections.per_node_count : summary.configured_median;
}

double NodesFor(double demand, int64_t per_node, const Policy& policy) {
  return demand / (static_cast<double>(per_node) * policy.connections.target_ratio);
}

std::optional<double> KnownDemand(const FleetSummary& summary, const Policy& policy) {
  if (!summary.Known(policy.control) || BalancersAreSilent(summary, policy)) return std::nullopt;
  return static_cast<double>(summary.demand);
}

Demand ConnectionDemand(const SignalInput& in) {
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  if (!in.summary.Known(in.policy.control) || per_node <= 0) return Unknown("connections", in.summary);
  if (BalancersAreSilent(in.summary, in.policy)) {
    return {"connections", std::nullopt,
            MakeReason(ReasonCode::kSignalBalancers, "connections", in.summary.stale, in.summary.carrying)};
  }
  const double target = in.policy.connections.target_ratio;
  const double nodes = NodesFor(static_cast<double>(in.summary.demand), per_node, in.policy);
  return {"connections", nodes, MakeReason(ReasonCode::kSignalConnections, in.summary.demand, per_node, target, nodes)};
}

}  // namespace headroom
