#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"

#include "controller/sim/checkers.h"

// The words that rules of the SafetyChecker speak in. Only for its own sources.

namespace headroom::sim {

using Memory = SafetyChecker::Memory;
// Nothing: the rule holds.
using Finding = std::optional<std::string>;

template <typename Body>
std::vector<const Action*> ActionsOf(const Decision& decision) {
  std::vector<const Action*> found;
  for (const Action& action : decision.actions) {
    if (std::holds_alternative<Body>(action.body)) found.push_back(&action);
  }
  return found;
}

// A controller decides by the reports of its last tick.
absl::Duration Slack(const Policy& policy);
// Null: it is gone.
const MachineFacts* Find(const Moment& moment, const NodeId& node);
// Told to leave, and it has not said for long that it serves on.
bool Leaves(const MachineFacts& machine, const Moment& moment, const Memory& memory);
bool HeardWithin(const MachineFacts& machine, absl::Duration age, const Moment& moment);
// By its last word, by whose hand ever; and it was not taken back since.
bool Drains(const MachineFacts& machine, const Memory& memory);
// Machines that the controller knows of, and that do not leave: who drains is no capacity.
int64_t CountThere(const Moment& moment, const Memory& memory);

// What operators have ordered. Null: no override is in force.
const OverrideSet* Override(const Moment& moment);
int MinOf(const Moment& moment);
int MaxOf(const Moment& moment);
bool IsHeld(const Moment& moment, HoldDirection direction);

// Rules of checkers_delay.cc: what must not wait.
Finding RaisesNeverWait(const Moment& moment, const Memory& memory);
Finding GrowthNeverWaits(const Moment& moment, const Memory& memory);
// Takes note of since when somebody waits.
void NoteWaits(const Moment& moment, Memory& memory);

}  // namespace headroom::sim
