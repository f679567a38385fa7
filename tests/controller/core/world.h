#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller/core/autoscaler.h"

namespace headroom {

// World: a tiny cluster for tests of the core. Nodes are plain numbers that a test sets; Run() lets each report once a
// second and ticks the core when it asks for it, starting each action and finishing it as a well-behaved provider
// would.
class World {
 public:
  struct FakeNode {
    int64_t open = 100, active = 5, queue = 0, limit = 200;
    double requests_per_second = 100, error_ratio = 0, rejected_per_second = 0;
    absl::Duration latency = absl::Milliseconds(20);
    bool silent = false, draining = false;
    bool hears_grants = true, numbers_grants = true;
    std::string zone;
    std::vector<std::string> capabilities;
    std::string boot = "boot-1";
    NodeReport report;
  };

  explicit World(Policy policy) : core(std::move(policy)) { core.Observe(now, TermChanged{1}); }

  void AddNode(const NodeId& id) { AddNode(id, FakeNode()); }
  void AddNode(const NodeId& id, const FakeNode& node) {
    nodes[id] = node;
    Join(id);
  }
  void Join(const NodeId& id) {
    FakeNode& node = nodes[id];
    node.report = {};
    NodeHello hello;
    hello.boot_id = node.boot;
    hello.configured_count_max = hello.limits.connection_count_max = 200;
    hello.configured_idle_timeout = absl::Seconds(30);
    hello.zone = node.zone;
    hello.capabilities = node.capabilities;
    hello.address = id + ":1";
    const auto launch = launched.find(id);
    if (launch != launched.end()) hello.launch_id = launch->second;
    core.Observe(now, NodeJoined{id, hello});
  }

  void Report(const NodeId& id) {
    FakeNode& node = nodes[id];
    NodeReport& report = node.report;
    report.boot_id = node.boot;
    ++report.sequence;
    report.open_count = node.open;
    report.active_count = node.active;
    report.accept_queue_count = node.queue;
    report.accept_queue_count_max = 128;
    report.limits.connection_count_max = node.limit;
    report.state = node.draining ? ServerState::kDraining : ServerState::kServing;
    report.counters.uptime += absl::Seconds(1);
    report.counters.completed += static_cast<int64_t>(node.requests_per_second);
    report.counters.errors += static_cast<int64_t>(node.requests_per_second * node.error_ratio);
    report.counters.rejected += static_cast<int64_t>(node.rejected_per_second);
    for (int i = 0; i < static_cast<int>(node.requests_per_second); ++i) report.counters.latency.Add(node.latency);
    core.Observe(now, NodeReported{id, report});
  }

  // Runs for `time`, a second at a time. Load is spread by `spread`, called before each second's reports.
  void Run(
      absl::Duration time, const std::function<void()>& spread = [] {}) {
    for (const absl::Time end = now + time; now < end;) {
      now += absl::Seconds(1);
      spread();
      for (const auto& [id, node] : nodes) {
        if (!node.silent) Report(id);
      }
      while (core.next_tick() <= now) Carry(core.Tick(now));
    }
  }

  std::vector<Action> ActionsOf(absl::string_view kind) const {
    std::vector<Action> found;
    for (const Decision& decision : decisions) {
      for (const Action& action : decision.actions) {
        if (ActionKind(action) == kind) found.push_back(action);
      }
    }
    return found;
  }
  const Decision& Last() const { return decisions.back(); }

  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Autoscaler core;
  std::map<NodeId, FakeNode> nodes;
  std::map<NodeId, ActionId> launched;
  std::vector<Decision> decisions;
  bool launches_fail = false, drains_hang = false;
  int launches_stick = 0;  // so many more machines come and never serve
  std::map<NodeId, ActionId> stuck;
  std::set<absl::string_view> broken;  // kinds of actions that the provider refuses
  int cancels_miss = 0;                // so many more do not reach their node
  int64_t new_node_open = 0;

 private:
  void Carry(Decision decision) {
    for (const Action& action : decision.actions) {
      core.Observe(now, ActionStarted{action});
      Do(action);
    }
    decisions.push_back(std::move(decision));
  }

  void Do(const Action& action) {
    ActionFinished done{action.id};
    const bool lists = std::holds_alternative<ListMachines>(action.body);
    if (core.policy().mode == Mode::kDryRun && !lists) {
      done.hypothetical = true;
      core.Observe(now, done);
      return;
    }
    if (broken.contains(ActionKind(action))) {
      done.code = absl::StatusCode::kUnavailable;
      done.message = "no answer";
      core.Observe(now, done);
      return;
    }
    if (const auto* grant = std::get_if<GrantLimits>(&action.body)) {
      TakeGrant(nodes[action.node], *grant);
    } else if (std::holds_alternative<LaunchNode>(action.body)) {
      if (launches_fail) {
        done.code = absl::StatusCode::kResourceExhausted;
        done.message = "no machine left";
      } else if (launches_stick > 0) {
        --launches_stick;
        stuck[done.node = "new-" + std::to_string(++launches_)] = action.id;
      } else {
        const NodeId id = "new-" + std::to_string(++launches_);
        launched[id] = action.id;
        FakeNode node;
        node.open = new_node_open;
        AddNode(id, node);
      }
    } else if (std::holds_alternative<DrainNode>(action.body)) {
      nodes[action.node].draining = true;
      if (!drains_hang) nodes[action.node].open = 0;
    } else if (std::holds_alternative<CancelDrain>(action.body)) {
      if (cancels_miss > 0)
        --cancels_miss;
      else
        nodes[action.node].draining = false;
    } else if (std::holds_alternative<TerminateNode>(action.body)) {
      nodes.erase(action.node);
      stuck.erase(action.node);
    } else if (std::holds_alternative<ListMachines>(action.body)) {
      MachinesListed listed;
      for (const auto& [id, node] : nodes) listed.machines.push_back({id, Machine::State::kRunning, "", launched[id]});
      for (const auto& [id, launch] : stuck) listed.machines.push_back({id, Machine::State::kRunning, "", launch});
      core.Observe(now, listed);
    }
    core.Observe(now, done);
  }

  static void TakeGrant(FakeNode& node, const GrantLimits& grant) {
    if (!node.hears_grants) return;
    node.limit = grant.connection_count_max;
    if (!node.numbers_grants) return;
    node.report.limits.grant_id = grant.grant_id;
    node.report.limits.source = LimitSource::kGrant;
  }

  int launches_ = 0;
};

inline Policy LivePolicy() {
  Policy policy;
  policy.mode = Mode::kLive;
  policy.nodes.min = 3;
  policy.nodes.max = 8;
  policy.nodes.stabilization = absl::Seconds(60);
  policy.nodes.cooldown = absl::Seconds(60);
  policy.nodes.lead_time = absl::Seconds(10);
  return policy;
}

inline World ThreeNodes(Policy policy = LivePolicy()) {
  World world(std::move(policy));
  for (const char* id : {"node-1", "node-2", "node-3"}) world.AddNode(id);
  return world;
}

// Spreads `total` connections evenly over the nodes that serve.
inline std::function<void()> Spread(World& world, int64_t total) {
  return [&world, total] {
    int64_t serving = 0;
    for (const auto& [id, node] : world.nodes) serving += node.draining ? 0 : 1;
    for (auto& [id, node] : world.nodes) {
      const int64_t share = node.draining ? 0 : total / std::max<int64_t>(1, serving);
      node.open = std::min(share, node.limit);
      node.queue = std::min<int64_t>(share - node.open, 129);
      node.rejected_per_second = node.queue > 0 ? 10 : 0;
    }
  };
}

}  // namespace headroom
