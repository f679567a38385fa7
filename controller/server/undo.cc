#include "controller/server/undo.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

constexpr absl::Duration kUndoneLimitHolds = absl::Minutes(10);

v1::Reason Sentence(absl::string_view code, std::string text) {
  v1::Reason out;
  out.set_code(code.data(), code.size());
  out.set_text(std::move(text));
  return out;
}

// Plans the undo of one decision, part by part.
class UndoPlan {
 public:
  UndoPlan(const Decision& decision, const Fleet& fleet, const v1::UndoDecisionRequest& request)
      : decision_(decision),
        fleet_(fleet),
        actor_(request.actor()),
        reason_(absl::StrCat("undo of decision ", request.sequence(), request.reason().empty() ? "" : ": ",
                             request.reason())) {}

  void TakeBack(const LimitDecision& limit, absl::Time now) {
    if (limit.before == limit.after || limit.before <= 0) return;
    if (Find(limit.node, "limit") == nullptr) return;
    undo_.events.push_back(NodeLimitFixed{limit.node, limit.before, now + kUndoneLimitHolds, reason_, actor_});
    *undo_.response.add_undone() =
        Sentence("limit_fixed", absl::StrCat(limit.node, ": limit back from ", limit.after, " to ", limit.before,
                                             " and fixed there for 10 minutes."));
  }

  void TakeBack(const Action& action) {
    if (std::holds_alternative<DrainNode>(action.body)) {
      CancelDrainOf(action.node);
    } else if (std::holds_alternative<LaunchNode>(action.body)) {
      CannotUndo("launch",
                 "A launch cannot be taken back; `headroomctl drain` the new node to empty it, or lower the override.");
    } else if (std::holds_alternative<TerminateNode>(action.body)) {
      CannotUndo("terminate", absl::StrCat(action.node,
                                           " is gone and cannot be brought back; `headroomctl override --nodes N` "
                                           "asks for another one."));
    }
  }

  Undo Take() { return std::move(undo_); }

 private:
  void CannotUndo(absl::string_view code, std::string text) {
    *undo_.response.add_not_undone() = Sentence(code, std::move(text));
  }

  // The node that the decision meant, if it is still there.
  const Node* Find(const NodeId& id, absl::string_view code) {
    const Node* const node = fleet_.Find(id);
    if (node == nullptr) {
      CannotUndo(code, absl::StrCat(id, " is gone."));
    } else if (node->launched_at > decision_.at) {
      CannotUndo(code, absl::StrCat(id, " is another machine now, launched after that decision."));
      return nullptr;
    }
    return node;
  }

  void CancelDrainOf(const NodeId& id) {
    const Node* const node = Find(id, "drain");
    if (node == nullptr) return;
    const bool draining = node->state == NodeState::kDraining || node->state == NodeState::kDrained;
    if (!draining && !node->drained_by_operator) {
      return CannotUndo("drain", absl::StrCat(id, " is ", NodeStateName(node->state), ", not draining."));
    }
    undo_.events.push_back(DrainRequested{id, false, reason_, actor_});
    *undo_.response.add_undone() =
        Sentence("drain_cancelled", absl::StrCat(id, ": the drain is cancelled; hold \"down\" keeps it so."));
  }

  const Decision& decision_;
  const Fleet& fleet_;
  const std::string actor_, reason_;
  Undo undo_;
};

}  // namespace

Undo PlanUndo(const Decision& decision, const Fleet& fleet, const v1::UndoDecisionRequest& request, absl::Time now) {
  UndoPlan plan(decision, fleet, request);
  for (const LimitDecision& limit : decision.limits) plan.TakeBack(limit, now);
  for (const Action& action : decision.actions) plan.TakeBack(action);
  return plan.Take();
}

}  // namespace headroom
