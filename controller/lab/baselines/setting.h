#pragma once

#include <string>

#include "controller/lab/rival.h"

namespace headroom::lab {

// What of a rival is tuned per trace.
struct Setting {
  double target = 0.7;  // of a node's safe capacity
  int hold_steps = 0;   // how long it waits before it shrinks, in the rival's own sense
  int nodes = 0;        // of a static count; 0: there is none
  std::string name;     // of what is not tuned; empty: the above is
};

constexpr int StepsOf(int seconds) {
  return (seconds + kStepSeconds - 1) / kStepSeconds;
}

// A window of at least one entry.
constexpr size_t Entries(int steps, int period_steps) {
  return static_cast<size_t>(steps < period_steps ? 1 : steps / period_steps);
}

}  // namespace headroom::lab
