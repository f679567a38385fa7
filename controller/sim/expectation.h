#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/sim/world.h"

namespace headroom::sim {

enum class Figure : uint8_t {
  kFailedRatio,
  kAttempts,
  kP99Ms,
  kNodes,
  kLimit,
  kConnections,
  kLimitChanges,
  kLaunches,
  kTerminations
};
struct ExpectedRange {
  Figure figure = Figure::kFailedRatio;
  std::optional<double> least, most;
};
// Diagnosis names the cause at some time, or never.
struct ExpectedCause {
  enum class When : uint8_t { kOnce, kNever };
  Cause cause = Cause::kNone;
  When when = When::kOnce;
};

// Something that must be so in a run, from one time to another.
struct Expectation {
  absl::Duration from, to = absl::InfiniteDuration();  // from the start
  std::variant<ExpectedRange, ExpectedCause> what;
};
// "failed_ratio", "attempts", ...
absl::string_view FigureName(Figure figure);

// A look at a run.
struct RunSample {
  absl::Duration at;  // from the start
  ClientStatistics total;
  int nodes = 0;  // that serve
  int64_t connections = 0, limit_least = 0, limit_most = 0;
  Cause cause = Cause::kNone;
};

// What came of an expectation.
struct Outcome {
  std::string text;  // "failed_ratio at most 0.01, 10m to 15m"
  std::string got;   // "0.0003"
  bool met = false;
};

// Judge: follows one expectation through a run. To be shown every sample (at least one a second, and one at the very
// start and the end) and every decision, in the order of time. A figure over a stretch without any request is 0.
class Judge {
 public:
  explicit Judge(const Expectation& expectation) : expectation_(expectation) {}

  void See(const RunSample& sample);
  void See(absl::Duration at, const Decision& decision);
  Outcome Tell() const;

 private:
  bool Covers(absl::Duration at) const { return at >= expectation_.from && at <= expectation_.to; }
  void SeeValue(double value);
  void SeeActions(Figure figure, const Decision& decision);
  Outcome TellRange(const ExpectedRange& range) const;

  Expectation expectation_;
  std::optional<ClientStatistics> before_, last_;  // totals at the ends of what was covered
  double least_ = std::numeric_limits<double>::infinity(), most_ = -least_, count_ = 0;
  std::optional<absl::Duration> named_at_;
};

}  // namespace headroom::sim
