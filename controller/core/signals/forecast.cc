#include <cmath>

#include "controller/core/signals/signal.h"

namespace headroom {

// Can raise the answer and never lowers it: the largest one counts. Where too little is known yet it asks for nothing,
// which unlike "cannot tell" does not keep the fleet from shrinking: until then the others decide as ever.
Demand ForecastDemand(const SignalInput& in) {
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  const absl::Duration lead = in.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  const auto answer = in.forecast.Ahead(lead);
  if (!answer.has_value() || per_node <= 0) {
    return {"forecast", 0.0, MakeReason(ReasonCode::kSignalForecastLearns, in.forecast.known_count())};
  }
  // A node that less than half of is likely to be used costs more than it serves.
  const auto nodes_for = [&](double demand) { return std::round(NodesFor(demand, per_node, in.policy)); };
  const auto surprise = in.forecast.Surprised(lead);
  if (surprise.has_value() && surprise->ahead > answer->upper) {
    const double nodes = nodes_for(surprise->ahead);
    return {"forecast", nodes,
            MakeReason(ReasonCode::kSignalSurprise, surprise->demand, surprise->upper, surprise->growth, lead, nodes)};
  }
  const double nodes = nodes_for(answer->upper);
  const double beyond = forecast::DemandForecast::AskedBeyond(in.policy.forecast.quantile_ratio);
  return {"forecast", nodes,
          MakeReason(ReasonCode::kSignalForecast, answer->expected, answer->ahead, answer->upper, beyond, nodes)};
}

}  // namespace headroom
