#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "controller/sim/checkers.h"

// A stream of decisions for tests of the SafetyChecker.

namespace headroom::sim {

inline const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

// Four nodes that serve under a calm controller.
class Stream {
 public:
  Stream() {
    now.policy.mode = Mode::kLive;
    now.policy.nodes.min = 2;
    now.policy.nodes.max = 5;
    now.policy.nodes.cooldown = absl::Minutes(1);
    now.decision.at = kStart;
    now.decision.term = 1;
    for (const char* id : {"a", "b", "c", "d"}) {
      now.machines[id] = {.id = id,
                          .boot = 1,
                          .serves = true,
                          .is_told = true,
                          .boot_is_told = true,
                          .limit_count = 200,
                          .configured_count = 200,
                          .configured_idle_timeout = absl::Seconds(30),
                          .heard_at = kStart,
                          .is_connected = true,
                          .heard_serving = true,
                          .heard_open_count = 100,
                          .heard_active_count = 10};
    }
  }

  // A decision later, with these actions; machines were heard just before it.
  std::vector<std::string> Decide(absl::Duration later, const std::vector<Action>& actions) {
    ++now.decision.sequence;
    now.decision.at += later;
    for (auto& [id, machine] : now.machines) {
      if (silent.contains(id)) continue;
      machine.heard_at = now.decision.at;
      machine.heard_process = now.process;
    }
    now.decision.actions = actions;
    int index = 0;
    for (Action& action : now.decision.actions) {
      if (action.id.empty()) action.id = absl::StrCat(now.decision.sequence, "-", index++);
      if (action.term == 0) action.term = now.decision.term;
    }
    std::vector<std::string> rules;
    for (const Violation& violation : checker.Check(now)) rules.push_back(violation.rule);
    return rules;
  }

  SafetyChecker checker;
  Moment now;
  std::set<NodeId> silent;
};

template <typename Body>
Action Of(const NodeId& node, Body body) {
  return {.node = node, .body = std::move(body)};
}
inline Action Drain(const NodeId& node) {
  return Of(node, DrainNode{});
}
inline Action Launch() {
  return Of("", LaunchNode{});
}
inline Action Grant(const NodeId& node, int64_t count, absl::Duration idle = absl::Seconds(30)) {
  return Of(node, GrantLimits{.connection_count_max = count, .idle_timeout = idle});
}

inline constexpr absl::Duration kSecond = absl::Seconds(1), kLong = absl::Minutes(10);

}  // namespace headroom::sim
