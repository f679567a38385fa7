#include "controller/core/anomaly/detector.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "controller/core/anomaly/tuning.h"

namespace headroom {

absl::string_view ToString(AnomalyKind kind) {
  switch (kind) {
    case AnomalyKind::kNone:
      return "none";
    case AnomalyKind::kSurge:
      return "surge";
    case AnomalyKind::kDrop:
      return "drop";
    case AnomalyKind::kLevelShift:
      return "level_shift";
    case AnomalyKind::kDrift:
      return "drift";
    case AnomalyKind::kVariance:
      return "variance";
    case AnomalyKind::kPattern:
      return "pattern";
    case AnomalyKind::kSilence:
      return "silence";
  }
  return "unknown";
}

namespace {

constexpr const AnomalyTuning& kTune = kAnomalyTuning;
constexpr std::array<absl::Duration, 2> kPeriods = {absl::Hours(24), absl::Hours(168)};
constexpr double kValueMax = 1e100;  // squares stay finite
// What builds up slowly must not be judged by its own beginning.
constexpr std::array<size_t, 8> kDelays = {0, 0, 30, 30, 30, 30, 0, 0};
constexpr double kRangeStatistic = 1e-3;  // of the range: what being inside counts as
constexpr int64_t kRangeSamples = 20000;  // a generation: what was last seen two of them ago is new again
constexpr double kGapIntervals = 10;      // a pause this much longer than usual is a gap
constexpr double kIntervalRate = 0.05;
constexpr double kSilentIntervals = 10;
constexpr int64_t kSilentSamplesMin = 10;     // before that nobody knows how often samples come
constexpr double kScoreHalf = 4;              // the surprise at which half of the scale is reached
constexpr double kLastingPart = 0.5;          // of the scale, for an incident that goes on
constexpr double kOverPart = 0.5;             // of the alarm's surprise: below it an incident is over
constexpr double kWorse = 1.25;               // times the incident that was told: another one on top of it
constexpr double kJolt = 2;                   // a step this surprising is not small
constexpr double kUsualSigmas = 3;            // a value within so many is usual
constexpr double kSigmaOfDeviation = 1.2533;  // standard over mean absolute deviation, of a normal distribution

double Sigmas(double apart, double deviation) {
  return apart / (deviation * kSigmaOfDeviation);
}
double Clip(double value, double bound) {
  return std::clamp(value, -bound, bound);
}

double ScoreOf(double surprise) {
  return surprise / (surprise + kScoreHalf);
}

}  // namespace

void AnomalyDetector::Mean::Add(double sample, double rate) {
  weight += rate * (1 - weight);
  value += rate / weight * (sample - value);
}

AnomalyVerdict AnomalyDetector::Observe(absl::Time at, double value) {
  if (!(std::abs(value) <= kValueMax)) return {};
  LearnInterval(at);
  if (samples_++ == 0) {
    Begin(value);
    return {.seen = value, .expected = value};
  }
  Sights sights;
  LookAtLevel(value, sights);
  LookAtSeason(at, value, sights);
  LookAtPattern(value, sights);
  LearnLevel(value);
  const Surprises surprises = Judge(sights);
  AnomalyVerdict verdict = Decide(surprises);
  const auto most = std::max_element(surprises.begin(), surprises.end());
  const auto view = static_cast<View>(most - surprises.begin());  // none: the first, one step ahead
  const Sight& sight = sights[view];
  if (*most > 0) verdict.kind = KindOf(view, sight);
  verdict.seen = sight.seen;
  verdict.expected = sight.expected;
  verdict.sigmas = sight.sigmas;
  return verdict;
}

void AnomalyDetector::Begin(double value) {
  level_.Add(value, kTune.long_rate);
  fast_.Add(value, kTune.fast_rate);
  range_.Add(value);
}

void AnomalyDetector::LearnInterval(absl::Time at) {
  const double seconds = absl::ToDoubleSeconds(at - last_);
  last_ = std::max(last_, at);
  silent_ = false;
  if (samples_ == 0 || seconds <= 0) return;
  const double usual = interval_seconds_.value;
  if (samples_ >= kSilentSamplesMin && seconds > kGapIntervals * usual) patterns_.Break();
  interval_seconds_.Add(samples_ >= kSilentSamplesMin ? std::min(seconds, kGapIntervals * usual) : seconds,
                        kIntervalRate);
}

double AnomalyDetector::Floor() const {
  return kTune.deviation_floor * KnownRange().length() + 1e-9 * std::abs(level_.value) + 1e-12;
}

void AnomalyDetector::LookAtLevel(double value, Sights& sights) {
  const double floor = Floor(), step_scale = std::max(step_.value, floor);
  const double error = value - fast_.value;
  const Sight step{.statistic = std::abs(error) / step_scale,
                   .seen = value,
                   .expected = fast_.value,
                   .sigmas = Sigmas(error, step_scale)};
  sights[kStep] = sights[kRange] = step;
  const Range known = KnownRange();
  const double beyond = std::max({value - known.highest, known.lowest - value, 0.0});
  sights[kRange].statistic = beyond / std::max(known.length(), floor) + kRangeStatistic;

  const double scale = std::max(deviation_.value, floor);
  shift_.Add(Clip(value - level_.value, kTune.clip_deviations * scale), kTune.shift_rate);
  sights[kShift] = {.statistic = std::abs(shift_.value) / scale,
                    .seen = level_.value + shift_.value,
                    .expected = level_.value,
                    .sigmas = Sigmas(shift_.value, scale)};

  const double bound = kTune.clip_deviations * step_scale;
  spread_.Add(std::min(error * error, 4 * bound * bound), kTune.spread_rate);
  const double now = spread_.value + floor * floor, usual = spread_usual_.value + floor * floor;
  sights[kSpread] = {
      .statistic = std::abs(std::log(now / usual)), .seen = std::sqrt(now), .expected = std::sqrt(usual)};
  sights[kSpread].sigmas = (sights[kSpread].seen - sights[kSpread].expected) / sights[kSpread].expected;
}

std::optional<double> AnomalyDetector::ExpectedOfSeason(const Slots& slots) const {
  std::optional<double> expected;
  double least = 0;
  for (size_t i = 0; i < kSeasons; ++i) {
    const std::optional<double> own = seasons_[i].Expected(slots[i]);
    if (!own || (expected && season_errors_[i].value >= least)) continue;
    expected = own;
    least = season_errors_[i].value;
  }
  return expected;
}

void AnomalyDetector::LookAtSeason(absl::Time at, double value, Sights& sights) {
  const double floor = Floor();
  Slots slots;
  for (size_t i = 0; i < kSeasons; ++i) slots[i] = SeasonProfile::SlotOf(at, kPeriods[i]);
  if (const std::optional<double> expected = ExpectedOfSeason(slots)) {
    const double scale = std::max(season_deviation_.value, floor), error = value - *expected;
    const double clipped = Clip(error, kTune.clip_deviations * scale);
    season_shift_.Add(clipped, kTune.season_shift_rate);
    season_deviation_.Add(std::abs(clipped), kTune.long_rate);
    sights[kSeason] = {
        .statistic = std::abs(error) / scale, .seen = value, .expected = *expected, .sigmas = Sigmas(error, scale)};
    sights[kSeasonShift] = {.statistic = std::abs(season_shift_.value) / scale,
                            .seen = *expected + season_shift_.value,
                            .expected = *expected,
                            .sigmas = Sigmas(season_shift_.value, scale)};
  }
  for (size_t i = 0; i < kSeasons; ++i) {
    if (const std::optional<double> expected = seasons_[i].Expected(slots[i])) {
      season_errors_[i].Add(std::abs(value - *expected), kTune.long_rate);
    }
    seasons_[i].Add(slots[i], value, kTune.season_rate);
  }
}

void AnomalyDetector::LookAtPattern(double value, Sights& sights) {
  const double scale = std::max(deviation_.value, Floor()), apart = value - level_.value;
  const double distance = patterns_.Add(apart / scale, kTune.pattern_new_deviations, kTune.pattern_rate);
  if (distance < 0) return;
  pattern_shift_.Add(distance, kTune.pattern_shift_rate);
  const Sight sight{.statistic = distance, .seen = value, .expected = level_.value, .sigmas = Sigmas(apart, scale)};
  sights[kPattern] = sights[kPatternShift] = sight;
  sights[kPatternShift].statistic = pattern_shift_.value;
}

void AnomalyDetector::LearnLevel(double value) {
  const double floor = Floor();
  const double error = value - fast_.value, step_bound = kTune.clip_deviations * std::max(step_.value, floor);
  step_.Add(std::min(std::abs(error), step_bound), kTune.long_rate);
  spread_usual_.Add(std::min(error * error, step_bound * step_bound), kTune.long_rate);
  fast_.Add(value, kTune.fast_rate);
  const double bound = kTune.clip_deviations * std::max(deviation_.value, floor);
  const double apart = Clip(value - level_.value, bound);
  deviation_.Add(std::abs(apart), kTune.long_rate);
  level_.Add(level_.value + apart, kTune.long_rate);
  if (samples_ % kRangeSamples == 0) range_before_ = std::exchange(range_, Range());
  range_.Add(value);
}

AnomalyDetector::Surprises AnomalyDetector::Judge(const Sights& sights) {
  static_assert(kDelays.size() == kViews && kPeriods.size() == kSeasons);
  Surprises surprises{};
  for (size_t view = 0; view < kViews; ++view) {
    if (sights[view].statistic < 0) continue;
    surprises[view] = histories_[view].Surprise(sights[view].statistic);
    histories_[view].Add(sights[view].statistic, kDelays[view]);
  }
  return surprises;
}

AnomalyVerdict AnomalyDetector::Decide(const Surprises& surprises) {
  double sum = 0;
  for (double surprise : surprises) sum += surprise * surprise * surprise;  // between their sum and the largest
  const double together = std::cbrt(sum);
  AnomalyVerdict verdict{.surprise = together + surprises_.Surprise(together)};
  surprises_.Add(together);
  unease_.Add(verdict.surprise, kTune.unease_rate);
  jolt_ = std::max(jolt_ * (1 - kTune.shift_rate / 2), std::max({surprises[kStep], surprises[kRange]}));

  const double calm =
      std::min(std::max(kTune.calm_samples, kTune.calm_ratio * static_cast<double>(samples_)), kTune.calm_samples_max);
  incident_ *= std::exp(-1 / calm);
  if (incident_ < kOverPart * kTune.alarm_surprise) alarmed_ = false;
  const bool raised = verdict.surprise > incident_;
  const bool worse = verdict.surprise > kWorse * incident_;
  incident_ = std::max(incident_, verdict.surprise);
  const bool grave = verdict.surprise >= kTune.alarm_surprise && samples_ >= kAlarmSamplesMin;
  verdict.alarm = grave && (alarmed_ ? worse : raised);
  alarmed_ = alarmed_ || verdict.alarm;
  const bool stands_out = raised && verdict.surprise >= kTune.notice_surprise;
  verdict.score = stands_out ? ScoreOf(incident_) : kLastingPart * ScoreOf(incident_ + unease_.value);
  return verdict;
}

AnomalyKind AnomalyDetector::KindOf(View view, const Sight& sight) const {
  switch (view) {
    case kShift:
    case kSeasonShift:
      return jolt_ >= kJolt ? AnomalyKind::kLevelShift : AnomalyKind::kDrift;
    case kSpread:
      return AnomalyKind::kVariance;
    case kPattern:
    case kPatternShift:
      if (std::abs(sight.sigmas) < kUsualSigmas) return AnomalyKind::kPattern;
      break;
    default:
      break;
  }
  return sight.sigmas > 0 ? AnomalyKind::kSurge : AnomalyKind::kDrop;
}

AnomalyVerdict AnomalyDetector::CheckSilence(absl::Time now) {
  if (silent_ || samples_ < kSilentSamplesMin) return {};
  const double silence = absl::ToDoubleSeconds(now - last_), usual = interval_seconds_.value;
  if (silence <= kSilentIntervals * usual) return {};
  silent_ = true;
  return {.score = 1, .alarm = true, .kind = AnomalyKind::kSilence, .seen = silence, .expected = usual};
}

}  // namespace headroom
