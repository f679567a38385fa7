#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/anomaly/patterns.h"
#include "controller/core/anomaly/season.h"
#include "controller/core/anomaly/tail_history.h"

namespace headroom {

enum class AnomalyKind : uint8_t {
  kNone,
  kSurge,       // far above what was expected
  kDrop,        // far below
  kLevelShift,  // the level has changed and holds
  kDrift,       // the level has moved away in steps too small to be seen
  kVariance,    // the series has become restless, or too quiet
  kPattern,     // each value is usual, their order is not
  kSilence,     // samples have stopped coming
};
absl::string_view ToString(AnomalyKind kind);

// What one sample says.
struct AnomalyVerdict {
  double score = 0;     // in [0, 1]: how sure that something is wrong. Above 0.5 only on the sample that raises an
                        // incident, in (0, 0.5] while it lasts: the more, the more surprising the
                        // last samples were, so it falls when the series is back where it used to be
  double surprise = 0;  // -log10 of how often the series' own past was this strange, views added up
  bool alarm = false;   // one per incident: true on its first sample only
  // The evidence, of the view that is surprised most; kNone: no view is. For kVariance seen and expected are standard
  // deviations of one step, for kSilence seconds without and usually between samples.
  AnomalyKind kind = AnomalyKind::kNone;
  double seen = 0;
  double expected = 0;
  double sigmas = 0;  // how far apart these are, signed, in standard deviations of what the view looks at
};

// AnomalyDetector: watches one series, online: no knowledge of its length, its end or its nature, one configuration
// (tuning.h) for all. Each sample is looked at in several views (one step ahead, beyond the range ever seen, a level
// that holds, variance, the same time in earlier periods, the shape of the last samples); each view's statistic is
// judged by its own history (TailHistory), the surprises are added up, and the sum is judged by its own history too. An
// incident then is a leaky maximum: what is less surprising than the incident that is still remembered is part of it.
//
//   AnomalyDetector detector;
//   const AnomalyVerdict verdict = detector.Observe(now, requests_per_second);
//   if (verdict.alarm) ...
//
// Promises: deterministic; below a microsecond a sample, about 16 KiB whatever the length; a value that is not finite,
// or beyond 1e100, is no sample and nothing is learned. Not thread-safe; a value: copy it, or save its Fields.
class AnomalyDetector {
 public:
  // Before so many samples nobody knows what is usual: a score, but no alarm.
  static constexpr int64_t kAlarmSamplesMin = 250;

  // The next sample. Times need not be evenly spaced; after a gap much longer than usual the short memories begin anew.
  AnomalyVerdict Observe(absl::Time at, double value);

  // No sample until `now`: an alarm, once, when the series has been silent ten times longer than a sample usually
  // takes.
  AnomalyVerdict CheckSilence(absl::Time now);

  int64_t samples() const { return samples_; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("samples", self.samples_);
    visit("last", self.last_);
    visit("interval_seconds", self.interval_seconds_);
    visit("silent", self.silent_);
    visit("level", self.level_);
    visit("deviation", self.deviation_);
    visit("fast", self.fast_);
    visit("step", self.step_);
    visit("range", self.range_);
    visit("range_before", self.range_before_);
    visit("shift", self.shift_);
    visit("spread", self.spread_);
    visit("spread_usual", self.spread_usual_);
    visit("seasons", self.seasons_);
    visit("season_errors", self.season_errors_);
    visit("season_deviation", self.season_deviation_);
    visit("season_shift", self.season_shift_);
    visit("patterns", self.patterns_);
    visit("pattern_shift", self.pattern_shift_);
    visit("histories", self.histories_);
    visit("surprises", self.surprises_);
    visit("unease", self.unease_);
    visit("incident", self.incident_);
    visit("alarmed", self.alarmed_);
    visit("jolt", self.jolt_);
  }

 private:
  enum View : size_t { kStep, kRange, kShift, kSpread, kSeason, kSeasonShift, kPattern, kPatternShift, kViews };
  // What one view sees in a sample.
  struct Sight {
    double statistic = -1;  // negative: the view has nothing to say
    double seen = 0, expected = 0, sigmas = 0;
  };
  using Sights = std::array<Sight, kViews>;
  using Surprises = std::array<double, kViews>;
  static constexpr size_t kSeasons = 2;
  using Slots = std::array<uint32_t, kSeasons>;

  // A mean with exponential forgetting that is right from its first sample on.
  struct Mean {
    double value = 0;
    double weight = 0;
    void Add(double sample, double rate);
    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("value", self.value);
      visit("weight", self.weight);
    }
  };

  struct Range {
    double lowest = std::numeric_limits<double>::infinity();
    double highest = -std::numeric_limits<double>::infinity();
    void Add(double value) { *this = Union({value, value}); }
    Range Union(const Range& other) const { return {std::min(lowest, other.lowest), std::max(highest, other.highest)}; }
    double length() const { return highest - lowest; }
    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("lowest", self.lowest);
      visit("highest", self.highest);
    }
  };

  void Begin(double value);
  void LearnInterval(absl::Time at);
  void LookAtLevel(double value, Sights& sights);
  void LookAtSeason(absl::Time at, double value, Sights& sights);
  void LookAtPattern(double value, Sights& sights);
  void LearnLevel(double value);
  std::optional<double> ExpectedOfSeason(const Slots& slots) const;
  Range KnownRange() const { return range_.Union(range_before_); }
  double Floor() const;  // deviations below it are rounding
  Surprises Judge(const Sights& sights);
  AnomalyVerdict Decide(const Surprises& surprises);
  AnomalyKind KindOf(View view, const Sight& sight) const;

  int64_t samples_ = 0;
  absl::Time last_ = absl::InfinitePast();
  Mean interval_seconds_;
  bool silent_ = false;

  Mean level_, deviation_;      // the usual value and how far values usually are from it
  Mean fast_, step_;            // the value just now, and the usual error of expecting it again
  Range range_, range_before_;  // of this generation of samples and of the one before
  Mean shift_;                  // how far the last samples were from the level
  Mean spread_, spread_usual_;  // squared step errors, lately and usually
  std::array<SeasonProfile, kSeasons> seasons_;
  std::array<Mean, kSeasons> season_errors_;
  Mean season_deviation_, season_shift_;
  PatternBook patterns_;
  Mean pattern_shift_;

  std::array<TailHistory, kViews> histories_;
  TailHistory surprises_;
  Mean unease_;           // the surprise of late: falls when the series is back, while incident_ is remembered
  double incident_ = 0;   // the surprise that is remembered
  bool alarmed_ = false;  // and was told
  double jolt_ = 0;       // the surprise of single steps that a held level remembers
};

}  // namespace headroom
