#include "controller/core/fleet_summary.h"

#include <algorithm>
#include <utility>
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
      if (!node.shadow_gone) ++summary.terminating;
      break;
    case NodeState::kLost:
      ++summary.lost;
      break;
  }
  if (node.drained_by_operator) ++summary.drained_by_operator;
  if (node.returning) ++summary.returning;
  if (node.CanReturn()) ++summary.returnable;
  if (node.IsLeaving() && (node.drained_by_operator || node.found_draining)) ++summary.kept;
  if (node.CountsAsCapacity()) ++summary.effective;
  if (node.IsAbsent()) ++summary.absent;
  if (node.launch_failed && node.IsComing()) ++summary.stuck;
}

void AddLoad(const Node& node, FleetSummary& summary) {
  const NodeRates& rates = node.rates;
  summary.open += node.OpenCount();
  summary.active += node.report.active_count;
  summary.waiting += node.WaitingCount();
  summary.limit += node.LimitCount();
  summary.completed += rates.completed;
  summary.errors += rates.errors;
  summary.accepted += rates.accepted;
  summary.rejected += rates.rejected;
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

void Summarizer::Add(const Node& node) {
  CountState(node, summary_);
  if (!node.Carries()) return;
  summary_.demand += node.DemandCount();
  summary_.newest_at = std::max(summary_.newest_at, node.state_since);
  if (node.state == NodeState::kDraining) return;
  AddLoad(node, summary_);
  ++summary_.carrying;
  if (now_ - node.last_report_at <= silent_after_) ++summary_.fresh;
  if (node.behind.is_stale) ++summary_.stale;
  if (node.ConfiguredCount() > 0) configured_.push_back(node.ConfiguredCount());
}

FleetSummary Summarizer::Finish(const Fleet& fleet) && {
  summary_.latency = fleet.latency();
  summary_.configured_median = Median(configured_);
  return summary_;
}

FleetSummary Summarize(const Fleet& fleet, const Policy& policy, absl::Time now) {
  Summarizer summarizer(policy, now);
  for (const auto& [id, node] : fleet.nodes()) summarizer.Add(node);
  return std::move(summarizer).Finish(fleet);
}

}  // namespace headroom
