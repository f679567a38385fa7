#include "controller/cli/plan_arguments.h"

#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headroom {
namespace {

absl::Status Fault(absl::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no ", what));
}

}  // namespace

absl::StatusOr<absl::Time> ParseMoment(absl::string_view text) {
  absl::Time at;
  std::string error;
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%d%n%H:%M:%S", "%Y-%m-%d%n%H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &at, &error)) return at;
  }
  int64_t seconds = 0;
  if (absl::SimpleAtoi(text, &seconds) && seconds >= 0 && seconds < 100'000'000'000)
    return absl::FromUnixSeconds(seconds);
  return Fault(text, "time like 2026-11-27T18:00:00Z, \"2026-11-27 18:00\" (UTC) or unix seconds");
}

absl::StatusOr<absl::Duration> ParseSpan(absl::string_view text) {
  absl::Duration span;
  double days = 0;
  absl::string_view number = text;
  const bool in_days = absl::ConsumeSuffix(&number, "d") && absl::SimpleAtod(number, &days) && std::isfinite(days);
  if (in_days) span = absl::Hours(24) * days;
  if ((in_days || absl::ParseDuration(text, &span)) && span > absl::ZeroDuration() && span <= absl::Hours(24 * 3650))
    return span;
  return Fault(text, "length of time like 90s, 10m, 2h or 14d");
}

absl::StatusOr<double> ParseGrowth(absl::string_view text) {
  constexpr absl::string_view kForm = "growth like 5%/month (also /day, /week, /year)";
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits("%/", 1));
  double percent = 0;
  if (!absl::SimpleAtod(parts.first, &percent) || !(percent > -100 && percent <= 10'000)) return Fault(text, kForm);
  for (const auto& [name, days] : {std::pair("day", 1.0), {"week", 7.0}, {"month", 30.0}, {"year", 365.0}}) {
    if (parts.second == name) return std::pow(1 + percent / 100, 1 / days) - 1;
  }
  return Fault(text, kForm);
}

absl::StatusOr<double> ParseAmount(absl::string_view text) {
  absl::string_view number = text;
  double unit = 1, value = 0;
  for (const auto& [suffix, factor] : {std::pair("Ki", 0x1p10),
                                       {"Mi", 0x1p20},
                                       {"Gi", 0x1p30},
                                       {"Ti", 0x1p40},
                                       {"k", 1e3},
                                       {"M", 1e6},
                                       {"G", 1e9},
                                       {"T", 1e12}}) {
    if (!absl::ConsumeSuffix(&number, suffix)) continue;
    unit = factor;
    break;
  }
  if (absl::SimpleAtod(number, &value) && std::isfinite(value) && value > 0) return value * unit;
  return Fault(text, "amount above 0 like 500, 2k or 64Mi");
}

}  // namespace headroom
