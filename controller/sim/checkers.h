#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/core/policy.h"

namespace headroom::sim {

// One machine as it really is, and as the controller could know it.
struct MachineFacts {
  NodeId id;
  std::string zone;
  ActionId launch_id;
  int boot = 0;               // grows with each start of its process
  bool serves = false;        // really, and does not drain
  bool is_told = false;       // a hello, a list or an answer that was delivered named it
  bool boot_is_told = false;  // a hello of this process was delivered
  int64_t limit_count = 0;    // in force, really, wherever the slots are
  bool slots_at_balancers = false;
  int64_t slots_elsewhere_count = 0;  // of limit_count: at balancers that are told no limits
  int64_t configured_count = 0;
  absl::Duration configured_idle_timeout;
  absl::Time launched_at = absl::InfinitePast();  // decided by a controller
  // Its newest report that was delivered; never: InfinitePast.
  absl::Time heard_at = absl::InfinitePast();
  int heard_process = 0;      // the controller's that heard it
  bool is_connected = false;  // as far as that one was told
  bool heard_serving = false;
  bool heard_draining = false;  // by its last word, of before a crash that forgot the others too
  int64_t heard_open_count = 0, heard_active_count = 0, heard_waiting_count = 0;
};

// What operators have ordered and what is in force.
struct Orders {
  std::vector<HoldChanged> holds;
  std::optional<OverrideSet> override_set;
  std::set<NodeId> pinned, drained;
  std::map<NodeId, NodeLimitFixed> fixed;
};

// A decision, and the world when it was taken. All times are the core's.
struct Moment {
  int process = 0;      // grows with each start of a controller
  bool forgot = false;  // it began without what its predecessor did last: the disk was full
  Decision decision;
  Policy policy;
  std::map<NodeId, MachineFacts> machines;
  std::map<NodeId, MachineFacts> vanished;  // machines that are gone, and nothing that was delivered says so
  int undenied = 0;                         // machines that are gone, and no list of the provider says so
  Orders orders;
  int balancers = 0;           // that are told limits
  bool journal_fails = false;  // and the core was told so
  // When the provider told this process of its machines; never: InfinitePast.
  absl::Time listed_at = absl::InfinitePast();
};

struct Violation {
  std::string rule, what;
  absl::Time at;
};

// SafetyChecker: the list of docs/architecture.md that begins with "never", judged from outside: by what decisions ask
// for, by the real machines, and by what was delivered to the controller; never by what the controller thinks. Each
// rule is one small function with a name, kRules in checkers.cc. It remembers what earlier decisions asked for, over
// restarts of the controller. Show it every decision, in order. Bounded by the machines and launches of one run.
class SafetyChecker {
 public:
  // Returns what the decision violates.
  std::vector<Violation> Check(const Moment& moment);
  // An answer of the provider that was delivered: a launch is over, its machine is known or there is none; a machine
  // that was not terminated stays.
  void Ended(const ActionFinished& outcome);

  // What earlier decisions have asked for.
  struct Memory {
    struct Drain {
      absl::Time since;
      std::string zone;
      bool by_operator = false;
      int process = 0;  // the controller's that ordered it, or heard it followed since
    };
    struct Granted {
      int boot = 0;
      int64_t count = 0;
      int process = 0;  // the controller's that granted it
    };
    struct Full {
      absl::Time since;
      int64_t limit_count = 0;
    };
    // What a node's limits have shown, as far as one who watches can tell.
    struct Tried {
      absl::Time raised_at = absl::InfinitePast();
      absl::Time taken_back_at = absl::InfinitePast();  // a raise, soon after it
      int64_t open_peak_count = 0;
    };
    int process = -1;
    int64_t term = 0;
    uint64_t sequence = 0;
    absl::Time at = absl::InfinitePast();
    // Times of decisions that a crash may take back, and first the last before them; none: InfinitePast.
    std::vector<absl::Time> uncommitted = {absl::InfinitePast()};
    // Growth that may cool still, and how much of the fleet it was.
    std::vector<std::pair<absl::Time, double>> growths;
    std::set<ActionId> action_ids;          // of launches
    std::set<ActionId> launches_open;       // without an outcome
    std::map<NodeId, ActionId> terminated;  // ordered, not refused, and there still
    std::map<NodeId, Drain> drains;         // ordered, neither cancelled nor gone
    std::map<NodeId, absl::Time> cancels;   // of drains, the last
    std::map<NodeId, Granted> granted;      // last, to which process
    std::map<NodeId, Full> full;            // whose clients wait, at this limit
    std::map<NodeId, Tried> tried;
    absl::Time short_since = absl::InfiniteFuture();  // fewer nodes than are needed are there or asked for
    // A guard that may do so for a while has kept it so.
    absl::Time capped_since = absl::InfiniteFuture();
    absl::Duration launch_timeout_max;  // of all policies
    // Nothing: nothing was granted to the process that runs.
    std::optional<int64_t> GrantedTo(const MachineFacts& machine) const;
  };
  static std::vector<absl::string_view> RuleNames();

 private:
  void Remember(const Moment& moment);
  void RememberGrant(const Moment& moment, const NodeId& node, int64_t count);

  Memory memory_;
};

}  // namespace headroom::sim
