#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "controller/core/forecast/features.h"
#include "controller/core/forecast/linear_predictor.h"
#include "controller/core/forecast/mixture.h"
#include "controller/core/forecast/residuals.h"
#include "controller/core/forecast/slot_history.h"

namespace headroom::forecast {

// Horizon: the forecast of one series at one distance. Linear predictors (in the values, their roots and their
// logarithms; least squares and, robustly, nearly least absolute errors; long and short memories) and simple rules
// (last value, smoothed values, yesterday, the usual day moved to today's level) are mixed by what each would have
// earned. Around the mix lie quantiles of past errors, each error divided by how large errors were expected to be (by
// the level, its root, the recent ones, the ones at this time of day), over a long and a short memory, mixed by their
// pinball loss, and moved by the share of values that were above (adaptive conformal inference: Gibbs, Candes, NeurIPS
// 2021); none lies further above the mix than the largest error of late. After a value that no error of before explains
// the newest value is expected for some slots, as long as that pays. O(1) a sample: some 10,000 multiplications.
// Copyable; thread-compatible.
class Horizon {
 public:
  Horizon() = default;  // to be read into
  Horizon(const Slots& slots, int64_t ahead);

  struct Now {
    const SlotHistory& history;
    int64_t season;                      // 0: none
    double level;                        // what is usual, over 0
    const std::vector<double>& samples;  // of the newest slot; may be empty
  };
  // Learns from what was forecast for the newest slot, then forecasts from it.
  void Observe(const Now& now);

  // The level has shifted: who foresees the new one gets its say sooner.
  void Doubt() { mixture_.Doubt(); }

  int64_t ahead() const { return ahead_; }
  double expected() const { return now_.expected; }
  // Unknown: too few errors have been seen to tell.
  std::optional<double> Quantile(double p) const;

  // Whether what was read has the shape that this release computes with.
  bool IsWhole() const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("slots", self.slots_);
    visit("ahead", self.ahead_);
    visit("learners", self.learners_);
    visit("mixture", self.mixture_);
    visit("quantile_mixture", self.quantile_mixture_);
    visit("residuals", self.residuals_);
    visit("pending", self.pending_);
    visit("now", self.now_);
    visit("smooth", self.smooth_);
    visit("smoother", self.smoother_);
    visit("began", self.began_);
    visit("recent_error", self.recent_error_);
    visit("usual_error", self.usual_error_);
    visit("errors_by_phase", self.errors_by_phase_);
    visit("shift", self.shift_);
    visit("surprise", self.surprise_);
    visit("surprise_regret", self.surprise_regret_);
    visit("largest_error", self.largest_error_);
  }

 private:
  // What was said of the slot `ahead` after `slot`, kept until that comes.
  struct Pending {
    int64_t slot = -1;
    Features features{};
    double level = 1, expected = 0;
    double mix = std::numeric_limits<double>::quiet_NaN();  // what the mixture said; NaN: read from before it was kept
    double surprise = 0;                                    // how surprising the values before were
    std::vector<double> predictions, spreads, uppers;
    std::optional<double> upper;

    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("slot", self.slot);
      visit("features", self.features);
      visit("level", self.level);
      visit("expected", self.expected);
      visit("mix", self.mix);
      visit("surprise", self.surprise);
      visit("predictions", self.predictions);
      visit("spreads", self.spreads);
      visit("uppers", self.uppers);
      visit("upper", self.upper);
    }
  };
  // A linear predictor by one of the recipes of horizon.cc.
  struct Learner {
    LinearPredictor predictor;
    double error = 0.1;  // the usual one, in the recipe's form of the series

    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("predictor", self.predictor);
      visit("error", self.error);
    }
  };

  void Learn(const Pending& pending, double value, const std::vector<double>& samples);
  void LearnPredictors(const Pending& pending, double value);
  void LearnErrors(const Pending& pending, double value, const std::vector<double>& samples);
  void Smooth(double value);
  std::vector<double> Predictions(const Outlook& look, double level) const;
  std::vector<double> Spreads(const Pending& pending, int64_t target) const;
  std::vector<double> Uppers(const Pending& pending, double p) const;
  double& ErrorAt(int64_t slot) { return errors_by_phase_[static_cast<size_t>(slot % slots_.per_day)]; }

  Slots slots_;
  int64_t ahead_ = 1;
  std::vector<Learner> learners_;
  Mixture mixture_, quantile_mixture_;
  std::vector<Residuals> residuals_;
  std::vector<Pending> pending_;  // by slot modulo `ahead`
  Pending now_;
  double smooth_ = 0, smoother_ = 0;
  bool began_ = false;
  double recent_error_ = 0, usual_error_ = 0;
  std::vector<double> errors_by_phase_;  // by time of day; NaN: none yet
  double shift_ = 0;                     // of the upper quantile's level
  double surprise_ = 0;                  // 1: the last value was beyond all errors of before; fades
  double surprise_regret_ = 0;           // what the last value lost to the mixture after surprises; in levels
  double largest_error_ = std::numeric_limits<double>::infinity();  // of values above what was expected; fades
};

}  // namespace headroom::forecast
