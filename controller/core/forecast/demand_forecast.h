#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

#include "controller/core/forecast/forecaster.h"

namespace headroom::forecast {

// DemandForecast: what the core remembers of a cluster's demand in order to forecast it. Ticks give it the demand of
// now; it averages over slots of a minute (of five where nodes take longer than ten minutes to come) and asks a
// Forecaster. A slot of which less than half is known is unknown. Saved with the state, at most 445 kB;
// thread-compatible.
class DemandForecast {
 public:
  // What will be asked: how far ahead, by the policy, and which quantile.
  struct Question {
    absl::Duration lead;
    double quantile = 0.975;
  };
  // `demand` of `now`, which ascends; nothing: it cannot be told.
  void Observe(absl::Time now, std::optional<double> demand, const Question& question);

  // The level of demand has shifted.
  void LevelShifted() {
    if (forecaster_.has_value()) forecaster_->Doubt();
  }

  struct Answer {
    double expected = 0, upper = 0;
    absl::Duration ahead;
  };
  // The chance of more that Ahead() leaves: twice that of the question's quantile, but never more often than not.
  static double AskedBeyond(double quantile);
  // The demand `lead` after the last tick; beyond twelve slots, of the twelfth. It is more than `upper` with the chance
  // AskedBeyond(): what is asked for by it is asked for seldom. Nothing: too little is known yet, or nothing of the
  // last slots.
  std::optional<Answer> Ahead(absl::Duration lead) const;
  // The highest of all moments from now until `until` after the last tick, at the question's quantile.
  std::optional<Answer> Until(absl::Duration until) const;
  // The highest of all moments of the next twelve slots, with half the chance of more: who asks anyway asks for so
  // much. Of too few errors to tell that: at the question's quantile. Dear, and not remembered: few ask.
  std::optional<Answer> Most() const;
  // Demand beyond what was held possible for this moment, and a quarter above that of `lead` before: the past is no
  // guide, so half of the growth beyond that quarter is taken to come again.
  struct Surprise {
    double demand = 0, upper = 0, growth = 0, ahead = 0;  // ahead: the demand to be met
  };
  std::optional<Surprise> Surprised(absl::Duration lead) const;

  // Slots that must still be seen before Ahead() tells.
  int64_t SlotsMissing(absl::Duration lead, double p) const;
  absl::Duration step() const;  // of a slot
  // What is remembered; nothing: it has not begun. For planning.
  const std::optional<Forecaster>& forecaster() const { return forecaster_; }
  // Full slots of demand that have been seen.
  int64_t known_count() const { return forecaster_.has_value() ? forecaster_->known_count() : 0; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("forecaster", self.forecaster_);
    visit("at", self.at_);
    visit("demand", self.demand_);
    visit("sum", self.sum_);
    visit("known", self.known_);
    visit("samples", self.samples_);
  }

 private:
  void Begin(const ForecasterOptions& options);
  // Counts the demand of before as lasting until `now`, and ends the slots that lie between.
  void Hold(absl::Time now);
  void Count(absl::Duration held);
  void Sample();
  bool IsFresh() const;
  int64_t SlotsAhead(absl::Duration lead) const;
  // Of one horizon, by the chance of more: AskedBeyond(), and that of the question.
  struct Uppers {
    double asked = 0, possible = 0;
  };
  // The highest of the horizons [first, last].
  using UpperOf = absl::FunctionRef<double(size_t index)>;
  std::optional<Answer> Highest(size_t first, size_t last, UpperOf upper) const;
  void Tell(double quantile);

  std::optional<Forecaster> forecaster_;
  absl::Time at_ = absl::InfinitePast();
  std::optional<double> demand_;  // since at_
  double sum_ = 0;                // of this slot: demand x seconds
  absl::Duration known_;          // of this slot
  std::vector<double> samples_;   // of this slot, spread over it
  // The answers, a horizon each: they are dear, change once a slot and are asked for at every tick. Not saved.
  double quantile_ = 0;
  std::vector<std::optional<Uppers>> uppers_;
};

}  // namespace headroom::forecast
