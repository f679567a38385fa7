#include "controller/core/calendar/usual_demand.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace headroom {
namespace {

constexpr absl::Duration kSlot = absl::Minutes(15);

int64_t SlotOf(absl::Time at) {
  absl::Duration within;
  return absl::IDivDuration(at - absl::UnixEpoch(), kSlot, &within);
}

}  // namespace

void UsualDemand::Observe(absl::Time now, std::optional<double> demand) {
  const int64_t slot = SlotOf(now);
  // A history of another release has another length: it begins anew.
  if (history_.size() != kPerDay * kDays) *this = UsualDemand();
  if (slot > slot_) {
    if (count_ > 0 && slot_ > history_.newest()) {
      last_ = sum_ / static_cast<double>(count_);
      history_.Add(slot_, *last_);
    }
    slot_ = slot;
    sum_ = 0;
    count_ = 0;
  }
  if (!demand.has_value() || slot < 0) return;
  if (!last_.has_value()) last_ = demand;
  sum_ += *demand;
  ++count_;
}

std::optional<double> UsualDemand::At(int64_t slot) const {
  constexpr std::array<int64_t, 7> kDaysBefore = {7, 1, 2, 3, 4, 5, 6};
  for (const int64_t days : kDaysBefore) {
    const double value = history_[slot - days * kPerDay];
    if (!std::isnan(value)) return value;
  }
  return std::nullopt;
}

std::optional<double> UsualDemand::Highest(absl::Time from, absl::Time until) const {
  std::optional<double> highest;
  const int64_t last = std::min(SlotOf(until), SlotOf(from) + kPerDay);
  for (int64_t slot = SlotOf(from); slot <= last; ++slot) {
    const std::optional<double> value = At(slot);
    if (value.has_value()) highest = std::max(highest.value_or(0), *value);
  }
  return highest.has_value() ? highest : last_;
}

}  // namespace headroom
