#include "controller/core/fleet/fleet_summary.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "controller/base/median.h"

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
      if (node.unheard) ++summary.unheard;
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
  if (node.launch_failed && node.IsComing()) ++summary.stuck;
  if (node.IsAwaited() && node.launched_at != absl::InfinitePast()) {
    ++summary.asked;
    summary.asked_at = std::min(summary.asked_at, node.launched_at);
  }
}

// How far the limit of a node can be raised.
int64_t CeilingOf(const Node& node, const FleetLimitPolicy& policy) {
  if (!policy.enabled || !node.takes_limits) return node.LimitCount();
  int64_t ceiling = policy.law.ceiling_count;
  if (node.fixed.count > 0) return node.fixed.count;
  if (node.knee_count_max > 0) ceiling = std::min(ceiling, node.knee_count_max);
  ceiling = std::min(ceiling, node.hello.fd_count_max.value_or(ceiling));
  ceiling = std::min(ceiling, node.hello.memory_count_max.value_or(ceiling));
  return std::max(ceiling, node.LimitCount());  // a raise stops there, and nothing is lowered to it
}

void AddStored(const Node& node, FleetSummary& summary) {
  if (node.report.capacity_bytes <= 0) return;
  ++summary.storing;
  summary.stored_bytes += static_cast<double>(node.report.stored_bytes);
  summary.capacity_bytes += static_cast<double>(node.report.capacity_bytes);
}

// Only one that Headroom launched a while ago asks for others in its stead: what they receive cannot be taken back, and
// an old node that restarts or is filled less than others is no reason to launch any.
DataLack::Part PartOf(const Node& node, absl::Time now, absl::Duration launch_timeout) {
  constexpr int kNewFor = 4;  // launch timeouts
  const bool ours = node.launched_at != absl::InfinitePast();
  const bool is_new = now - node.AwaitedSince() < kNewFor * launch_timeout;
  const bool receives = now - std::max(node.fill.gained_at, node.state_since) < launch_timeout;
  if (ours && is_new && !receives) return DataLack::Part::kStarved;
  return is_new || (ours && receives) ? DataLack::Part::kFilling : DataLack::Part::kSettled;
}

void AddLoad(const Node& node, FleetSummary& summary) {
  const NodeRates& rates = node.rates;
  summary.open += node.OpenCount();
  summary.active += node.report.active_count;
  summary.waiting += node.WaitingCount();
  summary.in_flight += std::max(node.report.in_flight_count, node.report.active_count);
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

}  // namespace

void Positions::Add(double position) {
  const double bucket = std::min(position * kPerOne, static_cast<double>(kBuckets - 1));
  ++buckets_[static_cast<size_t>(bucket)];
  ++count_;
  sum_ += position;
}

std::optional<double> Positions::Quantile(double p) const {
  if (count_ == 0) return std::nullopt;
  int32_t reached = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    reached += buckets_[i];
    if (reached >= p * count_) return (static_cast<double>(i) + 0.5) / kPerOne;
  }
  return std::nullopt;
}

void Summarizer::Add(const Node& node) {
  CountState(node, summary_);
  if (node.IsAbsent() || node.MayStillCome(now_, policy_.nodes.launch_timeout)) ++summary_.absent;
  const bool died_unlisted = node.state == NodeState::kLost && !node.listed && !node.drained_by_operator;
  if (died_unlisted) unlisted_heard_.push_back(node.last_report_at);
  const bool fresh = node.state == NodeState::kServing && now_ - node.state_since < policy_.nodes.restart_grace;
  if (fresh && node.launched_at == absl::InfinitePast()) ++summary_.newcomers;
  if (!node.Carries()) return;
  summary_.demand += node.DemandCount();
  summary_.newest_at = std::max(summary_.newest_at, node.state_since);
  if (node.state == NodeState::kDraining) return;
  AddLoad(node, summary_);
  AddStored(node, summary_);
  if (policy_.nodes.data == DataPlacement::kBearing && node.report.capacity_bytes > 0) {
    filled_.push_back({static_cast<double>(node.report.stored_bytes) / static_cast<double>(node.report.capacity_bytes),
                       PartOf(node, now_, policy_.nodes.launch_timeout)});
  }
  summary_.ceiling += CeilingOf(node, policy_.limits);
  const int64_t fixed = policy_.connections.per_node_count, per_node = fixed > 0 ? fixed : node.SizeCount();
  if (per_node > 0) summary_.positions.Add(static_cast<double>(node.DemandCount()) / static_cast<double>(per_node));
  ++summary_.carrying;
  if (now_ - node.reported_at <= policy_.control.silent_after) ++summary_.fresh;
  if (node.behind.is_stale) ++summary_.stale;
  if (node.SizeCount() > 0) configured_.push_back(node.SizeCount());
}

FleetSummary Summarizer::Finish(const Fleet& fleet) && {
  summary_.latency = fleet.latency();
  summary_.configured_median = UpperMedian(configured_);
  summary_.lack = DataLack::Of(filled_);
  // Where no node has served for long, a fleet begins: nobody updates it.
  const bool established = std::any_of(fleet.nodes().begin(), fleet.nodes().end(), [this](const auto& one) {
    return one.second.state == NodeState::kServing && now_ - one.second.state_since >= policy_.nodes.restart_grace;
  });
  if (!established) summary_.newcomers = 0;
  // What spoke after the provider's last list and died is still there, as far as anybody knows.
  constexpr absl::Duration kListTakes = absl::Minutes(1);
  summary_.absent += fleet.unanswered_launches();
  summary_.absent +=
      static_cast<int>(std::count_if(unlisted_heard_.begin(), unlisted_heard_.end(),
                                     [&](absl::Time heard) { return heard > fleet.last_listed_at() - kListTakes; }));
  return summary_;
}

FleetSummary Summarize(const Fleet& fleet, const Policy& policy, absl::Time now) {
  Summarizer summarizer(policy, now);
  for (const auto& [id, node] : fleet.nodes()) summarizer.Add(node);
  return std::move(summarizer).Finish(fleet);
}

}  // namespace headroom
