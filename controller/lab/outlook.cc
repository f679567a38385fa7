#include "controller/lab/outlook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace headroom::lab {
namespace {

constexpr int64_t kHour = 3600, kDaySeconds = 86'400;
constexpr int64_t kDayHours = 24, kWeekHours = 168;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr double kSlopeWidening = 1.5;
constexpr double kNormal95 = 1.645;
constexpr int64_t kProfileWeeks = 4, kProfileDays = 7;

// Hours: the means of whole hours, NaN where less than half is known.
struct Hours {
  int64_t first = 0;  // since the epoch
  std::vector<double> means;
  int64_t end() const { return first + std::ssize(means); }
  double operator[](int64_t hour) const {
    return hour >= first && hour < end() ? means[static_cast<size_t>(hour - first)] : kUnknown;
  }
};

double Quantile(std::vector<double> values, double p) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return kUnknown;
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(p * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

// Each value holds for a step.
Hours HoursOf(const Trace& trace) {
  const int64_t step = std::max<int64_t>(1, absl::ToInt64Seconds(trace.step));
  Hours hours{.first = trace.samples.front().unix_seconds / kHour};
  const auto count = static_cast<size_t>((trace.samples.back().unix_seconds + step - 1) / kHour - hours.first + 1);
  std::vector<double> sums(count), known(count);
  for (const TraceSample& sample : trace.samples) {
    if (std::isnan(sample.value)) continue;
    for (int64_t at = sample.unix_seconds; at < sample.unix_seconds + step;) {
      const int64_t hour = at / kHour;
      const int64_t until = std::min(sample.unix_seconds + step, (hour + 1) * kHour);
      const auto slot = static_cast<size_t>(hour - hours.first);
      sums[slot] += sample.value * static_cast<double>(until - at), known[slot] += static_cast<double>(until - at);
      at = until;
    }
  }
  for (size_t i = 0; i < count; ++i) hours.means.push_back(2 * known[i] >= kHour ? sums[i] / known[i] : kUnknown);
  return hours;
}

// The usual value of an hour, from what was known before `now`: of its hour of the week, or of the day where the past
// is short.
double Usual(const Hours& hours, int64_t now, int64_t hour) {
  const bool weekly = now - hours.first >= 2 * kWeekHours;
  const int64_t period = weekly ? kWeekHours : kDayHours;
  std::vector<double> same;
  int64_t at = hour - period * ((hour - now) / period + 1);
  for (int64_t i = 0; i < (weekly ? kProfileWeeks : kProfileDays); ++i, at -= period) same.push_back(hours[at]);
  return Quantile(std::move(same), 0.5);
}

// How the last week compares with what is usual; 1: as ever.
double Level(const Hours& hours, int64_t now) {
  double actual = 0, usual = 0;
  for (int64_t hour = now - kWeekHours; hour < now; ++hour) {
    const double expected = Usual(hours, now - kWeekHours, hour);
    if (std::isnan(expected) || std::isnan(hours[hour])) continue;
    actual += hours[hour], usual += expected;
  }
  return usual > 0 ? std::clamp(actual / usual, 0.5, 2.0) : 1;
}

struct Missed {
  std::vector<double> ratios;  // logarithms of what was over what was said
  double absolute = 0, sum = 0;
};

// The rule asked in its own past, every half day of the second half, for the two weeks after.
Missed Backtest(const Hours& hours, double least) {
  Missed missed;
  const int64_t middle = hours.first + (hours.end() - hours.first) / 2;
  for (int64_t now = std::max(middle, hours.first + 2 * kDayHours); now < hours.end(); now += kDayHours / 2) {
    const int64_t until = std::min(hours.end(), now + kOutlookDays * kDayHours);
    const double level = std::sqrt(Level(hours, now));
    for (int64_t hour = now; hour < until; ++hour) {
      const double said = level * Usual(hours, now, hour), was = hours[hour];
      if (std::isnan(said) || std::isnan(was)) continue;
      missed.ratios.push_back(std::log((was + least) / (said + least)));
      if (hour < now + kDayHours) missed.absolute += std::abs(was - said), missed.sum += was;
    }
  }
  return missed;
}

void FillHours(const Hours& hours, double growth_per_day, Outlook& outlook) {
  double sum = 0, known = 0;
  for (const double mean : hours.means) {
    if (!std::isnan(mean)) sum += mean, known += 1;
  }
  const double least = 0.05 * sum / std::max(1.0, known);
  const Missed missed = Backtest(hours, least);
  if (missed.ratios.empty()) return;
  if (missed.sum > 0) outlook.missed_ratio = missed.absolute / missed.sum;
  const double low = Quantile(missed.ratios, 0.05), high = Quantile(missed.ratios, 0.95);
  const int64_t now = hours.end();
  const double level = std::sqrt(Level(hours, now));
  for (int64_t hour = now; hour < now + kOutlookDays * kDayHours; ++hour) {
    const double days = static_cast<double>(hour - now) / static_cast<double>(kDayHours);
    const double expected = level * Usual(hours, now, hour) * std::pow(1 + growth_per_day, days);
    if (std::isnan(expected)) continue;
    outlook.hours.push_back({.unix_seconds = hour * kHour,
                             .low = std::max(0.0, (expected + least) * std::exp(std::min(0.0, low)) - least),
                             .expected = expected,
                             .high = (expected + least) * std::exp(std::max(0.0, high)) - least});
  }
}

// The highest value of each UTC day of which half is known.
std::vector<Band> PastPeaks(const Trace& trace) {
  std::vector<Band> peaks;
  const double per_day = absl::FDivDuration(absl::Hours(24), trace.step);
  double known = 0, peak = 0;
  const auto end_day = [&](int64_t day) {
    if (known > 0 && 2 * known >= per_day) peaks.push_back({day * kDaySeconds, peak, peak, peak});
    known = peak = 0;
  };
  int64_t day = trace.samples.front().unix_seconds / kDaySeconds;
  for (const TraceSample& sample : trace.samples) {
    const int64_t today = sample.unix_seconds / kDaySeconds;
    if (today != day) end_day(day), day = today;
    if (!std::isnan(sample.value)) known += 1, peak = std::max(peak, sample.value);
  }
  end_day(day);
  return peaks;
}

// Line: logarithms of daily peaks over days, before the last one.
struct Line {
  double level = 0;  // on the last day
  std::array<double, 7> weekday{};
  Growth slope;  // of logarithms
  double residual_low = 0, residual_high = 0;
};

int Weekday(int64_t unix_seconds) {
  return static_cast<int>(unix_seconds / kDaySeconds % 7);
}

void FindWeekdays(const std::vector<Band>& peaks, const std::vector<double>& logs, Line& line) {
  if (peaks.size() < 21) return;
  const double middle = Quantile(logs, 0.5);
  for (int weekday = 0; weekday < 7; ++weekday) {
    std::vector<double> same;
    for (size_t i = 0; i < peaks.size(); ++i) {
      if (Weekday(peaks[i].unix_seconds) == weekday) same.push_back(logs[i] - middle);
    }
    if (!same.empty()) line.weekday[static_cast<size_t>(weekday)] = Quantile(std::move(same), 0.5);
  }
}

Growth TheilSen(const std::vector<double>& days, const std::vector<double>& logs) {
  std::vector<double> slopes;
  for (size_t i = 0; i < days.size(); ++i) {
    for (size_t j = i + 1; j < days.size(); ++j) slopes.push_back((logs[j] - logs[i]) / (days[j] - days[i]));
  }
  const auto n = static_cast<double>(days.size()), pairs = static_cast<double>(slopes.size());
  const double reach = kSlopeWidening * kNormal95 * std::sqrt(n * (n - 1) * (2 * n + 5) / 18) / pairs / 2;
  return {.low = Quantile(slopes, std::max(0.0, 0.5 - reach)),
          .expected = Quantile(slopes, 0.5),
          .high = Quantile(slopes, std::min(1.0, 0.5 + reach))};
}

Line Fit(const std::vector<Band>& peaks, std::optional<double> growth_per_day) {
  Line line;
  std::vector<double> days, logs;
  for (const Band& peak : peaks) {
    days.push_back(static_cast<double>(peak.unix_seconds - peaks.back().unix_seconds) / kDaySeconds);
    logs.push_back(std::log(std::max(peak.expected, 1e-9)));
  }
  FindWeekdays(peaks, logs, line);
  for (size_t i = 0; i < logs.size(); ++i) logs[i] -= line.weekday[static_cast<size_t>(Weekday(peaks[i].unix_seconds))];
  if (std::ssize(peaks) >= kTrendDaysMin) line.slope = TheilSen(days, logs);
  std::vector<double> levels;
  for (size_t i = 0; i < days.size(); ++i) levels.push_back(logs[i] - line.slope.expected * days[i]);
  line.level = Quantile(levels, 0.5);
  line.residual_low = Quantile(levels, 0.05) - line.level, line.residual_high = Quantile(levels, 0.95) - line.level;
  if (growth_per_day.has_value())
    line.slope = Growth{.low = std::log1p(*growth_per_day),
                        .expected = std::log1p(*growth_per_day),
                        .high = std::log1p(*growth_per_day)};
  return line;
}

void FillPeaks(const Line& line, Outlook& outlook) {
  const Band& last = outlook.past_peaks.back();
  const auto past = static_cast<double>(last.unix_seconds - outlook.past_peaks.front().unix_seconds) / kDaySeconds + 1;
  const int told = static_cast<int>(std::min<double>(kPeakDaysMax, kReach * past));
  for (int day = 1; day <= told; ++day) {
    const int64_t at = last.unix_seconds + day * kDaySeconds;
    const double base = line.level + line.weekday[static_cast<size_t>(Weekday(at))];
    outlook.peaks.push_back({.unix_seconds = at,
                             .low = std::exp(base + line.slope.low * day + line.residual_low),
                             .expected = std::exp(base + line.slope.expected * day),
                             .high = std::exp(base + line.slope.high * day + line.residual_high)});
  }
}

}  // namespace

Outlook LookAhead(const Trace& trace, std::optional<double> growth_per_day) {
  Outlook outlook;
  const Hours hours = HoursOf(trace);
  outlook.past_peaks = PastPeaks(trace);
  if (outlook.past_peaks.size() < 2) {
    outlook.notes.push_back(absl::StrFormat("%s: %d whole days are known; two are needed to look days ahead",
                                            trace.name, outlook.past_peaks.size()));
    return outlook;
  }
  const Line line = Fit(outlook.past_peaks, growth_per_day);
  if (std::ssize(outlook.past_peaks) >= kTrendDaysMin) {
    const Growth slope = Fit(outlook.past_peaks, std::nullopt).slope;
    outlook.measured = Growth{std::expm1(slope.low), std::expm1(slope.expected), std::expm1(slope.high)};
  } else {
    outlook.notes.push_back(absl::StrFormat(
        "%s: %d days are too few to tell growth (%d are needed); %s", trace.name, outlook.past_peaks.size(),
        kTrendDaysMin, growth_per_day ? "the growth given is used" : "none is assumed; give --growth"));
  }
  FillHours(hours, std::expm1(line.slope.expected), outlook);
  FillPeaks(line, outlook);
  return outlook;
}

Break DaysUntil(const Outlook& outlook, double limit) {
  Break until{.told_days = static_cast<double>(outlook.peaks.size())};
  const auto recent = outlook.past_peaks.size() > 7 ? outlook.past_peaks.end() - 7 : outlook.past_peaks.begin();
  if (std::any_of(recent, outlook.past_peaks.end(), [&](const Band& peak) { return peak.expected >= limit; })) {
    until.expected_days = until.early_days = 0;
    return until;
  }
  const auto first = [&](double Band::*edge) -> std::optional<double> {
    for (size_t day = 0; day < outlook.peaks.size(); ++day) {
      if (outlook.peaks[day].*edge >= limit) return static_cast<double>(day + 1);
    }
    return std::nullopt;
  };
  until.expected_days = first(&Band::expected), until.early_days = first(&Band::high);
  return until;
}

}  // namespace headroom::lab
