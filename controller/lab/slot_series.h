#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/lab/trace.h"

namespace headroom::lab {

// A trace in slots of five minutes, counted from the Unix epoch, as the forecaster takes it.
struct SlotSeries {
  std::string name;
  int64_t first_slot = 0;
  std::vector<double> means;                 // NaN: less than half of the slot is known
  std::vector<std::vector<double>> moments;  // the trace's own values within each slot

  int64_t size() const { return static_cast<int64_t>(means.size()); }
};

inline constexpr absl::Duration kSlot = absl::Minutes(5);
inline constexpr int64_t kSlotsPerDay = 288;
inline constexpr int64_t kSlotsMax = kSlotsPerDay * 800;

// FAILED_PRECONDITION: its step is over five minutes, or it is longer than kSlotsMax.
absl::StatusOr<SlotSeries> ToSlots(const Trace& trace);

// Slots at which the level changes and stays: the median of the day that begins there differs from the day before by
// more than half, and by more than it usually does from one day to the next, however one cuts the days; at most one in
// two days. Knows the future: it is for judging, not for forecasting.
std::vector<int64_t> LevelChanges(const SlotSeries& series);

}  // namespace headroom::lab
