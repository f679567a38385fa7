#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/forecast/demand_forecast.h"
#include "controller/core/policy.h"
#include "controller/core/reason.h"

namespace headroom {

// What of a fleet may run out when it cannot grow.
enum class Resource : uint8_t { kConnections, kThroughput, kInFlight, kStored, kCount };
inline constexpr size_t kResources = static_cast<size_t>(Resource::kCount);

struct AtMaxInput {
  const FleetSummary& summary;
  const forecast::DemandForecast& forecast;
  const Policy& policy;
  int max = 0, wanted = 0;  // the bound in force, and what the signals ask for
  absl::Time now;
};

// AtMax: one alarm for as long as more nodes are wanted than allowed, with what breaks first and when: the sum of the
// nodes' ceilings against the demand that is forecast or, where it rises faster, its growth of the last minute. It
// begins at once, ends after two minutes in which the bound did not bind, and its numbers change once a minute at most,
// so that it is one event and one row of the journal a minute. Until it breaks, limits and shedding absorb. Saved with
// the state; thread-compatible.
class AtMax {
 public:
  // Once a tick. The alarm that is on; nothing: none.
  std::optional<Reason> Judge(const AtMaxInput& in);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("bound_at", self.bound_at_);
    visit("told_at", self.told_at_);
    visit("alarm", self.alarm_);
    visit("marked_at", self.marked_at_);
    visit("marked", self.marked_);
    visit("before_at", self.before_at_);
    visit("before", self.before_);
  }

 private:
  using Used = std::array<double, kResources>;
  void Mark(absl::Time now, const Used& used);
  Reason Tell(const AtMaxInput& in, const Used& used) const;

  absl::Time bound_at_ = absl::InfinitePast();  // the last time that more were wanted
  absl::Time told_at_ = absl::InfinitePast();
  Reason alarm_;  // kNone: off
  // Use at the newest mark and the one before, a minute apart.
  absl::Time marked_at_ = absl::InfinitePast(), before_at_ = absl::InfinitePast();
  Used marked_{}, before_{};
};

}  // namespace headroom
