#pragma once

#include "controller/core/decision.h"
#include "controller/core/diagnosis/evidence.h"
#include "controller/core/diagnosis/rules.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/reason.h"

// What diagnosis says: reasons filled with the numbers of the evidence. Their sentences stand in core/reason.cc.

namespace headroom {

// The sentence of a cause.
Reason StateCause(Cause cause, const Evidence& evidence, const Fleet& fleet);
// kNone and kCannotTell.
Reason StateNothing(const Evidence& evidence);
Reason StateCannotTell(const Evidence& evidence, const CauseScores& scores);

// The facts about a cause that was not named: they rule it out, or cannot.
enum class Standing : uint8_t { kRuledOut, kOpen };
Reason StateAgainst(Cause cause, const Evidence& evidence, Standing standing);

// What is to be done.
Reason StateRemedy(Cause cause, const Evidence& evidence, const Fleet& fleet);

}  // namespace headroom
