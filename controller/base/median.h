#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace headroom {

// The middle of the values, of an even number of them the upper one; they are reordered. Of none: T{}.
template <class T>
T UpperMedian(std::vector<T>& values) {
  if (values.empty()) return T{};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace headroom
