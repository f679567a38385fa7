#include "controller/lab/slot_series.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "controller/base/median.h"

namespace headroom::lab {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kSlotSeconds = 300;
constexpr double kChangeRatio = 1.5;
constexpr double kUnusual = 3;       // times the usual change from day to day
constexpr double kValueMax = 1e100;  // squares of more are infinite
constexpr int64_t kChangeStride = 12;

// NaN: less than half is known.
double MedianOf(const std::vector<double>& values, int64_t begin, int64_t end) {
  std::vector<double> known;
  for (int64_t i = begin; i < end; ++i) {
    const double value = values[static_cast<size_t>(i)];
    if (!std::isnan(value)) known.push_back(value);
  }
  if (2 * std::ssize(known) < end - begin) return kUnknown;
  return UpperMedian(known);
}

// How far the level moves at a slot: the logarithm of the day after over the day before. NaN: not known.
double Move(const SlotSeries& series, int64_t slot) {
  const double before = MedianOf(series.means, slot - kSlotsPerDay, slot);
  const double after = MedianOf(series.means, slot, slot + kSlotsPerDay);
  return before > 0 && after > 0 ? std::log(after / before) : kUnknown;
}

double MedianSize(std::vector<double> moves) {
  std::erase_if(moves, [](double move) { return std::isnan(move); });
  for (double& move : moves) move = std::abs(move);
  return UpperMedian(moves);
}

}  // namespace

absl::StatusOr<SlotSeries> ToSlots(const Trace& trace) {
  if (IsCoarserThan(trace, kSlot)) {
    return absl::FailedPreconditionError(
        absl::StrCat("its step of ", absl::FormatDuration(trace.step), " is over five minutes"));
  }
  if (std::any_of(trace.samples.begin(), trace.samples.end(),
                  [](const TraceSample& sample) { return sample.value > kValueMax; })) {
    return absl::FailedPreconditionError("its values are too large, give them in another unit");
  }
  SlotSeries series{.name = trace.name, .first_slot = trace.samples.front().unix_seconds / kSlotSeconds};
  const int64_t slots = trace.samples.back().unix_seconds / kSlotSeconds - series.first_slot + 1;
  if (slots > kSlotsMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("it spans ", slots / kSlotsPerDay, " days; at most ", kSlotsMax / kSlotsPerDay, " can be taken"));
  }
  series.means.assign(static_cast<size_t>(slots), kUnknown);
  series.moments.resize(static_cast<size_t>(slots));
  for (const TraceSample& sample : trace.samples) {
    if (std::isnan(sample.value)) continue;
    series.moments[static_cast<size_t>(sample.unix_seconds / kSlotSeconds - series.first_slot)].push_back(sample.value);
  }
  const int64_t full = kSlotSeconds / std::max<int64_t>(1, absl::ToInt64Seconds(trace.step));
  for (size_t slot = 0; slot < series.means.size(); ++slot) {
    std::vector<double>& values = series.moments[slot];
    if (values.empty() || 2 * std::ssize(values) < full) {
      values.clear();
      continue;
    }
    double sum = 0;
    for (const double value : values) sum += value;
    series.means[slot] = sum / static_cast<double>(values.size());
  }
  return series;
}

std::vector<int64_t> LevelChanges(const SlotSeries& series) {
  std::vector<double> moves;
  for (int64_t slot = kSlotsPerDay; slot + kSlotsPerDay <= series.size(); slot += kChangeStride) {
    moves.push_back(Move(series, slot));
  }
  const double least = std::max(std::log(kChangeRatio), kUnusual * MedianSize(moves));
  constexpr int64_t kBeside = kSlotsPerDay / kChangeStride;  // a day of moves
  std::vector<int64_t> changes;
  for (int64_t i = 0; i < std::ssize(moves); ++i) {
    const auto size = [&](int64_t at) { return std::abs(moves[static_cast<size_t>(at)]); };
    if (!(size(i) >= least)) continue;
    bool highest = true;
    for (int64_t j = std::max<int64_t>(0, i - kBeside); j <= std::min(std::ssize(moves) - 1, i + kBeside); ++j) {
      if (size(j) > size(i) || (size(j) == size(i) && j < i)) highest = false;
    }
    if (highest) changes.push_back(kSlotsPerDay + i * kChangeStride);
  }
  return changes;
}

}  // namespace headroom::lab
