#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

#include "controller/core/calendar/calendar.h"

// The times of a calendar as people write them.

namespace headroom {

// A moment in the zone of its entry; minutes as in CalendarEntry.
struct CalendarTime {
  CalendarEntry::Repeats repeats = CalendarEntry::Repeats::kOnce;
  int64_t minute = 0;
};

// "2026-11-27 18:00" once, "Friday 18:00" every week, "18:00" every day. Nothing: it is none of them.
std::optional<CalendarTime> ReadCalendarTime(absl::string_view text);
std::string ShowCalendarTime(const CalendarTime& time);

// Minutes east of UTC of "UTC" or "+05:30". Nothing: it is no offset of at most 14 hours.
std::optional<int> ReadOffset(absl::string_view text);
std::string ShowOffset(int minutes);

// Both ends as CalendarEntry has them. Nothing: they are not written alike, or the end is not after the start.
struct CalendarSpan {
  CalendarTime start, end;
  int offset_minutes = 0;
};
std::optional<CalendarEntry> EntryOf(const CalendarSpan& span);
CalendarSpan SpanOf(const CalendarEntry& entry);

}  // namespace headroom
