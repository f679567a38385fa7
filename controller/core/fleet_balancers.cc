#include <algorithm>
#include <set>

#include "controller/core/fleet.h"

// The part of Fleet that knows what balancers say of the nodes.

namespace headroom {

bool Fleet::On(absl::Time at, const BalancerReported& event, const Policy&) {
  Balancer& balancer = balancers_[event.balancer];
  const bool replayed =
      balancer.report.boot_id == event.report.boot_id && event.report.sequence <= balancer.report.sequence;
  if (replayed) {
    ++reports_dropped_old_;
    return false;
  }
  balancer.report = event.report;
  balancer.connected = true;
  balancer.last_report_at = at;
  GatherBalancerViews();
  return std::any_of(event.report.servers.begin(), event.report.servers.end(),
                     [](const BalancedServer& server) { return server.queue_count > 0; });
}

bool Fleet::On(absl::Time at, const BalancerJoined& event, const Policy&) {
  Balancer& balancer = balancers_[event.balancer];
  balancer.connected = true;
  balancer.last_report_at = at;
  return true;
}

bool Fleet::On(absl::Time, const BalancerLeft& event, const Policy&) {
  balancers_.erase(event.balancer);
  GatherBalancerViews();
  return false;
}

void Fleet::GatherBalancerViews() {
  std::set<NodeId> held_before;
  for (const auto& [id, node] : nodes_) {
    const int64_t configured = node.behind.configured_count;
    if (node.behind.holds_slots) held_before.insert(id);
    node.behind = {};
    node.behind.configured_count = configured;
  }
  for (const auto& [id, balancer] : balancers_) {
    for (const BalancedServer& server : balancer.report.servers) {
      const auto found = nodes_.find(server.node);
      if (found == nodes_.end()) continue;
      BalancerView& view = found->second.behind;
      view.session_count += server.session_count;
      view.queue_count += server.queue_count;
      view.limit_count += server.session_count_max;
      view.holds_slots = balancer.report.slot_place == SlotPlace::kBalancer && server.session_count_max > 0;
    }
  }
  for (const auto& [id, node] : nodes_) {
    if (node.behind.holds_slots && node.behind.configured_count == 0)
      node.behind.configured_count = node.behind.limit_count;
    if (node.behind.holds_slots == held_before.contains(id)) continue;
    // The slots have moved: what was known of the limit at the other place says nothing about this one.
    node.granted_count = 0;
    node.limit = {};
  }
}

}  // namespace headroom
