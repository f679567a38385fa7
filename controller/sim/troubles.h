#pragma once

#include <variant>
#include <vector>

#include "absl/time/time.h"

#include "controller/sim/control_faults.h"

namespace headroom::sim {

// What can go wrong with a controller, or between it and its cluster. Ratios are chances of one message or call, 0..1.
struct BadReports {
  double lost_ratio = 0, late_ratio = 0, twice_ratio = 0;
  double forged_ratio = 0;  // beside the true one
  absl::Duration late_max = absl::Seconds(20);
};
struct LostOrders {  // grants, sheds, drains: they leave and do not arrive
  double lost_ratio = 1;
};
struct BadProvider {
  double refused_ratio = 0;      // throttled, or not there
  double stock_out_ratio = 0;    // of launches: there is no machine
  double answer_lost_ratio = 0;  // it is done, and nobody says so
  double boot_failed_ratio = 0;  // of machines: they never serve
  absl::Duration call_max;       // a call takes up to so long; shorter than its usual time: that
};
struct ControllerDown {};  // killed without a word at the onset; a new process starts from its journal at the end
struct ClockBack {         // the controller's clock is set back, and forward again at the end
  absl::Duration by = absl::Hours(1);
};

using TroubleKind = std::variant<BadReports, LostOrders, BadProvider, ControllerDown, ClockBack>;

struct Trouble {
  absl::Duration at;        // from the start of the run
  absl::Duration duration;  // zero: for ever
  TroubleKind what;
};

// Troubles: which of them are under way at a time. Chances of two that overlap add up as those of independent ones;
// the longest delay and the largest step back count.
class Troubles {
 public:
  Troubles(std::vector<Trouble> troubles, absl::Time start) : troubles_(std::move(troubles)), start_(start) {}

  bool empty() const { return troubles_.empty(); }
  // When the next one begins or ends; InfiniteFuture: never.
  absl::Time NextAfter(absl::Time now) const;
  // `call`: what a call to the provider takes when nothing is wrong.
  ControlFaultSettings SettingsAt(absl::Time now, absl::Duration call) const;
  // Whether it is killed at any time.
  bool KillsController() const;
  bool IsControllerDown(absl::Time now) const;
  absl::Duration ClockBehind(absl::Time now) const;

 private:
  absl::Time EndOf(const Trouble& trouble) const;
  template <class Kind, class Use>
  void EachAt(absl::Time now, Use use) const;

  std::vector<Trouble> troubles_;
  absl::Time start_;
};

}  // namespace headroom::sim
