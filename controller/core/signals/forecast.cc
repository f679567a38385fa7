#include "controller/core/signals/signal.h"

namespace headroom {

// Can raise the answer and never lowers it: the largest one counts. Where too little is known yet it asks for nothing,
// which unlike "cannot tell" does not keep the fleet from shrinking: until then the others decide as ever.
Demand ForecastDemand(const SignalInput& in) {
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  const absl::Duration lead = in.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  const double quantile = in.policy.forecast.quantile_ratio;
  const auto answer = in.forecast.Ahead(lead, quantile);
  if (!answer.has_value() || per_node <= 0) {
    return {"forecast", 0.0, MakeReason(ReasonCode::kSignalForecastLearns, in.forecast.known_count())};
  }
  const double nodes = NodesFor(answer->upper, per_node, in.policy);
  return {"forecast", nodes,
          MakeReason(ReasonCode::kSignalForecast, answer->expected, answer->ahead, answer->upper, 1 - quantile, nodes)};
}

}  // namespace headroom
