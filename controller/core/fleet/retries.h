#pragma once

#include <algorithm>
#include <string>

#include "absl/time/time.h"

// What failed, how often in a row and when: plain values that the fleet remembers and the planner backs off on.

namespace headroom {

// Tries of the same thing that failed, one after the other.
struct Retries {
  int in_a_row = 0;
  absl::Time last_at = absl::InfinitePast();
  void Failed(absl::Time at) {
    ++in_a_row;
    last_at = at;
  }
  // When to try again: after 1 s, 2 s, 4 s and so on, up to 32 s.
  absl::Time next_at() const {
    constexpr int kDoublingsMax = 5;
    return in_a_row == 0 ? absl::InfinitePast() : last_at + absl::Seconds(1 << std::min(in_a_row - 1, kDoublingsMax));
  }
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("in_a_row", self.in_a_row);
    visit("last_at", self.last_at);
  }
};

// What became of an action that failed; the planner backs off on it.
struct LaunchFailures : Retries {
  std::string last_error;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    Retries::Fields(self, visit);
    visit("last_error", self.last_error);
  }
};

}  // namespace headroom
