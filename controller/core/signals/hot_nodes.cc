#include <algorithm>

#include "controller/core/signals/signal.h"

namespace headroom {
namespace {

// New nodes fill slowly, and until then the others look hot beside them.
bool IsSettling(const SignalInput& in) {
  return in.now - in.summary.newest_at < in.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
}

}  // namespace

// Means hide that some nodes are full while others idle. So many nodes are needed that the p95 node is filled to
// hot_nodes.at with the skew of now; but of a skew above skew_max more nodes would stay as cold as the cold ones, so
// that only asks for what skew_max explains, and the load must be spread anew. While the p95 node is beyond `at`
// nothing is taken away.
Demand HotNodeDemand(const SignalInput& in) {
  const FleetSummary& summary = in.summary;
  if (!summary.Known(in.policy.control)) return Unknown("hot_nodes", summary);
  const std::optional<double> hot = summary.positions.Quantile(0.95);
  const double mean = summary.positions.Mean(), at = in.policy.hot_nodes.at_ratio;
  if (!hot.has_value() || mean <= 0 || IsSettling(in)) {
    return {"hot_nodes", 0.0, MakeReason(ReasonCode::kSignalHotNodesIdle)};
  }
  const double skew = *hot / mean, skew_max = in.policy.hot_nodes.skew_ratio_max;
  double nodes = std::min(skew, skew_max) * summary.positions.Sum() / at;
  if (*hot > at) nodes = std::max<double>(nodes, summary.effective);
  const bool skewed = *hot > at && skew > skew_max;
  return {"hot_nodes", nodes,
          MakeReason(skewed ? ReasonCode::kSignalHotNodesSkewed : ReasonCode::kSignalHotNodes, *hot, mean, at, nodes)};
}

}  // namespace headroom
