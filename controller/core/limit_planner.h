#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/limits/budget.h"
#include "controller/core/policy.h"

namespace headroom {

struct LimitPlan {
  std::vector<LimitDecision> decisions;  // changed or bound
  std::vector<Action> actions;           // grants; ids are set by the autoscaler
  std::vector<Reason> alarms;
};

// One step of the limit law for every node that carries load, under the operators' fixed limits, the holds and the
// shared budget; grants for what changed and for leases that are due. Writes the law's memory into the nodes. A node is
// done with when it is added, unless a budget is shared: then all are waited for.
class LimitPlanner {
 public:
  LimitPlanner(State& state, const Policy& policy, absl::Time now);
  ~LimitPlanner();
  void Add(Node& node);
  LimitPlan Finish() &&;

 private:
  struct Proposal;
  Proposal Propose(Node& node);
  bool IsSilent(const Node& node) const;
  int64_t UnheardCount() const;
  int64_t UnlistedCount() const;
  void ApplyBudget();
  int64_t ShareOf(const Proposal& proposal, const BudgetClaim& claim, int64_t fair, int64_t& free) const;
  bool RenewalIsDue(const Node& node);
  void Grant(Proposal proposal);
  void Conclude(Proposal proposal);
  template <typename Value>
  void Push(std::vector<Value>& values, Value value);

  State& state_;
  const Policy& policy_;
  const absl::Time now_;
  const int64_t active_bucket_, open_bucket_;  // of the peaks that nodes remember
  size_t renewals_left_;                       // in this tick
  int64_t reserved_count_ = 0;                 // of the budget: what nodes may hold that cannot be asked
  int64_t unheard_count_ = 0;                  // of that, of nodes not heard since the controller restarted
  bool awaits_unheard_ = false;                // one of those may still be there, with a grant that is written nowhere
  int64_t slots_usual_count_ = 0;              // with which a node begins at balancers that hold the slots; 0: none do
  int64_t unlisted_nodes_ = 0, unlisted_count_ = 0;  // that balancers do not list yet, and what they hold themselves
  std::vector<Proposal> proposals_;                  // that wait for their share
  LimitPlan plan_;
};

// After a scale-out new nodes receive nothing from old connections: sheds idle connections of the fuller nodes, a fifth
// at a time, until the young ones have their share.
std::vector<Action> PlanRebalance(State& state, const FleetSummary& summary, const Policy& policy, absl::Time now);

}  // namespace headroom
