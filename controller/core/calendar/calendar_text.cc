#include "controller/core/calendar/calendar_text.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"

namespace headroom {
namespace {

using Repeats = CalendarEntry::Repeats;

constexpr std::array<absl::string_view, 7> kDays = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                    "Friday", "Saturday", "Sunday"};
constexpr int kOffsetMax = 14 * 60;

// Two digits below `end`.
std::optional<int> ReadPair(absl::string_view text, int end) {
  int value = 0;
  const bool digits = text.size() == 2 && std::all_of(text.begin(), text.end(), [](char c) {
                        return absl::ascii_isdigit(static_cast<unsigned char>(c));
                      });
  if (!digits || !absl::SimpleAtoi(text, &value) || value >= end) return std::nullopt;
  return value;
}

// "18:00"
std::optional<int> ReadClock(absl::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const std::optional<int> hour = ReadPair(text.substr(0, 2), 24), minute = ReadPair(text.substr(3), 60);
  if (!hour.has_value() || !minute.has_value()) return std::nullopt;
  return *hour * 60 + *minute;
}

std::string ShowClock(int64_t minute) {
  return absl::StrFormat("%02d:%02d", minute / 60 % 24, minute % 60);
}

std::optional<int64_t> ReadDate(absl::string_view text) {
  absl::CivilDay day;
  if (text.size() != 10 || !absl::ParseCivilTime(text, &day)) return std::nullopt;
  return (day - absl::CivilDay(1970, 1, 1)) * kMinutesPerDay;
}

std::optional<int64_t> ReadDay(absl::string_view text) {
  const auto found = std::find_if(kDays.begin(), kDays.end(),
                                  [text](absl::string_view day) { return absl::EqualsIgnoreCase(day, text); });
  if (found == kDays.end()) return std::nullopt;
  return (found - kDays.begin()) * kMinutesPerDay;
}

int64_t PeriodOf(Repeats repeats) {
  return repeats == Repeats::kWeekly ? kMinutesPerWeek : kMinutesPerDay;
}

int64_t Wrap(int64_t minute, int64_t period) {
  return ((minute % period) + period) % period;
}

}  // namespace

std::optional<CalendarTime> ReadCalendarTime(absl::string_view text) {
  const size_t blank = text.find(' ');
  if (blank == absl::string_view::npos) {
    const std::optional<int> clock = ReadClock(text);
    if (!clock.has_value()) return std::nullopt;
    return CalendarTime{Repeats::kDaily, *clock};
  }
  const std::optional<int> clock = ReadClock(text.substr(blank + 1));
  if (!clock.has_value()) return std::nullopt;
  if (const std::optional<int64_t> day = ReadDay(text.substr(0, blank)); day.has_value())
    return CalendarTime{Repeats::kWeekly, *day + *clock};
  const std::optional<int64_t> date = ReadDate(text.substr(0, blank));
  if (!date.has_value()) return std::nullopt;
  return CalendarTime{Repeats::kOnce, *date + *clock};
}

std::string ShowCalendarTime(const CalendarTime& time) {
  if (time.repeats == Repeats::kDaily) return ShowClock(time.minute);
  if (time.repeats == Repeats::kWeekly) {
    return absl::StrCat(kDays[static_cast<size_t>(time.minute / kMinutesPerDay)], " ",
                        ShowClock(time.minute % kMinutesPerDay));
  }
  const int64_t within = Wrap(time.minute, kMinutesPerDay);
  const absl::CivilDay day = absl::CivilDay(1970, 1, 1) + (time.minute - within) / kMinutesPerDay;
  return absl::StrCat(absl::FormatCivilTime(day), " ", ShowClock(within));
}

std::optional<int> ReadOffset(absl::string_view text) {
  if (text == "UTC" || text == "Z") return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const std::optional<int> minutes = ReadClock(text.substr(1));
  if (!minutes.has_value() || *minutes > kOffsetMax) return std::nullopt;
  return text[0] == '-' ? -*minutes : *minutes;
}

std::string ShowOffset(int minutes) {
  if (minutes == 0) return "UTC";
  return absl::StrCat(minutes < 0 ? "-" : "+", ShowClock(std::abs(minutes)));
}

std::optional<CalendarEntry> EntryOf(const CalendarSpan& span) {
  const Repeats repeats = span.start.repeats;
  if (span.end.repeats != repeats) return std::nullopt;
  CalendarEntry entry;
  entry.repeats = repeats;
  entry.offset_minutes = span.offset_minutes;
  entry.start_minute = span.start.minute - span.offset_minutes;
  entry.length_minutes = span.end.minute - span.start.minute;
  if (repeats != Repeats::kOnce) {
    entry.start_minute = Wrap(entry.start_minute, PeriodOf(repeats));
    entry.length_minutes = Wrap(entry.length_minutes, PeriodOf(repeats));
  }
  if (entry.length_minutes <= 0) return std::nullopt;
  return entry;
}

CalendarSpan SpanOf(const CalendarEntry& entry) {
  CalendarSpan span;
  span.offset_minutes = entry.offset_minutes;
  span.start = {entry.repeats, entry.start_minute + entry.offset_minutes};
  span.end = {entry.repeats, span.start.minute + entry.length_minutes};
  if (entry.repeats != Repeats::kOnce) {
    span.start.minute = Wrap(span.start.minute, PeriodOf(entry.repeats));
    span.end.minute = Wrap(span.end.minute, PeriodOf(entry.repeats));
  }
  return span;
}

}  // namespace headroom
