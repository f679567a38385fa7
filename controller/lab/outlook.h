#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/lab/trace.h"

// The outlook: what a series may be in days and weeks, for planning; the seconds and minutes are core/forecast's.
//
// Hours ahead: the usual hour of the day (of the week, from two weeks on) at the present level, times the trend,
// between the 5 and 95 % quantiles of what the same rule missed by in the second half of the past. Daily peaks ahead: a
// robust straight line through their logarithms (Theil-Sen, weekdays taken out from three weeks on), with Sen's
// interval of its slope, widened by half since days resemble each other, and the residuals around it. A trend is told
// from two weeks on, and only as far ahead as kReach times the past.

namespace headroom::lab {

inline constexpr int kOutlookDays = 14;
inline constexpr int kPeakDaysMax = 730;
inline constexpr double kReach = 3;
inline constexpr int kTrendDaysMin = 14;

struct Band {
  int64_t unix_seconds = 0;
  double low = 0, expected = 0, high = 0;
};

// By how much daily peaks grow a day, as a ratio: 0.01 is 1 %.
struct Growth {
  double low = 0, expected = 0, high = 0;
};

struct Outlook {
  std::vector<Band> hours;             // the next kOutlookDays; empty: less than two days are known
  std::vector<Band> past_peaks;        // a day each; all three the same
  std::vector<Band> peaks;             // days ahead, as far as can be told; empty: less than two days
  std::optional<Growth> measured;      // nothing: less than kTrendDaysMin days
  std::optional<double> missed_ratio;  // WAPE of the rule for hours, over its own past, a day ahead
  std::vector<std::string> notes;      // what cannot be told, and why
};

// `growth_per_day`: instead of the measured one.
Outlook LookAhead(const Trace& trace, std::optional<double> growth_per_day);

// When the daily peak reaches a limit, in days from the end of the past; 0: it has been reached within the last week.
struct Break {
  std::optional<double> expected_days;  // nothing: not within what can be told
  std::optional<double> early_days;     // with a chance of 5 %
  double told_days = 0;                 // how far can be told
};
Break DaysUntil(const Outlook& outlook, double limit);

}  // namespace headroom::lab
