#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "controller/core/forecast/slot_history.h"

namespace headroom {

// UsualDemand: the demand of the last eight days by quarters of an hour, without what the calendar multiplied: what a
// campaign of "3x" is three times of. 6 kB a cluster, O(1) a tick, saved with the state. Copyable; thread-compatible.
class UsualDemand {
 public:
  // `demand` of `now`, which ascends; nothing: it cannot be told, or is not usual.
  void Observe(absl::Time now, std::optional<double> demand);
  // The highest of the quarters of [from, until] a week before, else on the nearest day before that is known, else the
  // last that was seen. Nothing: nothing was seen yet. Looks at no more than a day.
  std::optional<double> Highest(absl::Time from, absl::Time until) const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("history", self.history_);
    visit("slot", self.slot_);
    visit("sum", self.sum_);
    visit("count", self.count_);
    visit("last", self.last_);
  }

 private:
  static constexpr int64_t kPerDay = 96, kDays = 8;
  std::optional<double> At(int64_t slot) const;

  forecast::SlotHistory history_{kPerDay * kDays};
  int64_t slot_ = -1;  // that is being filled
  double sum_ = 0;
  int64_t count_ = 0;
  std::optional<double> last_;  // mean of the newest quarter that has ended, else the first demand that was seen
};

}  // namespace headroom
