#include "controller/core/nodes/learning.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace headroom {
namespace {

using Open = std::optional<Reason>;

// The window without which nothing is removed.
Open Window(const Autoscaler& core, absl::Time now) {
  const ScaleMemory& scale = core.Save().scale;
  const absl::Duration window = core.policy().nodes.stabilization;
  const absl::Duration left = scale.began_at == absl::InfinitePast() ? window : scale.began_at + window - now;
  if (left <= absl::ZeroDuration()) return {};
  return MakeReason(ReasonCode::kLearnsWindow, absl::Ceil(left, absl::Seconds(1)));
}

Open LeadTime(const Autoscaler& core) {
  if (core.fleet().learned_lead_time().has_value()) return {};
  return MakeReason(ReasonCode::kLearnsLeadTime, core.policy().nodes.lead_time);
}

// The usual latency of each node, which vetoes raises.
Open UsualLatency(const Autoscaler& core) {
  int64_t nodes = 0, known = 0;
  for (const auto& [id, node] : core.fleet().nodes()) {
    if (!node.Carries()) continue;
    ++nodes;
    known += node.baseline.value().has_value() ? 1 : 0;
  }
  if (nodes > 0 && known == nodes) return {};
  return MakeReason(ReasonCode::kLearnsLatency, known, nodes);
}

Open Forecast(const Autoscaler& core) {
  const Policy& policy = core.policy();
  const forecast::DemandForecast& forecast = core.Save().forecast;
  const absl::Duration lead = core.fleet().learned_lead_time().value_or(policy.nodes.lead_time);
  if (forecast.Ahead(lead).has_value()) return {};
  const int64_t missing = forecast.SlotsMissing(lead, policy.forecast.quantile_ratio);
  return MakeReason(ReasonCode::kLearnsForecast, std::max<int64_t>(1, missing) * forecast.step(),
                    forecast.known_count());
}

Open Surge(const Autoscaler& core) {
  const absl::Duration left = core.Save().anomaly.LearnsFor();
  if (left <= absl::ZeroDuration()) return {};
  return MakeReason(ReasonCode::kLearnsSurge, left);
}

}  // namespace

Learning LearningOf(const Autoscaler& core, const std::vector<Demand>& demands, absl::Time now) {
  Learning learning;
  const auto add = [&learning](Open open) {
    ++learning.total;
    if (open.has_value()) learning.open.push_back(*std::move(open));
  };
  for (const Demand& demand : demands) {
    if (demand.signal == "forecast")
      add(Forecast(core));
    else if (demand.signal == "surge")
      add(Surge(core));
    else
      add(demand.node_count.has_value() ? Open() : demand.reason);
  }
  add(Window(core, now));
  add(LeadTime(core));
  add(UsualLatency(core));
  return learning;
}

}  // namespace headroom
