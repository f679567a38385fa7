#pragma once

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/event.h"
#include "controller/sim/faults.h"
#include "controller/sim/world.h"

namespace headroom::sim {

// SimulatedCluster: a world with reporters on its nodes, so that a controller sees what a real cluster would tell it.
// Each node joins when it serves, reports at the pace and at once when something turns or a grant was applied, and
// leaves when it stops. Grants are leased and fenced by term. Virtual time, not thread-safe.
class SimulatedCluster {
 public:
  struct Options {
    ClusterSettings settings;
    int initial_count = 0;           // nodes that serve from the start
    std::vector<std::string> zones;  // that they are spread over; empty: none is told
    std::vector<Fault> faults;       // of the world; what goes wrong between it and a controller: Scenario::troubles
    absl::Duration boot = absl::Seconds(45);
    absl::Duration report_interval = absl::Seconds(1);
    // Reports come one by one, as from real nodes, or all on the same whole multiples: fewer looks in long runs.
    enum class Pace : uint8_t { kEachItsOwn, kTogether } pace = Pace::kEachItsOwn;
  };
  // At the request level.
  explicit SimulatedCluster(const Options& options);
  // In a world of the caller's.
  SimulatedCluster(const Options& options, std::unique_ptr<World> world);

  World& model() { return *model_; }
  const World& model() const { return *model_; }

  // Goes to `until`, or stops at the first moment at which reporters have something to say. Returns the time reached.
  absl::Time AdvanceTo(absl::Time until);
  // What they said since the last call, in order. `emptied` is the last batch: its memory is used again.
  std::vector<Event> TakeEvents(std::vector<Event> emptied = {});
  // UNIMPLEMENTED: of the first fault that came and that this world's model cannot have.
  const absl::Status& fault_status() const { return fault_status_; }

  // The same launch id again is the same node, gone or not.
  enum class Boots : uint8_t { kWell, kNever };
  NodeId Launch(const ActionId& launch_id, const std::string& zone, Boots boots = Boots::kWell);
  // All reporters say hello again, as to a controller that has just come.
  void Rejoin();
  // A grant, shed, drain or cancelled drain; server lists are taken and change nothing, nobody balances here.
  // UNAVAILABLE: the node does not listen now. FAILED_PRECONDITION: an older term.
  absl::Status Send(const Action& action);

 private:
  struct Reporter {
    absl::Time due;
    absl::Time lease_until = absl::InfiniteFuture();
    std::string boot_id;
  };
  using Reporters = std::map<NodeId, Reporter>;
  struct Sooner {
    bool operator()(const Reporters::value_type* a, const Reporters::value_type* b) const {
      return a->second.due != b->second.due ? a->second.due < b->second.due : a->first < b->first;
    }
  };

  void Take(const NodeChange& change);
  void Join(const NodeId& node);
  void Leave(const NodeId& node, NodeLeft::How how);
  void Forget(const NodeId& node);
  void Say(const NodeId& node, Urgency urgency) { Say(*reporters_.try_emplace(node).first, urgency); }
  void Say(Reporters::value_type& entry, Urgency urgency);
  absl::Status Grant(const NodeId& node, const GrantLimits& grant);
  absl::Time NextDue() const;

  absl::Time DueAfterNow() const;

  const absl::Duration boot_, report_interval_;
  const Options::Pace pace_;
  const std::unique_ptr<World> model_;
  Reporters reporters_;
  std::set<Reporters::value_type*, Sooner> due_;  // all of them, by when they report next
  std::map<NodeId, int64_t> terms_;               // highest term that each node has seen
  std::map<ActionId, NodeId> launches_;           // bounded by the launches of one run
  std::vector<Event> events_;
  Faults faults_;
  absl::Status fault_status_;
};

}  // namespace headroom::sim
