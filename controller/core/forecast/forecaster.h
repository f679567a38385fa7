#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/forecast/features.h"
#include "controller/core/forecast/horizon.h"
#include "controller/core/forecast/slot_history.h"

namespace headroom::forecast {

struct ForecasterOptions {
  absl::Duration step = absl::Minutes(5);     // of a slot; divides a day
  std::vector<int64_t> horizons = {1, 3, 6};  // in slots, ascending

  bool operator==(const ForecasterOptions&) const = default;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("step", self.step);
    visit("horizons", self.horizons);
  }
};

// Forecaster: online forecasts of a series that is not negative, such as a cluster's demand, with quantiles that keep
// their promise. It finds what repeats (day, week, and one more period in the data), follows trends and level shifts,
// and begins as the last value. docs/adr/0006 has its figures beside other methods.
//
// Slots are counted from the Unix epoch: slot i is [i x step, (i + 1) x step). Memory is bounded: 9 days of slots (8
// bytes each) and 35 kB a horizon. O(1) a sample. Deterministic, copyable, thread-compatible.
class Forecaster {
 public:
  Forecaster() = default;  // to be read into
  explicit Forecaster(const ForecasterOptions& options);

  // The mean over a slot, at least 0. Slots ascend; one that is left out is unknown, which is not zero. `samples` are
  // values of moments within the slot: with them quantiles are those of a moment, else of the mean over a slot.
  void Observe(int64_t slot, double value, const std::vector<double>& samples = {});

  // The level has shifted, as somebody else has found: the mixtures weigh anew.
  void Doubt() {
    for (Horizon& horizon : horizons_) horizon.Doubt();
  }

  struct Forecast {
    double expected = 0;  // as likely to be exceeded as not
    const Horizon* horizon;
    // Unknown: of so little history that it cannot be told.
    std::optional<double> Quantile(double p) const { return horizon->Quantile(p); }
  };
  // What is said of the slot `horizons[index]` after the newest one. Unknown: nothing was observed yet.
  std::optional<Forecast> Ahead(size_t index) const;

  const ForecasterOptions& options() const { return options_; }
  const SlotHistory& history() const { return history_; }
  int64_t newest_slot() const { return history_.newest(); }
  int64_t known_count() const { return known_count_; }  // samples seen
  // The period that was found beside day and week, in slots; 0: none.
  int64_t season() const { return season_; }

  // Whether what was read has the shape that this release computes with; if not, begin anew.
  bool IsWhole() const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("options", self.options_);
    visit("slots", self.slots_);
    visit("history", self.history_);
    visit("horizons", self.horizons_);
    visit("level", self.level_);
    visit("known_count", self.known_count_);
    visit("season", self.season_);
    visit("season_asked", self.season_asked_);
  }

 private:
  ForecasterOptions options_;
  Slots slots_;
  SlotHistory history_;
  std::vector<Horizon> horizons_;
  double level_ = 0;  // what is usual, over days: features are in units of it
  int64_t known_count_ = 0, season_ = 0, season_asked_ = -1;
};

}  // namespace headroom::forecast
