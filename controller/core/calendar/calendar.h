#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace headroom {

// One line of the policy's calendar: when demand is known to come, and how much. Valid by construction
// (policy_parse.h). Times are whole minutes of UTC: zones are fixed offsets, because the rules of named ones differ
// between machines and releases, and a decision must be the same wherever it is replayed.
struct CalendarEntry {
  enum class Repeats : uint8_t { kOnce, kDaily, kWeekly };

  std::string name;
  Repeats repeats = Repeats::kOnce;
  // Minutes of UTC since 1970 (once), since midnight (daily), since Monday's midnight (weekly).
  int64_t start_minute = 0;
  int64_t length_minutes = 0;  // over 0; of what repeats at most its period
  int offset_minutes = 0;      // of the zone that it was written in
  // Exactly one of these is not 0.
  double multiply_ratio = 0;     // the usual demand times so much
  int64_t connection_count = 0;  // demand: open and waiting
  int node_count = 0;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("name", self.name);
    visit("repeats", self.repeats);
    visit("start_minute", self.start_minute);
    visit("length_minutes", self.length_minutes);
    visit("offset_minutes", self.offset_minutes);
    visit("multiply", self.multiply_ratio);
    visit("connections", self.connection_count);
    visit("nodes", self.node_count);
  }
};

// From `begin` up to and without `end`.
struct CalendarWindow {
  absl::Time begin, end;
  bool Covers(absl::Time at) const { return at >= begin && at < end; }
};

// The window of the entry that covers `now`, else the next one; of an entry that is over, the last.
CalendarWindow WindowOf(const CalendarEntry& entry, absl::Time now);

// Whether the demand of now is of an entry's making, and not the usual one.
bool BringsDemand(const std::vector<CalendarEntry>& calendar, absl::Time now);

inline constexpr int64_t kMinutesPerDay = 24L * 60, kMinutesPerWeek = 7 * kMinutesPerDay;

}  // namespace headroom
