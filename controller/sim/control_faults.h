#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/event.h"
#include "controller/sim/random.h"

namespace headroom::sim {

// What goes wrong between a cluster and its controller. Ratios are chances of one message or call.
struct ControlFaultSettings {
  double report_lost_ratio = 0, report_late_ratio = 0, report_twice_ratio = 0;
  double report_forged_ratio = 0;  // beside the true one, and as far as the wire lets it through
  double hello_late_ratio = 0;     // its stream broke; tried again
  double leave_late_ratio = 0;     // half open: noticed late
  double order_lost_ratio = 0;     // a grant, shed, drain or server list that left and did not arrive
  double call_refused_ratio = 0;   // throttled, or not there: UNAVAILABLE, nothing was done
  double stock_out_ratio = 0;      // of launches: RESOURCE_EXHAUSTED, nothing was done
  double answer_lost_ratio = 0;    // it was done, and nobody says so
  double boot_failed_ratio = 0;    // of machines that are launched: they never serve
  absl::Duration late_max = absl::Seconds(20);
  absl::Duration call_min = absl::Milliseconds(100), call_max = absl::Seconds(1);  // a provider's slowness
};

// ControlFaults: the hostile control plane. What a cluster says goes in by Take() and comes out by Due(): lost, late,
// twice, out of order, or beside a forgery. Joins and leaves of one reporter keep their order, as a stream does: what
// waits of an older stream is dropped by a newer one. All chance from one seed; without settings nothing is changed.
// Virtual time, not thread-safe. Bounded by what is said within late_max.
class ControlFaults {
 public:
  explicit ControlFaults(uint64_t seed) : random_(seed) {}

  // From now on.
  void Set(const ControlFaultSettings& settings) { settings_ = settings; }

  void Take(absl::Time now, Event event);
  // What the controller hears now, in order.
  std::vector<Event> Due(absl::Time now);
  // The controller is gone, and with it what was on its way to it.
  void DropAll() { waiting_.clear(); }
  absl::Time next_due() const { return waiting_.empty() ? absl::InfiniteFuture() : waiting_.begin()->first; }

  // What becomes of a call to the provider.
  struct Call {
    absl::Duration until_done;                 // until the provider does it, or refuses
    absl::Status refused;                      // OK: it is done
    std::optional<absl::Duration> until_told;  // from the call; nothing: no answer comes
  };
  Call CallProvider(const Action& action);
  // Whether an order that was handed over reaches its node or balancer.
  bool OrderArrives() { return !Happens(settings_.order_lost_ratio); }
  // Whether a machine that is launched comes to serve.
  bool BootSucceeds() { return !Happens(settings_.boot_failed_ratio); }

 private:
  bool Happens(double ratio) { return ratio > 0 && Uniform(random_) < ratio; }
  absl::Duration Lateness() { return absl::Trunc(settings_.late_max * Uniform(random_), absl::Milliseconds(1)); }
  void TakeReport(absl::Time now, const NodeReported& event);
  NodeReported Forge(NodeReported event);
  void Deliver(absl::Time at, Event event) { waiting_.emplace(at, std::move(event)); }

  ControlFaultSettings settings_;
  Random random_;
  std::multimap<absl::Time, Event> waiting_;  // of the same time: in the order in which they were said
};

}  // namespace headroom::sim
