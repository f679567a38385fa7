#pragma once

#include "controller/core/action.h"

namespace headroom {

// Executor: where decisions become deeds. The mode is a property of the type: the dry-run executor has no provider and
// no channel to a node, so a leak cannot be written. Start() is called from the loop thread, after ActionStarted was
// observed and (for node actions) the intent was committed; it must not block. The outcome comes back as ActionFinished
// through ControlLoop::Post; grants, sheds, drains and server lists finish when they were handed to the stream (their
// effect is seen in reports, not in the outcome).
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Start(const Action& action) = 0;
};

}  // namespace headroom
