#include "controller/core/fleet_summary.h"

#include <algorithm>
#include <vector>

namespace headroom {
namespace {

void CountState(const Node& node, FleetSummary& summary) {
  switch (node.state) {
    case NodeState::kLaunching:
      ++summary.launching;
      break;
    case NodeState::kJoining:
      ++summary.joining;
      break;
    case NodeState::kServing:
      ++summary.serving;
      break;
    case NodeState::kRestarting:
      ++summary.restarting;
      break;
    case NodeState::kDraining:
      ++summary.draining;
      break;
    case NodeState::kDrained:
      ++summary.drained;
      break;
    case NodeState::kTerminating:
      ++summary.terminating;
      break;
    case NodeState::kLost:
      ++summary.lost;
      break;
  }
  if (node.hypothetical) ++summary.hypothetical;
  if (node.drained_by_operator) ++summary.drained_by_operator;
  if (node.CountsAsCapacity()) ++summary.effective;
}

void AddLoad(const Node& node, FleetSummary& summary) {
  const NodeRates& rates = node.rates;
  summary.open += node.OpenCount();
  summary.active += node.report.active_count;
  summary.waiting += node.WaitingCount();
  summary.limit += node.LimitCount();
  summary.configured += node.ConfiguredCount();
  summary.completed += rates.completed;
  summary.errors += rates.errors;
  summary.errors_slots_free += rates.errors_slots_free;
  summary.rejected += rates.rejected;
  summary.accepted += rates.accepted;
  summary.overflows += rates.overflows.value_or(0);
  summary.sent_bytes += rates.sent_bytes;
  summary.received_bytes += rates.received_bytes;
  const int64_t limit = node.LimitCount();
  if (limit > 0 && node.DemandCount() >= limit) ++summary.at_limit;
}

int64_t Median(std::vector<int64_t>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

FleetSummary Summarize(const Fleet& fleet, const Policy& policy, absl::Time now) {
  FleetSummary summary;
  summary.latency = fleet.latency();
  std::vector<int64_t> configured;
  configured.reserve(fleet.nodes().size());
  for (const auto& [id, node] : fleet.nodes()) {
    CountState(node, summary);
    if (!node.Carries()) continue;
    summary.demand += node.DemandCount();
    summary.newest_at = std::max(summary.newest_at, node.state_since);
    if (node.state == NodeState::kDraining) continue;
    AddLoad(node, summary);
    if (now - node.last_report_at <= policy.control.silent_after) ++summary.fresh;
    if (node.ConfiguredCount() > 0) configured.push_back(node.ConfiguredCount());
  }
  summary.configured_median = Median(configured);
  return summary;
}

}  // namespace headroom
