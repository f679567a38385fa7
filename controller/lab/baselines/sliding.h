#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "controller/base/check.h"

namespace headroom::lab {

// Sliding: the largest (or, with std::greater, the smallest) of the last `capacity` values. Add is O(1) amortised.
template <typename Before = std::less<>>
class Sliding {
 public:
  explicit Sliding(size_t capacity) : ring_(capacity) { HR_CHECK(capacity > 0); }

  // Adds a value and returns the extreme of the newest `capacity`, this one included.
  int Add(int value) {
    if (size_ > 0 && ring_[first_].index + ring_.size() <= index_) first_ = Next(first_), --size_;
    while (size_ > 0 && !Before()(value, ring_[Last()].value)) --size_;
    ++size_;
    ring_[Last()] = {index_++, value};
    return ring_[first_].value;
  }

 private:
  struct Entry {
    size_t index = 0;
    int value = 0;
  };
  size_t Next(size_t place) const { return place + 1 == ring_.size() ? 0 : place + 1; }
  size_t Last() const {
    const size_t place = first_ + size_ - 1;
    return place < ring_.size() ? place : place - ring_.size();
  }

  std::vector<Entry> ring_;  // values that may yet be the extreme, the first being it
  size_t first_ = 0, size_ = 0, index_ = 0;
};

using SlidingMax = Sliding<>;

}  // namespace headroom::lab
