#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/server/decision_feed.h"

namespace headroom {

// More alarms of one code that begin or end at once are one line, with their count and the first one's sentence: a
// ceiling that 10,000 nodes reach together is no 10,000 lines.
inline constexpr int64_t kAlarmLinesMax = 20;

// `cluster` as LogLine has it.
// One line for a decision that acts, one when the diagnosis changed, with its sentence, and those of alarms.
void LogDecision(const Published& published, absl::string_view cluster);
// One line for an outcome that somebody may ask about: machines, drains, and what failed. A lease that could not be
// renewed is not news: its node is away, which the decisions say.
void LogOutcome(const Action& action, const ActionFinished& outcome, absl::string_view cluster);

}  // namespace headroom
