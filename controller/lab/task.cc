#include "controller/lab/task.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "controller/sim/random.h"

namespace headroom::lab {
namespace {

constexpr int64_t kGapSecondsMax = 600;
constexpr int kHistoryPercent = 20;
constexpr double kMeanNodes = 10, kPeakNodes = 150;
// exp(-5 s / 60 s) and sqrt(1 - its square), written out: libm differs between machines in the last bit.
constexpr double kNoiseMemory = 0.9200444146293233;
constexpr double kNoiseFresh = 0.3918140823265364;

// A value and the seconds over which it holds.
struct Held {
  int64_t begin, end;
  double value;
};

std::vector<Held> Hold(const Trace& trace) {
  const int64_t step = absl::ToInt64Seconds(trace.step);
  std::vector<Held> held;
  for (const TraceSample& sample : trace.samples) {
    if (std::isnan(sample.value)) continue;
    if (!held.empty()) {
      const int64_t gap = sample.unix_seconds - held.back().end;
      if (gap <= kGapSecondsMax) held.back().end = sample.unix_seconds;
    }
    held.push_back({sample.unix_seconds, sample.unix_seconds + step, sample.value});
  }
  return held;
}

// The mean of what holds within each step of the grid; NaN: nothing does.
Series<double> OnGrid(const std::vector<Held>& held) {
  const int64_t start = held.front().begin;
  const int steps = static_cast<int>((held.back().end - start + kStepSeconds - 1) / kStepSeconds);
  Series<double> sum(steps);
  Series<uint8_t> seconds(steps);
  for (const Held& value : held) {
    for (int64_t at = value.begin - start; at < value.end - start;) {
      const int slot = static_cast<int>(at / kStepSeconds);
      const int64_t until = std::min(value.end - start, (int64_t{slot} + 1) * kStepSeconds);
      sum[slot] += value.value * static_cast<double>(until - at);
      seconds[slot] = static_cast<uint8_t>(seconds[slot] + (until - at));
      at = until;
    }
  }
  for (int i = 0; i < steps; ++i) sum[i] /= seconds[i];  // 0 / 0 is NaN, as wanted
  return sum;
}

// Zero: there is no demand to scale.
double ScaleOf(const Series<double>& values) {
  double sum = 0, peak = 0;
  int64_t known = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value, peak = std::max(peak, value), ++known;
  }
  const double scale = std::min(kMeanNodes * static_cast<double>(known) / sum, kPeakNodes / peak);
  return std::isfinite(scale) ? scale : 0;
}

absl::Status CheckFit(const Trace& trace, absl::Duration step_max) {
  if (IsCoarserThan(trace, step_max)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "its step of ", absl::FormatDuration(trace.step), " is over ", absl::FormatDuration(step_max),
        step_max == kTraceStepMax ? ": it is for planning, not for scoring" : ": no plan can be made from it"));
  }
  const int64_t span = trace.samples.back().unix_seconds - trace.samples.front().unix_seconds;
  if (absl::Seconds(span) > kTraceSpanMax) {
    return absl::FailedPreconditionError(absl::StrCat("it spans ", span / 86400, " days; at most ",
                                                      absl::ToInt64Hours(kTraceSpanMax) / 24,
                                                      " can be scored, give a part of it"));
  }
  return absl::OkStatus();
}

absl::Status CannotBeScaled(const Trace& trace) {
  const bool zero = std::none_of(trace.samples.begin(), trace.samples.end(),
                                 [](const TraceSample& sample) { return sample.value > 0; });
  return absl::FailedPreconditionError(
      zero ? "its demand cannot be scaled: it is all zero"
           : "its demand cannot be scaled: its values are too large or too small, give them in another unit");
}

void Fill(const Series<double>& values, Course& course) {
  course.steps = values.size();
  course.first_scored = static_cast<int>(int64_t{course.steps} * kHistoryPercent / 100);
  course.held = Series<float>(course.steps);
  course.known_before = Series<int32_t>(course.steps + 1);
  course.scored_before = Series<int32_t>(course.steps + 1);
  for (int i = 0; i < course.steps; ++i) {
    const bool known = !std::isnan(values[i]);
    course.held[i] = known ? static_cast<float>(values[i] * course.nodes_per_unit) : 0;
    course.known_before[i + 1] = course.known_before[i] + (known ? 1 : 0);
    course.scored_before[i + 1] = course.scored_before[i] + (known && i >= course.first_scored ? 1 : 0);
  }
}

// Near normal, from integers alone: mean 0, variance 1.
double Innovation(sim::Random& random) {
  constexpr double kUnit = 65536;
  int64_t sum = 0;
  for (int draw = 0; draw < 3; ++draw) {
    const uint64_t bits = random();
    for (int shift = 0; shift < 64; shift += 16) sum += static_cast<int64_t>((bits >> shift) & 0xffff);
  }
  // Each of the twelve is uniform over 0 .. 65535 with mean 32767.5 and variance 65536^2 / 12, near enough.
  return (static_cast<double>(sum) - 12 * (kUnit - 1) / 2) / kUnit;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Course>> MakeCourse(const Trace& trace) {
  return MakeCourse(trace, CourseOptions());
}

absl::StatusOr<std::shared_ptr<const Course>> MakeCourse(const Trace& trace, const CourseOptions& options) {
  HR_RETURN_IF_ERROR(CheckFit(trace, options.step_max));
  const std::vector<Held> held = Hold(trace);
  const Series<double> values = OnGrid(held);
  auto course = std::make_shared<Course>();
  course->name = trace.name;
  course->notes = trace.notes;
  course->start_unix_seconds = held.front().begin;  // which is where the grid begins
  course->terms = options.terms;
  course->nodes_per_unit = options.nodes_per_unit > 0 ? options.nodes_per_unit : ScaleOf(values);
  if (course->nodes_per_unit <= 0) return CannotBeScaled(trace);
  Fill(values, *course);
  if (course->scored_steps() == 0) return absl::FailedPreconditionError("nothing in it can be scored");
  return course;
}

Series<double> UnitNoise(uint64_t seed, int steps) {
  sim::Random random(seed);
  Series<double> noise(steps);
  double last = Innovation(random);
  for (double& value : noise) {
    value = last;
    last = kNoiseMemory * last + kNoiseFresh * Innovation(random);
  }
  return noise;
}

Demand MakeDemand(std::shared_ptr<const Course> course, uint64_t seed) {
  Demand demand;
  const Series<double> noise = UnitNoise(seed, course->steps);
  demand.offered = Series<double>(course->steps);
  demand.sum_before = Series<double>(course->steps + 1);
  for (int i = 0; i < course->steps; ++i) {
    demand.offered[i] = double{course->held[i]} * std::max(0.0, 1 + kNoiseRatio * noise[i]);
    demand.sum_before[i + 1] = demand.sum_before[i] + demand.offered[i];
  }
  demand.course = std::move(course);
  return demand;
}

}  // namespace headroom::lab
