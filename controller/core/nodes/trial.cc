#include "controller/core/nodes/trial.h"

#include <algorithm>
#include <cstdlib>

namespace headroom {
namespace {

void CountActions(const Decision& decision, Trial& trial) {
  for (const Action& action : decision.actions) {
    if (std::holds_alternative<LaunchNode>(action.body)) ++trial.launches;
    if (std::holds_alternative<DrainNode>(action.body)) ++trial.removals;
    if (std::holds_alternative<CancelDrain>(action.body)) ++trial.returns;
    if (std::holds_alternative<ShedConnections>(action.body)) ++trial.sheds;
  }
  for (const LimitDecision& limit : decision.limits) {
    if (limit.before > 0 && limit.after > limit.before) ++trial.raises;
    if (limit.after < limit.before) ++trial.cuts;
  }
}

bool MovesNodes(const Decision& decision) {
  return std::any_of(decision.actions.begin(), decision.actions.end(), [](const Action& action) {
    return std::holds_alternative<LaunchNode>(action.body) || std::holds_alternative<DrainNode>(action.body) ||
           std::holds_alternative<CancelDrain>(action.body);
  });
}

}  // namespace

void Trial::Count(const Decision& decision) {
  if (since == absl::InfinitePast()) since = decision.at;
  const int desired = decision.desired_count;
  nodes_least = decisions == 0 ? desired : std::min(nodes_least, desired);
  nodes_most = std::max(nodes_most, desired);
  ++decisions;
  CountActions(decision, *this);
  const int moved = std::abs(desired - decision.effective_count);
  if (MovesNodes(decision) && moved > std::abs(largest.after - largest.before))
    largest = {decision.sequence, decision.at, decision.effective_count, desired};
}

}  // namespace headroom
