#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/policy.h"
#include "controller/core/report.h"

// Facts, the only way into the core. Every event is legal in every state.

namespace headroom {

// A node opened its stream.
struct NodeJoined {
  NodeId node;
  NodeHello hello;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("hello", self.hello);
  }
};

struct NodeReported {
  NodeId node;
  NodeReport report;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("report", self.report);
  }
};

// A node's stream ended.
struct NodeLeft {
  enum class How : uint8_t { kLost, kStopping, kRestarting };
  NodeId node;
  std::string boot_id;
  How how = How::kLost;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("boot_id", self.boot_id);
    visit("how", self.how);
  }
};

struct BalancerReported {
  BalancerId balancer;
  BalancerReport report;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("balancer", self.balancer);
    visit("report", self.report);
  }
};

// A balancer's stream began (it gets its servers at once) or ended.
struct BalancerJoined {
  BalancerId balancer;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("balancer", self.balancer);
  }
};
struct BalancerLeft {
  BalancerId balancer;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("balancer", self.balancer);
  }
};

// What the provider runs.
struct Machine {
  enum class State : uint8_t { kStarting, kRunning, kStopping };
  NodeId node;  // empty: a launch that the provider has taken on, and whose machine is not there yet
  State state = State::kRunning;
  std::string zone;
  ActionId launch_id;  // empty: not launched by a controller
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("state", self.state);
    visit("zone", self.zone);
    visit("launch_id", self.launch_id);
  }
};
struct MachinesListed {
  std::vector<Machine> machines;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("machines", self.machines);
  }
};

// Observed before the hand-over, so work in flight counts as done.
struct ActionStarted {
  Action action;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("action", self.action);
  }
};
// A code is a remedy: RESOURCE_EXHAUSTED other zone or later, UNAVAILABLE and DEADLINE_EXCEEDED the next tick tries
// again, anything else needs a person.
struct ActionFinished {
  ActionId id;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string message;
  NodeId node;                // the machine of a launch, where it is known
  bool hypothetical = false;  // the dry run's answer: nothing was done
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("id", self.id);
    visit("code", self.code);
    visit("message", self.message);
    visit("node", self.node);
    visit("hypothetical", self.hypothetical);
  }
};

struct PolicyChanged {
  Policy policy;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("policy", self.policy);
  }
};

// An operator lets decisions be carried out, or only thought, whatever the policy file says. It holds until the file
// itself says something else than `configured`: what was said last counts.
struct ModeChosen {
  Mode mode = Mode::kDryRun;
  Mode configured = Mode::kDryRun;  // by the policy file, when it was chosen
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("mode", self.mode);
    visit("configured", self.configured);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

enum class HoldDirection : uint8_t { kNone, kUp, kDown, kBoth };
// kNone lifts the hold.
struct HoldChanged {
  HoldDirection direction = HoldDirection::kNone;
  absl::Time until;
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("direction", self.direction);
    visit("until", self.until);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

// All zero lifts it.
struct OverrideSet {
  int nodes_min = 0, nodes_max = 0, nodes = 0;
  absl::Time until;
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("nodes_min", self.nodes_min);
    visit("nodes_max", self.nodes_max);
    visit("nodes", self.nodes);
    visit("until", self.until);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

// An operator fixes a node's limit; 0 lifts it.
struct NodeLimitFixed {
  NodeId node;
  int64_t limit_count = 0;
  absl::Time until;
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("limit", self.limit_count);
    visit("until", self.until);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

struct NodePinned {
  NodeId node;
  bool pinned = true;
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("pinned", self.pinned);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

// An operator drains a node (and keeps it empty) or takes it back.
struct DrainRequested {
  NodeId node;
  bool drain = true;
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("drain", self.drain);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

// This controller leads under a new term.
struct TermChanged {
  int64_t term = 0;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("term", self.term);
  }
};

// The journal's health; an empty error is good.
struct JournalChanged {
  std::string error;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("error", self.error);
  }
};

using Event = std::variant<NodeReported, NodeJoined, NodeLeft, BalancerReported, BalancerJoined, BalancerLeft,
                           MachinesListed, ActionStarted, ActionFinished, PolicyChanged, ModeChosen, HoldChanged,
                           OverrideSet, NodeLimitFixed, NodePinned, DrainRequested, TermChanged, JournalChanged>;

}  // namespace headroom
