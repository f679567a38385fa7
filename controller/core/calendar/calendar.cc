#include "controller/core/calendar/calendar.h"

#include <algorithm>

namespace headroom {
namespace {

// 1970 began on a Thursday.
constexpr int64_t kFirstMonday = -3 * kMinutesPerDay;

absl::Time AtMinute(int64_t minute) {
  return absl::UnixEpoch() + absl::Minutes(minute);
}

int64_t MinuteOf(absl::Time at) {
  absl::Duration within;
  const int64_t minute = absl::IDivDuration(at - absl::UnixEpoch(), absl::Minutes(1), &within);
  return within < absl::ZeroDuration() ? minute - 1 : minute;
}

int64_t FloorDivide(int64_t value, int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

}  // namespace

CalendarWindow WindowOf(const CalendarEntry& entry, absl::Time now) {
  int64_t begin = entry.start_minute;
  if (entry.repeats != CalendarEntry::Repeats::kOnce) {
    const bool weekly = entry.repeats == CalendarEntry::Repeats::kWeekly;
    const int64_t period = weekly ? kMinutesPerWeek : kMinutesPerDay;
    begin += weekly ? kFirstMonday : 0;
    begin += FloorDivide(MinuteOf(now) - begin, period) * period;  // the last one that has begun
    if (MinuteOf(now) >= begin + entry.length_minutes) begin += period;
  }
  return {AtMinute(begin), AtMinute(begin + entry.length_minutes)};
}

bool BringsDemand(const std::vector<CalendarEntry>& calendar, absl::Time now) {
  return std::any_of(calendar.begin(), calendar.end(), [now](const CalendarEntry& entry) {
    return entry.node_count == 0 && WindowOf(entry, now).Covers(now);
  });
}

}  // namespace headroom
