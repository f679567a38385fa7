#pragma once

#include <vector>

#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/core/fleet/fleet.h"
#include "headroom/v1/admin.pb.h"

namespace headroom {

// What an undo does, and what it cannot.
struct Undo {
  std::vector<Event> events;
  v1::UndoDecisionResponse response;
};

// Takes back what `decision` did to the nodes of `fleet`, as they are now: limits go back and stay fixed there for ten
// minutes, drains are cancelled. A node that is gone, that is another machine under the same name, or that is past
// draining is listed as not undone. Pure.
Undo PlanUndo(const Decision& decision, const Fleet& fleet, const v1::UndoDecisionRequest& request, absl::Time now);

}  // namespace headroom
