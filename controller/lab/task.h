#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/lab/series.h"
#include "controller/lab/trace.h"

// The standard task: what every policy is measured on. One unit of demand is what one node serves safely; a step is 5
// s.
//
//   A trace is scaled so that its mean is 10 nodes or its peak 150, whichever is smaller. Each value is held over its
//   interval and multiplied by seeded noise. Gaps of up to 10 minutes are held over; longer ones are missing data:
//   nobody sees anything there and nothing counts. The first 20 % is history: seen by all, scored for none.
//   A launched node boots for 120 s, then serves more from step to step for 60 s. It is paid from its launch, and for
//   10 minutes at least. Cost = node-hours + 100 x node-hours of demand that nobody served.

namespace headroom::lab {

inline constexpr int kStepSeconds = 5;
inline constexpr double kHoursPerStep = kStepSeconds / 3600.0;
inline constexpr int kNodesMin = 1, kNodesMax = 200;
inline constexpr double kShortagePrice = 100;
inline constexpr absl::Duration kTraceStepMax = absl::Minutes(5);  // coarser traces are for planning
inline constexpr absl::Duration kTraceSpanMax =
    absl::Hours(24 * 400);  // bounds the memory: 300 bytes a minute and seed
inline constexpr std::array<uint64_t, 3> kSeeds = {1, 2, 3};

// What a node goes through, in steps.
struct NodeLaw {
  int boot_steps = 24;
  int ramp_steps = 12;
  int paid_steps_min = 120;

  int mature_steps() const { return boot_steps + ramp_steps; }
  // The part of a node's capacity that serves during the step that begins at this age: the middle of the step counts.
  double Capacity(int age) const {
    if (age < boot_steps) return 0;
    if (age >= mature_steps()) return 1;
    return (age - boot_steps + 0.5) / ramp_steps;
  }
};

// So large a part of the nodes is gone at once, the oldest first.
struct NodeLoss {
  int step = 0;
  double ratio = 0;
};

// What everybody is under; the standard task's by default, a plan has its own.
struct Terms {
  NodeLaw law;
  int nodes_min = kNodesMin, nodes_max = kNodesMax;
  std::vector<NodeLoss> losses;  // by step
};

// Course: a trace on the grid, scaled, without noise. Immutable once made; shared by the seeds.
struct Course {
  std::string name;
  std::vector<std::string> notes;
  int64_t start_unix_seconds = 0;  // of the first known value: where the grid begins
  int steps = 0;
  int first_scored = 0;
  double nodes_per_unit = 0;  // the scale
  Terms terms;
  Series<float> held;             // demand in nodes; 0 where it is missing
  Series<int32_t> known_before;   // steps + 1 entries: steps with a datum before this one
  Series<int32_t> scored_before;  // steps + 1 entries: steps that count before this one

  bool known(int step) const { return known_before[step + 1] > known_before[step]; }
  int scored_steps() const { return scored_before.back(); }
};

// FAILED_PRECONDITION: the trace is not for this task (its step is too coarse, it is too long, it is all zero or beyond
// measure).
absl::StatusOr<std::shared_ptr<const Course>> MakeCourse(const Trace& trace);

// Of a task of one's own.
struct CourseOptions {
  double nodes_per_unit = 0;  // 0: scaled as the standard task is
  absl::Duration step_max = kTraceStepMax;
  Terms terms;
};
absl::StatusOr<std::shared_ptr<const Course>> MakeCourse(const Trace& trace, const CourseOptions& options);

// AR(1) noise with standard deviation 1 and a correlation time of 60 s, one value a step. Each innovation is the sum of
// the twelve 16-bit parts of three outputs of std::mt19937_64 (Irwin-Hall: near normal, no libm), so a seed is the same
// noise on every machine.
Series<double> UnitNoise(uint64_t seed, int steps);

inline constexpr double kNoiseRatio = 0.05;

// Demand: a course under the noise of one seed. Immutable once made.
struct Demand {
  std::shared_ptr<const Course> course;
  Series<double> offered;     // in nodes, a step each; 0 where it is missing
  Series<double> sum_before;  // steps + 1 entries: what was offered before this step

  int steps() const { return course->steps; }
};

Demand MakeDemand(std::shared_ptr<const Course> course, uint64_t seed);

}  // namespace headroom::lab
