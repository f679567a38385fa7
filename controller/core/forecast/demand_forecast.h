#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/forecast/forecaster.h"

namespace headroom::forecast {

// DemandForecast: what the core remembers of a cluster's demand in order to forecast it. Ticks give it the demand of
// now; it averages over slots of a minute (of five where nodes take longer than ten minutes to come) and asks a
// Forecaster. A slot of which less than half is known is unknown. Saved with the state, at most 400 kB;
// thread-compatible.
class DemandForecast {
 public:
  // `demand` of `now`, which ascends; nothing: it cannot be told. `lead`: how far ahead will be asked, by the policy.
  void Observe(absl::Time now, std::optional<double> demand, absl::Duration lead);

  struct Answer {
    double expected = 0, upper = 0;
    absl::Duration ahead;
  };
  // The p-quantile of the demand `lead` after the last tick; beyond twelve slots, of the twelfth. Nothing: too little
  // is known yet, or nothing of the last slots.
  std::optional<Answer> Ahead(absl::Duration lead, double p) const;
  // The highest p-quantile of all moments from now until `until` after the last tick.
  std::optional<Answer> Until(absl::Duration until, double p) const;

  // Slots that must still be seen before Ahead() tells.
  int64_t SlotsMissing(absl::Duration lead, double p) const;
  absl::Duration step() const;  // of a slot
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
  // The highest of the horizons [first, last].
  std::optional<Answer> Highest(size_t first, size_t last, double p) const;

  std::optional<Forecaster> forecaster_;
  absl::Time at_ = absl::InfinitePast();
  std::optional<double> demand_;  // since at_
  double sum_ = 0;                // of this slot: demand x seconds
  absl::Duration known_;          // of this slot
  std::vector<double> samples_;   // of this slot, spread over it
};

}  // namespace headroom::forecast
