#include "controller/lab/what_if.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "controller/base/status.h"

namespace headroom::lab {
namespace {

constexpr int64_t kContinuedStep = 300;
constexpr absl::Duration kAfterCampaign = absl::Hours(2);

std::string At(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M", time, absl::UTCTimeZone());
}

absl::Time EndOf(const Trace& trace) {
  return absl::FromUnixSeconds(trace.samples.back().unix_seconds) + trace.step;
}

// Between the middles of hours in straight lines.
double Expected(const std::vector<Band>& hours, int64_t unix_seconds) {
  constexpr int64_t kHour = 3600;
  const double place = static_cast<double>(unix_seconds - kHour / 2 - hours.front().unix_seconds) / kHour;
  const auto last = static_cast<double>(hours.size() - 1);
  const auto low = static_cast<size_t>(std::clamp(std::floor(place), 0.0, last));
  const size_t high = std::min(low + 1, hours.size() - 1);
  const double part = std::clamp(place - static_cast<double>(low), 0.0, 1.0);
  return hours[low].expected + part * (hours[high].expected - hours[low].expected);
}

absl::Status Continue(const Outlook& outlook, absl::Time until, Trace& trace) {
  const absl::Time end = EndOf(trace);
  if (outlook.hours.empty() || until > absl::FromUnixSeconds(outlook.hours.back().unix_seconds) + absl::Hours(1)) {
    return absl::OutOfRangeError(absl::StrCat(
        "the campaign ends at ", At(until), ", and the past, which ends at ", At(end), ", tells no more than ",
        outlook.hours.empty() ? 0 : kOutlookDays, " days ahead: choose an earlier time, or one within the past"));
  }
  const int64_t step = std::max(kContinuedStep, absl::ToInt64Seconds(trace.step));
  for (int64_t at = absl::ToUnixSeconds(end); at < absl::ToUnixSeconds(until); at += step) {
    trace.samples.push_back({at, Expected(outlook.hours, at)});
  }
  return absl::OkStatus();
}

absl::Status CheckCampaign(const Campaign& campaign, const Trace& trace) {
  const auto inside = [&](const TraceSample& sample) {
    const absl::Time at = absl::FromUnixSeconds(sample.unix_seconds);
    return at + trace.step > campaign.from && at < campaign.until && !std::isnan(sample.value);
  };
  if (std::any_of(trace.samples.begin(), trace.samples.end(), inside)) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat("nothing is known of the campaign's time, ", At(campaign.from), " to ",
                                            At(campaign.until), ": what is planned on goes from ",
                                            At(absl::FromUnixSeconds(trace.samples.front().unix_seconds)), " to ",
                                            At(EndOf(trace))));
}

void KeepFrom(absl::Time from, Trace& trace) {
  const int64_t first = absl::ToUnixSeconds(from);
  std::erase_if(trace.samples, [&](const TraceSample& sample) { return sample.unix_seconds < first; });
}

}  // namespace

absl::StatusOr<Imagined> Imagine(const Trace& trace, const Outlook& outlook, const WhatIf& what_if, int days) {
  Imagined imagined{.trace = trace};
  Trace& made = imagined.trace;
  if (what_if.campaign && what_if.campaign->until > EndOf(trace)) {
    HR_RETURN_IF_ERROR(Continue(outlook, what_if.campaign->until + kAfterCampaign, made));
    imagined.notes.push_back(absl::StrCat("from ", At(EndOf(trace)), " on demand is what the outlook expects"));
  }
  KeepFrom(EndOf(made) - absl::Hours(24) * days, made);
  if (what_if.growth_per_day) {
    imagined.grown = std::pow(1 + *what_if.growth_per_day, absl::FDivDuration(what_if.ahead, absl::Hours(24)));
    for (TraceSample& sample : made.samples) sample.value *= imagined.grown;
    imagined.notes.push_back(absl::StrFormat("demand is multiplied by %.3f: growth until %s ahead", imagined.grown,
                                             absl::FormatDuration(what_if.ahead)));
  }
  if (what_if.campaign) {
    const Campaign& campaign = *what_if.campaign;
    HR_RETURN_IF_ERROR(CheckCampaign(campaign, made));
    for (TraceSample& sample : made.samples) {
      const absl::Time at = absl::FromUnixSeconds(sample.unix_seconds);
      if (at >= campaign.from && at < campaign.until) sample.value *= campaign.factor;
    }
    imagined.notes.push_back(absl::StrFormat("demand is multiplied by %g from %s to %s", campaign.factor,
                                             At(campaign.from), At(campaign.until)));
  }
  const bool any =
      std::any_of(made.samples.begin(), made.samples.end(), [](const TraceSample& sample) { return sample.value > 0; });
  if (made.samples.size() < 2 || !any) {
    return absl::FailedPreconditionError(
        absl::StrCat(trace.name, ": the last ", days, " days have no demand to plan for"));
  }
  return imagined;
}

}  // namespace headroom::lab
