#include "controller/lab/forecast_trial.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/core/forecast/forecaster.h"
#include "controller/lab/forecast_rivals.h"
#include "controller/lab/json.h"

namespace headroom::lab {
namespace {

constexpr int64_t kUnscoredPercent = 40;
constexpr size_t kErrorsMax = 2016;
constexpr size_t kErrorsMin = 20;
constexpr double kSpreadMin = 0.05;  // of the mean so far
constexpr size_t kUpper = 2;         // of kTrialQuantiles
constexpr double kCoverageMin = 0.93, kCoverageMax = 0.97, kChangedMin = 0.90, kChangedMax = 0.98;

// What is said of one slot.
struct Said {
  double expected = 0;
  std::array<double, 3> quantiles{};
};

double Pinball(double p, double forecast, double value) {
  return value > forecast ? p * (value - forecast) : (1 - p) * (forecast - value);
}

// Tally: the losses of one method at one horizon.
class Tally {
 public:
  void Add(const Said& said, double value, bool after_change) {
    absolute_ += std::abs(said.expected - value), sum_ += value, ++count_;
    for (size_t i = 0; i < kTrialQuantiles.size(); ++i) {
      pinball_[i] += Pinball(kTrialQuantiles[i], said.quantiles[i], value);
    }
    const bool below = value <= said.quantiles[kUpper];
    below_ += below ? 1 : 0;
    if (after_change) ++changed_, changed_below_ += below ? 1 : 0;
  }
  double upper_loss() const { return pinball_[kUpper]; }
  int64_t count() const { return count_; }

  MethodScore Score(const std::string& name) const {
    MethodScore score{.name = name};
    const auto count = static_cast<double>(count_);
    score.wape = absolute_ / sum_;
    for (size_t i = 0; i < pinball_.size(); ++i) score.pinball[i] = pinball_[i] / sum_;
    score.coverage = static_cast<double>(below_) / count;
    if (changed_ > 0) score.changed_coverage = static_cast<double>(changed_below_) / static_cast<double>(changed_);
    return score;
  }

 private:
  double absolute_ = 0, sum_ = 0;
  std::array<double, 3> pinball_{};
  int64_t count_ = 0, below_ = 0, changed_ = 0, changed_below_ = 0;
};

// Errors: the last kErrorsMax, in order of size.
class Errors {
 public:
  void Add(double error) {
    if (newest_.size() == kErrorsMax) {
      sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), newest_.front()));
      newest_.pop_front();
    }
    newest_.push_back(error);
    sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), error), error);
  }
  bool CanTell() const { return sorted_.size() >= kErrorsMin; }
  double Quantile(double p) const {
    const double place = p * static_cast<double>(sorted_.size() - 1);
    const auto low = static_cast<size_t>(place);
    const size_t high = std::min(low + 1, sorted_.size() - 1);
    return sorted_[low] + (place - static_cast<double>(low)) * (sorted_[high] - sorted_[low]);
  }

 private:
  std::deque<double> newest_;
  std::vector<double> sorted_;
};

// What the scored slots are, and which lie in the day after a level change.
struct Scoring {
  int64_t first_scored = 0;
  std::vector<bool> after_change;
  bool Counts(const SlotSeries& series, int64_t origin, int64_t target) const {
    return origin >= first_scored && target < series.size() && Known(series, origin) && Known(series, target);
  }
  static bool Known(const SlotSeries& series, int64_t slot) {
    return !std::isnan(series.means[static_cast<size_t>(slot)]);
  }
};

// RivalRun: one rival at one horizon, with both forms of its quantiles.
class RivalRun {
 public:
  explicit RivalRun(int ahead) : ahead_(ahead) {}

  void Learn(double value) {
    mean_ += (value - mean_) / static_cast<double>(++seen_);
    if (std::ssize(pending_) < ahead_) return;
    const auto [said, spread] = pending_.front();
    pending_.pop_front();
    plain_.Add(value - said);
    scaled_.Add((value - said) / spread);
  }
  void Forecast(double said, std::optional<double> value, bool after_change) {
    const double spread = Spread(said);
    pending_.push_back({said, spread});
    if (!value.has_value() || !plain_.CanTell()) return;
    Said plain{.expected = said}, scaled{.expected = said};
    for (size_t i = 0; i < kTrialQuantiles.size(); ++i) {
      plain.quantiles[i] = std::max(0.0, said + plain_.Quantile(kTrialQuantiles[i]));
      scaled.quantiles[i] = std::max(0.0, said + spread * scaled_.Quantile(kTrialQuantiles[i]));
    }
    plain_tally_.Add(plain, *value, after_change);
    scaled_tally_.Add(scaled, *value, after_change);
  }
  const Tally& Best() const {
    return plain_tally_.upper_loss() < scaled_tally_.upper_loss() ? plain_tally_ : scaled_tally_;
  }

 private:
  // Where next to nothing is forecast, an error is not to be divided by it.
  double Spread(double said) const { return std::sqrt(std::max({said, kSpreadMin * mean_, 1e-9})); }

  int ahead_;
  int64_t seen_ = 0;
  double mean_ = 0;
  std::deque<std::pair<double, double>> pending_;  // what was said, and its spread
  Errors plain_, scaled_;
  Tally plain_tally_, scaled_tally_;
};

std::vector<MethodScore> RunRival(const SlotSeries& series, const Scoring& scoring, const ForecastRival& rival) {
  const std::unique_ptr<PointForecast> method = rival.make({kTrialHorizons.begin(), kTrialHorizons.end()});
  std::vector<RivalRun> runs;
  for (const int ahead : kTrialHorizons) runs.emplace_back(ahead);
  double last = 0;
  for (int64_t slot = 0; slot < series.size(); ++slot) {
    const double mean = series.means[static_cast<size_t>(slot)];
    if (!std::isnan(mean)) last = mean;
    method->Observe(last);
    for (size_t i = 0; i < runs.size(); ++i) {
      const int64_t target = slot + kTrialHorizons[i];
      std::optional<double> value;
      if (scoring.Counts(series, slot, target)) value = series.means[static_cast<size_t>(target)];
      runs[i].Learn(last);
      runs[i].Forecast(method->Predict(kTrialHorizons[i]), value,
                       value.has_value() && scoring.after_change[static_cast<size_t>(target)]);
    }
  }
  std::vector<MethodScore> scores;
  for (const RivalRun& run : runs) scores.push_back(run.Best().Score(rival.name));
  return scores;
}

forecast::ForecasterOptions Options() {
  return {.step = kSlot, .horizons = {kTrialHorizons.begin(), kTrialHorizons.end()}};
}

std::vector<MethodScore> RunOurs(const SlotSeries& series, const Scoring& scoring) {
  forecast::Forecaster ours(Options());
  std::array<Tally, kTrialHorizons.size()> tallies;
  for (int64_t slot = 0; slot < series.size(); ++slot) {
    if (!Scoring::Known(series, slot)) continue;
    ours.Observe(series.first_slot + slot, series.means[static_cast<size_t>(slot)]);
    for (size_t i = 0; i < kTrialHorizons.size(); ++i) {
      const int64_t target = slot + kTrialHorizons[i];
      const auto forecast = ours.Ahead(i);
      if (!scoring.Counts(series, slot, target) || !forecast->Quantile(kTrialQuantiles[kUpper]).has_value()) continue;
      Said said{.expected = forecast->expected};
      for (size_t q = 0; q < kTrialQuantiles.size(); ++q) said.quantiles[q] = *forecast->Quantile(kTrialQuantiles[q]);
      tallies[i].Add(said, series.means[static_cast<size_t>(target)],
                     scoring.after_change[static_cast<size_t>(target)]);
    }
  }
  std::vector<MethodScore> scores;
  for (const Tally& tally : tallies) scores.push_back(tally.Score(kOursName));
  return scores;
}

// The core feeds moments, and its quantiles are those of moments: how many lie below.
std::array<double, kTrialHorizons.size()> MomentCoverage(const SlotSeries& series, const Scoring& scoring) {
  forecast::Forecaster ours(Options());
  std::array<double, kTrialHorizons.size()> below{}, all{};
  for (int64_t slot = 0; slot < series.size(); ++slot) {
    if (!Scoring::Known(series, slot)) continue;
    const auto at = static_cast<size_t>(slot);
    ours.Observe(series.first_slot + slot, series.means[at], series.moments[at]);
    for (size_t i = 0; i < kTrialHorizons.size(); ++i) {
      const int64_t target = slot + kTrialHorizons[i];
      const auto upper = ours.Ahead(i)->Quantile(kTrialQuantiles[kUpper]);
      if (!scoring.Counts(series, slot, target) || !upper.has_value()) continue;
      for (const double value : series.moments[static_cast<size_t>(target)]) {
        below[i] += value <= *upper ? 1 : 0, all[i] += 1;
      }
    }
  }
  for (size_t i = 0; i < below.size(); ++i) below[i] /= all[i];
  return below;
}

void Relate(HorizonScores& horizon) {
  const double last = horizon.Of(kLastValueName).wape;
  for (MethodScore& method : horizon.methods) method.wape_over_last = last > 0 ? method.wape / last : NAN;
}

// A geometric mean of ratios.
class MeanRatio {
 public:
  void Add(double value, double over) {
    if (over > 0) sum_ += std::log(std::max(value / over, kRatioMin)), ++count_;
  }
  double mean() const { return count_ > 0 ? std::exp(sum_ / count_) : NAN; }

 private:
  double sum_ = 0;
  int count_ = 0;
};

ForecastSummary::Method SummariseMethod(const std::vector<ForecastScores>& all, size_t horizon,
                                        const std::string& name) {
  ForecastSummary::Method summary{.name = name, .coverage_min = 1};
  MeanRatio wape;
  std::array<MeanRatio, 3> losses;
  for (const ForecastScores& series : all) {
    const MethodScore &method = series.horizons[horizon].Of(name), &last = series.horizons[horizon].Of(kLastValueName);
    wape.Add(method.wape, last.wape);
    for (size_t q = 0; q < losses.size(); ++q) losses[q].Add(method.pinball[q], last.pinball[q]);
    summary.coverage_min = std::min(summary.coverage_min, method.coverage);
    summary.coverage_max = std::max(summary.coverage_max, method.coverage);
  }
  summary.wape_over_last = wape.mean();
  for (size_t q = 0; q < losses.size(); ++q) summary.pinball_over_last[q] = losses[q].mean();
  return summary;
}

std::string Json(const MethodScore& method) {
  std::vector<std::string> fields = {
      Field("name", JsonString(method.name)),         Field("wape", method.wape),
      Field("wape_over_last", method.wape_over_last), Field("pinball_p50", method.pinball[0]),
      Field("pinball_p90", method.pinball[1]),        Field("pinball_p95", method.pinball[2]),
      Field("coverage_p95", method.coverage)};
  if (method.changed_coverage.has_value()) {
    fields.push_back(Field("coverage_p95_after_change", *method.changed_coverage));
  }
  if (method.moment_coverage.has_value()) fields.push_back(Field("coverage_p95_of_moments", *method.moment_coverage));
  return Object(fields);
}

std::string Json(const HorizonScores& horizon) {
  return Object(
      {Field("minutes", absl::ToDoubleMinutes(horizon.ahead)),
       Field("methods", Array(horizon.methods, ",\n    ", [](const MethodScore& one) { return Json(one); }))});
}

std::string Json(const ForecastScores& series) {
  const auto time = [](absl::Time at) {
    return JsonString(absl::FormatTime(absl::RFC3339_sec, at, absl::UTCTimeZone()));
  };
  return Object(
      {Field("name", JsonString(series.name)), Field("notes", Strings(series.notes)),
       Field("slots", static_cast<double>(series.slots)), Field("scored", static_cast<double>(series.scored)),
       Field("level_changes", Array(series.level_changes, ", ", time)),
       Field("horizons", Array(series.horizons, ",\n   ", [](const HorizonScores& one) { return Json(one); }))});
}

std::string Json(const ForecastSummary::Method& method) {
  return Object({Field("name", JsonString(method.name)), Field("wape_over_last", method.wape_over_last),
                 Field("pinball_p50_over_last", method.pinball_over_last[0]),
                 Field("pinball_p90_over_last", method.pinball_over_last[1]),
                 Field("pinball_p95_over_last", method.pinball_over_last[2]),
                 Field("coverage_p95_min", method.coverage_min), Field("coverage_p95_max", method.coverage_max)});
}

std::string Json(const ForecastSummary& summary) {
  const auto method = [](const ForecastSummary::Method& one) { return Json(one); };
  return Object({Field("minutes", absl::ToDoubleMinutes(summary.ahead)), Field("series", summary.series),
                 Field("pinball_p95_below_ridge", summary.pinball_below_ridge),
                 Field("coverage_p95_within_93_97", summary.covered),
                 Field("series_with_level_changes", summary.changed),
                 Field("coverage_p95_after_change_within_90_98", summary.changed_covered),
                 Field("methods", Array(summary.methods, ",\n   ", method))});
}

}  // namespace

const MethodScore& HorizonScores::Of(const std::string& name) const {
  const auto found =
      std::find_if(methods.begin(), methods.end(), [&](const MethodScore& method) { return method.name == name; });
  HR_CHECK(found != methods.end());
  return *found;
}

std::optional<ForecastScores> TryForecasts(const SlotSeries& series) {
  ForecastScores scores{.name = series.name, .slots = series.size()};
  Scoring scoring{.first_scored = series.size() * kUnscoredPercent / 100};
  scoring.after_change.assign(series.means.size(), false);
  for (const int64_t change : LevelChanges(series)) {
    if (change < scoring.first_scored) continue;
    scores.level_changes.push_back(absl::UnixEpoch() + (series.first_slot + change) * kSlot);
    for (int64_t slot = change; slot < std::min(change + kSlotsPerDay, series.size()); ++slot) {
      scoring.after_change[static_cast<size_t>(slot)] = true;
    }
  }
  double sum = 0;
  for (int64_t slot = scoring.first_scored; slot + kTrialHorizons.back() < series.size(); ++slot) {
    if (!scoring.Counts(series, slot, slot + kTrialHorizons.back())) continue;
    ++scores.scored;
    sum += series.means[static_cast<size_t>(slot + kTrialHorizons.back())];
  }
  // Within the scored part a day of forecasts must have been learned from before.
  if (scores.scored == 0 || sum <= 0 || scoring.first_scored < kSlotsPerDay) return std::nullopt;
  for (const int ahead : kTrialHorizons) scores.horizons.push_back({.ahead = ahead * kSlot});
  const auto add = [&](const std::vector<MethodScore>& method) {
    for (size_t i = 0; i < method.size(); ++i) scores.horizons[i].methods.push_back(method[i]);
  };
  add(RunOurs(series, scoring));
  const auto moments = MomentCoverage(series, scoring);
  for (size_t i = 0; i < moments.size(); ++i) scores.horizons[i].methods.front().moment_coverage = moments[i];
  for (const ForecastRival& rival : ForecastRivals()) add(RunRival(series, scoring, rival));
  for (HorizonScores& horizon : scores.horizons) {
    Relate(horizon);
    if (horizon.Of(kLastValueName).wape > 0) continue;
    scores.notes.push_back(absl::StrCat(absl::FormatDuration(horizon.ahead),
                                        " ahead the last value never errs: the series is in no ratio to it"));
  }
  return scores;
}

std::vector<ForecastSummary> SummariseForecasts(const std::vector<ForecastScores>& all) {
  std::vector<ForecastSummary> summaries;
  if (all.empty()) return summaries;
  for (size_t i = 0; i < kTrialHorizons.size(); ++i) {
    ForecastSummary summary{.ahead = kTrialHorizons[i] * kSlot};
    for (const MethodScore& method : all.front().horizons[i].methods) {
      summary.methods.push_back(SummariseMethod(all, i, method.name));
    }
    for (const ForecastScores& series : all) {
      const MethodScore &ours = series.horizons[i].Of(kOursName), &ridge = series.horizons[i].Of(kRidgeName);
      ++summary.series;
      if (ours.pinball[kUpper] < ridge.pinball[kUpper]) ++summary.pinball_below_ridge;
      if (ours.coverage >= kCoverageMin && ours.coverage <= kCoverageMax) ++summary.covered;
      if (!ours.changed_coverage.has_value()) continue;
      ++summary.changed;
      if (*ours.changed_coverage >= kChangedMin && *ours.changed_coverage <= kChangedMax) ++summary.changed_covered;
    }
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

std::string ForecastJson(const std::vector<ForecastScores>& all, const std::vector<std::string>& skipped) {
  const auto series = [](const ForecastScores& one) { return Json(one); };
  const auto summary = [](const ForecastSummary& one) { return Json(one); };
  return absl::StrCat("{", Field("series", Array(all, ",\n  ", series)), ",\n ",
                      Field("summary", Array(SummariseForecasts(all), ",\n  ", summary)), ",\n ",
                      Field("skipped", Strings(skipped)), "}\n");
}

}  // namespace headroom::lab
