#include "controller/core/forecast/horizon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace headroom::forecast {
namespace {

// Forms of a series: a multiplicative pattern is additive in its logarithm, and roots lie between.
enum Form { kPlain, kRoot, kLog };
constexpr double kLogUnit = 10;  // a tenth of the level is where the logarithm bends

double In(Form form, double value) {
  if (form == kRoot) return std::sqrt(std::max(value, 0.0));
  if (form == kLog) return std::log1p(kLogUnit * std::max(value, 0.0));
  return value;
}
double Out(Form form, double value) {
  if (form == kRoot) return value > 0 ? value * value : 0;
  if (form == kLog) return std::expm1(std::min(value, 12.0)) / kLogUnit;
  return value;
}

struct Recipe {
  Form form;
  bool robust;
  double memory_days;  // or
  double memory_slots;
};
constexpr std::array<Recipe, 7> kRecipes = {{{kPlain, false, 17, 0},
                                             {kPlain, true, 17, 0},
                                             {kRoot, true, 7, 0},
                                             {kRoot, true, 17, 0},
                                             {kPlain, true, 0, 500},
                                             {kLog, true, 17, 0},
                                             {kPlain, true, 0, 100}}};
constexpr size_t kFirstTrusted = kRecipes.size();  // the last value, the first of the rules
constexpr size_t kRules = 6;
constexpr size_t kSpreads = 5;

constexpr double kMixtureSlots = 1000;
constexpr double kShortErrorsSlots = 400;
constexpr double kUpper = 0.95;  // the quantile that bands are learned at
constexpr double kMedian = 0.5;
// A longer step follows chance, as errors that overlap come in runs; a shorter one is late after a level has changed.
constexpr double kShiftStep = 0.004, kShiftMax = 0.045, kLevelMax = 0.999;
constexpr double kLargestKept = 0.9995;  // a slot
constexpr double kSpreadMin = 0.02;      // of the level
constexpr double kAboveAllMax = 1.5;     // a prediction beyond this times all it looks at is none
// An error beyond so many usual ones: something has happened that the past did not hold. Then the newest value is the
// best guess for some slots, as predictors that look back still see what was before.
constexpr double kSurprisingErrors = 8, kSurpriseKept = 0.9;
constexpr double kSurpriseRegretKept = 0.999, kSurpriseRegretMax = 0.5;
constexpr double kRobustWeightMin = 0.02, kRobustWeightMax = 5;

std::vector<double> First(size_t count, size_t trusted) {
  std::vector<double> weights(count, 0);
  weights[trusted] = 1;
  return weights;
}

double MemorySlots(const Recipe& recipe, const Slots& slots) {
  return recipe.memory_slots > 0 ? recipe.memory_slots : recipe.memory_days * static_cast<double>(slots.per_day);
}

Features FormOf(const Features& raw, Form form, double level) {
  Features features;
  for (size_t i = 0; i < raw.size(); ++i) features[i] = In(form, raw[i] / level);
  features[0] = 1;
  return features;
}

}  // namespace

Horizon::Horizon(const Slots& slots, int64_t ahead)
    : slots_(slots),
      ahead_(ahead),
      mixture_(First(kRecipes.size() + kRules, kFirstTrusted), kMixtureSlots),
      quantile_mixture_(std::vector<double>(2 * kSpreads, 0.5 / kSpreads), kMixtureSlots),
      pending_(static_cast<size_t>(ahead)),
      errors_by_phase_(static_cast<size_t>(slots.per_day), std::numeric_limits<double>::quiet_NaN()) {
  for (const Recipe& recipe : kRecipes) {
    learners_.push_back({LinearPredictor(MemorySlots(recipe, slots), kLastValue)});
  }
  for (size_t i = 0; i < kSpreads; ++i) residuals_.emplace_back(static_cast<double>(slots.per_week()));
  for (size_t i = 0; i < kSpreads; ++i) residuals_.emplace_back(kShortErrorsSlots);
}

bool Horizon::IsWhole() const {
  const bool pending = std::all_of(pending_.begin(), pending_.end(), [](const Pending& one) {
    return one.slot < 0 || (one.predictions.size() == kRecipes.size() + kRules && one.spreads.size() == kSpreads &&
                            (!one.upper.has_value() || one.uppers.size() == 2 * kSpreads));
  });
  return ahead_ > 0 && pending && pending_.size() == static_cast<size_t>(ahead_) &&
         learners_.size() == kRecipes.size() && residuals_.size() == 2 * kSpreads &&
         std::all_of(learners_.begin(), learners_.end(), [](const Learner& one) { return one.predictor.IsWhole(); }) &&
         mixture_.IsWhole(kRecipes.size() + kRules) && quantile_mixture_.IsWhole(2 * kSpreads) &&
         errors_by_phase_.size() == static_cast<size_t>(slots_.per_day);
}

void Horizon::Observe(const Now& now) {
  const int64_t slot = now.history.newest();
  const double value = now.history[slot];
  Pending& place = pending_[static_cast<size_t>(slot % ahead_)];
  if (place.slot >= 0 && place.slot == slot - ahead_) Learn(place, value, now.samples);
  Smooth(value);
  const Outlook look = LookAhead(now.history, slots_, ahead_, now.season, now.level);
  now_ = {.slot = slot, .features = look.features, .level = now.level};
  now_.predictions = Predictions(look, now.level);
  now_.mix = mixture_.Mix(now_.predictions);
  now_.surprise = surprise_;
  const double trust = surprise_regret_ < kSurpriseRegretMax ? surprise_ : 0;
  now_.expected = trust * look.last + (1 - trust) * now_.mix;
  now_.spreads = Spreads(now_, slot + ahead_);
  now_.uppers = Uppers(now_, kUpper);
  now_.upper = Quantile(kUpper);
  place = now_;
}

void Horizon::Smooth(double value) {
  smooth_ = began_ ? smooth_ + 0.3 * (value - smooth_) : value;
  smoother_ = began_ ? smoother_ + 0.1 * (value - smoother_) : value;
  began_ = true;
}

std::vector<double> Horizon::Predictions(const Outlook& look, double level) const {
  std::vector<double> predictions;
  const double highest = *std::max_element(look.features.begin(), look.features.end());
  for (size_t i = 0; i < kRecipes.size(); ++i) {
    const Form form = kRecipes[i].form;
    const double said = level * Out(form, learners_[i].predictor.Predict(FormOf(look.features, form, level)));
    predictions.push_back(std::clamp(said, 0.0, kAboveAllMax * highest));
  }
  const double usual_now = look.profile_now.value_or(look.last);
  const double ratio = usual_now > 0 ? std::clamp(smooth_ / usual_now, 1.0 / 3, 3.0) : 1;
  for (const double rule : {look.last, smooth_, smoother_, ratio * look.profile.value_or(look.last),
                            std::max(0.0, look.yesterday + look.change_since_yesterday), look.yesterday}) {
    predictions.push_back(rule);
  }
  return predictions;
}

std::vector<double> Horizon::Spreads(const Pending& pending, int64_t target) const {
  const double expected = std::max(0.0, pending.expected), level = pending.level, least = kSpreadMin * level;
  const double phase = errors_by_phase_[static_cast<size_t>(target % slots_.per_day)];
  const double of_phase = std::isnan(phase) ? recent_error_ : phase;
  return {level, std::sqrt(expected * level) + least, recent_error_ + 0.1 * least,
          0.5 * (of_phase + usual_error_) + 0.1 * least, expected + least};
}

std::vector<double> Horizon::Uppers(const Pending& pending, double p) const {
  std::vector<double> uppers;
  // What the shift does to the level that it was learned at, it does to the others in proportion, and to the median and
  // what is below it nothing.
  const double share = p < kUpper ? std::max(0.0, (p - kMedian) / (kUpper - kMedian)) : (1 - p) / (1 - kUpper);
  const double level = std::min(kLevelMax, p + shift_ * share);
  for (size_t i = 0; i < residuals_.size(); ++i) {
    if (!residuals_[i].CanTell(p)) return {};
    // Errors as large as none before come of a scale that has just changed, not of what demand does.
    const double above = pending.spreads[i % kSpreads] * residuals_[i].Quantile(level);
    uppers.push_back(pending.expected + (largest_error_ > 0 ? std::min(above, largest_error_) : above));
  }
  return uppers;
}

std::optional<double> Horizon::Quantile(double p) const {
  const std::vector<double> uppers = p == kUpper ? now_.uppers : Uppers(now_, p);
  if (uppers.empty()) return std::nullopt;
  return std::max(0.0, quantile_mixture_.Mix(uppers));
}

void Horizon::Learn(const Pending& pending, double value, const std::vector<double>& samples) {
  LearnPredictors(pending, value);
  if (pending.upper.has_value()) {
    double above = value > *pending.upper;
    if (!samples.empty()) {
      const auto count =
          std::count_if(samples.begin(), samples.end(), [&](double one) { return one > *pending.upper; });
      above = static_cast<double>(count) / static_cast<double>(samples.size());
    }
    const double slope = 1 - kUpper - above;
    quantile_mixture_.Learn(pending.uppers, *pending.upper, slope, pending.level);
    shift_ = std::clamp(shift_ + kShiftStep * (above - (1 - kUpper)), -kShiftMax, kShiftMax);
  }
  LearnErrors(pending, value, samples);
}

void Horizon::LearnPredictors(const Pending& pending, double value) {
  for (size_t i = 0; i < kRecipes.size(); ++i) {
    Learner& learner = learners_[i];
    const Form form = kRecipes[i].form;
    const Features features = FormOf(pending.features, form, pending.level);
    const double target = In(form, value / pending.level);
    const double error = std::abs(target - learner.predictor.Predict(features));
    const double weight = std::clamp(learner.error / (error + 1e-9), kRobustWeightMin, kRobustWeightMax);
    learner.error = std::max(1e-4, learner.error + 0.01 * (std::min(error, 5 * learner.error) - learner.error));
    learner.predictor.Learn(features, target, kRecipes[i].robust ? weight : 1);
  }
  if (std::isnan(pending.mix)) return;
  const double slope = pending.mix > value ? 1 : pending.mix < value ? -1 : 0;
  mixture_.Learn(pending.predictions, pending.mix, slope, pending.level);
  const double last = pending.features[kLastValue];
  const double lost = std::abs(value - last) - std::abs(value - pending.mix);
  surprise_regret_ = kSurpriseRegretKept * surprise_regret_ + pending.surprise * lost / pending.level;
}

void Horizon::LearnErrors(const Pending& pending, double value, const std::vector<double>& samples) {
  const double size = std::abs(value - pending.expected);
  for (size_t i = 0; i < residuals_.size(); ++i) {
    const double spread = pending.spreads[i % kSpreads];
    const auto scaled = [&](double actual) { return spread > 0 ? (actual - pending.expected) / spread : 0; };
    if (samples.empty()) residuals_[i].Add(scaled(value));
    for (const double sample : samples) residuals_[i].Add(scaled(sample), 1.0 / static_cast<double>(samples.size()));
  }
  // Nothing is kept of it in a state of before, but its errors are.
  if (std::isinf(largest_error_)) largest_error_ = pending.level * residuals_.front().Quantile(kLevelMax);
  largest_error_ = std::max(kLargestKept * largest_error_, value - pending.expected);
  for (const double sample : samples) largest_error_ = std::max(largest_error_, sample - pending.expected);
  surprise_ = size > kSurprisingErrors * usual_error_ ? 1 : kSurpriseKept * surprise_;
  recent_error_ += 0.08 * (size - recent_error_);
  usual_error_ += 0.005 * (size - usual_error_);
  double& of_phase = ErrorAt(pending.slot + ahead_);
  of_phase = std::isnan(of_phase) ? size : of_phase + 0.3 * (size - of_phase);
}

}  // namespace headroom::forecast
