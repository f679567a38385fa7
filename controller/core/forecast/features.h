#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "controller/core/forecast/linear_predictor.h"
#include "controller/core/forecast/slot_history.h"

namespace headroom::forecast {

// Where in time the slots of a series lie.
struct Slots {
  int64_t per_day = 288;
  int64_t per_week() const { return 7 * per_day; }
  int64_t per_half_hour() const { return per_day > 48 ? per_day / 48 : 1; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("per_day", self.per_day);
  }
};

inline constexpr int kLastValue = 1;  // index of the newest value among the features; 0 is the constant

// What predictors look at, at the newest slot of `history`, for the slot `ahead` later: the last values, the same time
// yesterday, the day before, and a week ago, each beside its own now, and one found season (0: none). What is not known
// is replaced by the nearest thing that is, in the end by the newest value. Units of the series.
struct Outlook {
  Features features{};
  double last = 0;
  double yesterday = 0;                        // the target's slot a day before
  double change_since_yesterday = 0;           // the last half hour, minus the same half hour a day before
  std::optional<double> profile, profile_now;  // median of the slot over seven days, the target's and this one's
};
Outlook LookAhead(const SlotHistory& history, const Slots& slots, int64_t ahead, int64_t season, double level);

}  // namespace headroom::forecast
