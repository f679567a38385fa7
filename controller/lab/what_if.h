#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/lab/outlook.h"
#include "controller/lab/trace.h"

namespace headroom::lab {

// Demand from `from` until `until`, times a factor.
struct Campaign {
  double factor = 1;
  absl::Time from, until;
};

// What a plan is asked beside what was: each is told in the plan.
struct WhatIf {
  std::optional<Campaign> campaign;
  std::optional<double> growth_per_day;         // as a ratio; instead of the measured trend
  absl::Duration ahead = absl::Hours(24 * 30);  // with growth: the loop runs on demand as it is then
  int zones = 0;                                // one of so many zones is lost at the peak; 0: none
};

// The trace that the loop runs on: its last `days` days, grown, with the campaign on it. A campaign that ends after the
// trace is put on what the outlook expects, to which the trace is continued.
// OUT_OF_RANGE: the campaign lies before those days, or beyond the outlook, or nothing of it is known.
struct Imagined {
  Trace trace;
  double grown = 1;                // demand was multiplied by it
  std::vector<std::string> notes;  // what was done
};
absl::StatusOr<Imagined> Imagine(const Trace& trace, const Outlook& outlook, const WhatIf& what_if, int days);

}  // namespace headroom::lab
