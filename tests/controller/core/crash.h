#pragma once

#include <utility>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// A controller that is killed and comes back, beside a cluster that goes on.

namespace headroom {

// The core as a journal has it that ends with `written`.
inline void Crash(World& world, State written) {
  const Policy policy = world.core.policy();
  written.last_tick_at = world.now;
  written.fleet.ForgiveSilence(world.now, absl::ZeroDuration());
  world.core = Autoscaler::Load(policy, std::move(written));
  for (const auto& [id, node] : world.nodes)
    world.core.Observe(world.now, NodeLeft{id, node.boot, NodeLeft::How::kLost});
  world.core.Observe(world.now, TermChanged{world.core.Save().term + 1});
}

// The node's stream is back: the process that it was before, with what it holds.
inline void ComeBack(World& world, const NodeId& id) {
  const World::FakeNode& node = world.nodes[id];
  NodeHello hello;
  hello.boot_id = node.boot;
  hello.configured_count_max = 200;
  hello.limits.connection_count_max = node.limit;
  hello.configured_idle_timeout = absl::Seconds(30);
  hello.address = id + ":1";
  world.core.Observe(world.now, NodeJoined{id, hello});
}

inline Policy FixedNodes(int64_t budget) {
  Policy policy = LivePolicy();
  policy.nodes.max = 3;
  policy.limits.budget_count = budget;
  return policy;
}

inline World Settled(const Policy& policy) {
  World world = ThreeNodes(policy);
  world.Run(absl::Seconds(20));
  return world;
}

}  // namespace headroom
