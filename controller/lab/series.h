#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace headroom::lab {

// Series: a value a step, indexed by the step, which is an int here as everywhere in the task.
template <typename T>
class Series {
 public:
  Series() = default;
  explicit Series(int steps, T value = T()) : values_(static_cast<size_t>(steps), value) {}
  explicit Series(std::vector<T> values) : values_(std::move(values)) {}

  T& operator[](int step) { return values_[static_cast<size_t>(step)]; }
  const T& operator[](int step) const { return values_[static_cast<size_t>(step)]; }
  int size() const { return static_cast<int>(values_.size()); }
  bool empty() const { return values_.empty(); }
  const T& front() const { return values_.front(); }
  const T& back() const { return values_.back(); }
  const T* data() const { return values_.data(); }
  auto begin() { return values_.begin(); }
  auto end() { return values_.end(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::vector<T> values_;
};

}  // namespace headroom::lab
