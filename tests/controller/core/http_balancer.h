#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

namespace headroom {

// A balancer in mode http: `sessions` and `queue` at each of the world's nodes, whose slots it holds.
class HttpBalancer {
 public:
  explicit HttpBalancer(World& world, BalancerId id = "front") : world_(world), id_(std::move(id)) { Join(); }
  void Join() {
    told_before_ = world_.ActionsOf("set_servers").size();
    world_.core.Observe(world_.now, BalancerJoined{id_});
  }
  void Leave() { world_.core.Observe(world_.now, BalancerLeft{id_}); }

  int64_t limit = 60;
  bool obeys = true;
  bool lists = true;  // HAProxy is there
  NodeId skipped;     // this one is none of its servers
  NodeId keeps;       // this one is, though the world has it no more; it drains
  int64_t kept_sessions = 0;
  std::function<void()> Says(int64_t sessions, int64_t queue) {
    return [this, sessions, queue] {
      TakeOrders();
      BalancerReported reported{.balancer = id_};
      reported.report.boot_id = "boot";
      reported.report.sequence = ++sequence_;
      reported.report.slot_place = SlotPlace::kBalancer;
      for (auto& [id, node] : world_.nodes) {
        if (!lists) break;
        if (id == skipped) continue;
        node.open = 20;
        BalancedServer server;
        server.node = id;
        server.session_count = sessions;
        server.queue_count = queue;
        server.session_count_max = limit;
        server.up = true;
        reported.report.servers.push_back(server);
      }
      if (!keeps.empty())
        reported.report.servers.push_back({.node = keeps, .session_count = kept_sessions, .draining = true});
      world_.core.Observe(world_.now, reported);
    };
  }

 private:
  void TakeOrders() {
    if (!obeys) return;
    const std::vector<Action> told = world_.ActionsOf("set_servers");
    if (told_before_ > told.size()) told_before_ = 0;  // the test has forgotten them
    for (size_t i = told_before_; i < told.size(); ++i) {
      const auto& set = std::get<SetServers>(told[i].body);
      const auto& without = set.without_share;
      if (std::find(without.begin(), without.end(), id_) != without.end()) continue;
      for (const ServerTarget& target : set.servers) {
        if (target.session_count_max > 0) limit = target.session_count_max;
      }
    }
  }

  World& world_;
  BalancerId id_;
  uint64_t sequence_ = 0;
  size_t told_before_ = 0;  // it joined
};

// Six nodes behind a balancer that holds their slots; as many as 1200 sessions need.
inline World SixNodes(Policy policy = LivePolicy()) {
  policy.nodes.stabilization = policy.nodes.cooldown = absl::Seconds(30);
  policy.nodes.remove_count_max = 4;
  policy.connections.target_ratio = 0.7;
  World world(policy);
  for (const char* id : {"node-1", "node-2", "node-3", "node-4", "node-5", "node-6"}) world.AddNode(id);
  world.Run(absl::Seconds(2));
  return world;
}

}  // namespace headroom
