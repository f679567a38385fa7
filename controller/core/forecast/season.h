#pragma once

#include <cstdint>

#include "controller/core/forecast/slot_history.h"

namespace headroom::forecast {

// The period of what repeats beside the day: the lag of the highest hill of the autocorrelation of square roots, with
// the usual day taken out. 0: nothing repeats, or two days are not yet known. Costs slots x lags of the part of the
// history that is looked at (at most 4,096 slots, lags up to a third of them), so it is asked for now and then.
int64_t FindSeason(const SlotHistory& history, int64_t slots_per_day);

}  // namespace headroom::forecast
