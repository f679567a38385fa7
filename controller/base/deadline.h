#pragma once

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace headroom {

// Deadline: what is left of the time that a call was given, through all the calls that it makes itself. By the
// monotonic clock; a value, thread-compatible.
class Deadline {
 public:
  explicit Deadline(absl::Duration timeout) : timeout_(timeout) {}
  // Zero once it is over.
  absl::Duration left() const { return std::max(timeout_ - passed(), absl::ZeroDuration()); }
  bool is_over() const { return left() <= absl::ZeroDuration(); }

 private:
  absl::Duration passed() const { return absl::FromChrono(std::chrono::steady_clock::now() - began_); }

  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  const absl::Duration timeout_;
};

}  // namespace headroom
