#include "controller/core/anomaly/season.h"

#include <algorithm>

namespace headroom {
namespace {

constexpr uint16_t kVisitsMax = 1000;

}  // namespace

uint32_t SeasonProfile::SlotOf(absl::Time at, absl::Duration period) {
  const int64_t length = absl::ToInt64Seconds(period);
  const int64_t second = absl::ToUnixSeconds(at) % length;
  return static_cast<uint32_t>((second < 0 ? second + length : second) * static_cast<int64_t>(kSlots) / length);
}

std::optional<double> SeasonProfile::Expected(uint32_t slot) const {
  if (visits_[slot] == 0) return std::nullopt;
  return values_[slot];
}

void SeasonProfile::Add(uint32_t slot, double value, double rate) {
  if (slot != slot_ && visit_count_ > 0 && slot_ < kSlots) {
    uint16_t& visits = visits_[slot_];
    visits = std::min<uint16_t>(static_cast<uint16_t>(visits + 1), kVisitsMax);
    values_[slot_] += std::max(rate, 1.0 / visits) * (visit_sum_ / visit_count_ - values_[slot_]);
    visit_sum_ = 0;
    visit_count_ = 0;
  }
  slot_ = slot;
  visit_sum_ += value;
  ++visit_count_;
}

}  // namespace headroom
