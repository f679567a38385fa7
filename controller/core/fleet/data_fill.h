#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace headroom {

// DataFill: whether a node that bears data receives any, by what it tells that it stores. A plain value.
struct DataFill {
  int64_t mark_bytes = 0;  // what it stored when it last gained a part worth naming, or lost any
  absl::Time gained_at = absl::InfinitePast();

  void Add(absl::Time at, int64_t stored_bytes) {
    constexpr double kGain = 1.01;
    const bool gained = static_cast<double>(stored_bytes) > kGain * static_cast<double>(mark_bytes);
    if (gained) gained_at = at;
    if (gained || stored_bytes < mark_bytes) mark_bytes = stored_bytes;
  }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("mark", self.mark_bytes);
    visit("gained_at", self.gained_at);
  }
};

// What nodes that came lately lack of the data that the others have, in nodes. One that is filled half as far as the
// median node serves half as much: the rest is asked of the others. From kFilledRatio of the median on a node counts in
// full, since no cluster is quite even; and one that has long been there holds what it is meant to.
struct DataLack {
  static constexpr double kFilledRatio = 0.7;
  enum class Part : uint8_t {
    kSettled,  // tells what is usual, and lacks nothing
    kFilling,  // it receives, or has only just come
    kStarved   // was launched lately and receives nothing
  };
  struct OfNode {
    double fill_ratio = 0;  // stored of what it can store
    Part part = Part::kSettled;
  };

  int nodes = 0;        // that lack data
  double missing = 0;   // capacity, in full nodes
  int starved = 0;      // of these: receive nothing
  double starving = 0;  // capacity that they lack

  static DataLack Of(std::vector<OfNode>& nodes);  // reorders them
};

}  // namespace headroom
