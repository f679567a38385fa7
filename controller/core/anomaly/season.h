#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace headroom {

// SeasonProfile: the usual course of a series over one period, in kSlots slots; a slot remembers the means of its last
// visits. Values only from finished visits, so a visit does not predict itself. A value; O(1); times that go backwards
// begin a new visit.
class SeasonProfile {
 public:
  static constexpr size_t kSlots = 96;

  // The slot of a time in a period of whole seconds.
  static uint32_t SlotOf(absl::Time at, absl::Duration period);

  // What the slot usually holds; nothing: it was never visited before.
  std::optional<double> Expected(uint32_t slot) const;
  void Add(uint32_t slot, double value, double rate);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("values", self.values_);
    visit("visits", self.visits_);
    visit("slot", self.slot_);
    visit("visit_sum", self.visit_sum_);
    visit("visit_count", self.visit_count_);
  }

 private:
  std::array<double, kSlots> values_{};
  std::array<uint16_t, kSlots> visits_{};  // finished ones, counted up to kVisitsMax
  uint32_t slot_ = 0;                      // the one being visited
  double visit_sum_ = 0;
  uint32_t visit_count_ = 0;
};

}  // namespace headroom
