#pragma once

#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/server/decision_feed.h"

namespace headroom {

// One line for a decision that acts, and one when the diagnosis changed, with its sentence.
void LogDecision(const Published& published);
// One line for an outcome that somebody may ask about: machines, drains, and what failed. A lease that could not be
// renewed is not news: its node is away, which the decisions say.
void LogOutcome(const Action& action, const ActionFinished& outcome);

}  // namespace headroom
