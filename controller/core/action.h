#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/reason.h"
#include "controller/core/report.h"

// What a decision asks for. Values without behaviour: the core makes them, an executor carries them out.

namespace headroom {

using ActionId = std::string;  // idempotency key: cluster-term-sequence-index

// Lease limits to a node. Idempotent, goes out at once, journalled in the same group commit.
struct GrantLimits {
  uint64_t grant_id = 0;
  int64_t connection_count_max = 0;
  absl::Duration idle_timeout;  // zero: leave as it is
  absl::Duration lease;
  int64_t floor_count = 0, ceiling_count = 0;  // for a node that loses its controller
  bool renewal = false;                        // nothing changed but the lease
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("grant_id", self.grant_id);
    visit("connections", self.connection_count_max);
    visit("idle_timeout", self.idle_timeout);
    visit("lease", self.lease);
    visit("floor", self.floor_count);
    visit("ceiling", self.ceiling_count);
    visit("renewal", self.renewal);
  }
};

// Close up to `connection_count` connections that are idle for `idle_min`, oldest first.
struct ShedConnections {
  int64_t connection_count = 0;
  absl::Duration idle_min;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("count", self.connection_count);
    visit("idle_min", self.idle_min);
  }
};

// One new node; its id is the provider's to give. The action id is the machine's launch id.
struct LaunchNode {
  std::string zone;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("zone", self.zone);
  }
};

struct DrainNode {
  template <class Self, class Visitor>
  static void Fields(Self&, Visitor&&) {}
};
struct CancelDrain {
  template <class Self, class Visitor>
  static void Fields(Self&, Visitor&&) {}
};
struct TerminateNode {
  template <class Self, class Visitor>
  static void Fields(Self&, Visitor&&) {}
};
// Look again: the one action that changes nothing.
struct ListMachines {
  template <class Self, class Visitor>
  static void Fields(Self&, Visitor&&) {}
};

// What every balancer should have behind it, whole.
struct ServerTarget {
  NodeId node;
  std::string address, check_address;
  bool draining = false;
  int64_t session_count_max = 0;  // 0: none
  bool operator==(const ServerTarget&) const = default;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("address", self.address);
    visit("check_address", self.check_address);
    visit("draining", self.draining);
    visit("sessions_max", self.session_count_max);
  }
};
struct SetServers {
  std::vector<ServerTarget> servers;
  std::vector<BalancerId> without_share = {};  // these are told no session_count_max: they share no limit yet
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("servers", self.servers);
    visit("without_share", self.without_share);
  }
};

using ActionBody = std::variant<GrantLimits, ShedConnections, LaunchNode, DrainNode, CancelDrain, TerminateNode,
                                ListMachines, SetServers>;

struct Action {
  ActionId id;
  int64_t term = 0;  // fence
  NodeId node;       // target; empty: none
  Reason reason;
  ActionBody body;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("id", self.id);
    visit("term", self.term);
    visit("node", self.node);
    visit("reason", self.reason);
    visit("body", self.body);
  }
};

// "grant_limits", "shed", "launch", "drain", "cancel_drain", "terminate", "list", "set_servers".
absl::string_view ActionKind(const Action& action);

// Launch and terminate change what a provider runs: their intent is committed to the journal before the hand-over.
inline bool ChangesMachines(const Action& action) {
  return std::holds_alternative<LaunchNode>(action.body) || std::holds_alternative<TerminateNode>(action.body);
}

}  // namespace headroom
