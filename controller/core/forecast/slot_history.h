#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace headroom::forecast {

// SlotHistory: the newest values of a series, by slot; a slot that was left out is unknown (NaN). Copyable;
// thread-compatible.
class SlotHistory {
 public:
  SlotHistory() = default;  // to be read into
  explicit SlotHistory(int64_t slots) : values_(static_cast<size_t>(slots), kUnknown) {}

  // `slot` ascends.
  void Add(int64_t slot, double value) {
    const int64_t from = newest_ < 0 ? slot : newest_ + 1;
    // After a gap longer than the history nothing of it is left.
    for (int64_t gap = std::max(from, slot - size()); gap < slot; ++gap) At(gap) = kUnknown;
    At(slot) = value;
    newest_ = slot;
    if (oldest_ < 0) oldest_ = slot;
    oldest_ = std::max(oldest_, slot - size() + 1);
  }
  // NaN: not known.
  double operator[](int64_t slot) const {
    if (slot > newest_ || slot < oldest_ || slot < 0) return kUnknown;
    return values_[static_cast<size_t>(slot % size())];
  }
  double Or(int64_t slot, double otherwise) const {
    const double value = (*this)[slot];
    return std::isnan(value) ? otherwise : value;
  }
  int64_t newest() const { return newest_; }  // -1: nothing yet
  int64_t oldest() const { return oldest_; }
  int64_t size() const { return static_cast<int64_t>(values_.size()); }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("values", self.values_);
    visit("newest", self.newest_);
    visit("oldest", self.oldest_);
  }

 private:
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  double& At(int64_t slot) { return values_[static_cast<size_t>(slot % size())]; }

  std::vector<double> values_;
  int64_t newest_ = -1, oldest_ = -1;
};

}  // namespace headroom::forecast
