#pragma once

#include <cstdint>

#include "absl/time/time.h"

#include "controller/core/decision.h"

namespace headroom {

// Trial: what the decisions of one mode came to since it began, so that a dry run can say what it would have done and a
// live controller what it did. Counted at each tick, saved with the state. Copyable; thread-compatible.
struct Trial {
  // A change of the number of nodes that one decision asked for.
  struct Step {
    uint64_t sequence = 0;  // of the decision; 0: none
    absl::Time at = absl::InfinitePast();
    int before = 0, after = 0;
    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("sequence", self.sequence);
      visit("at", self.at);
      visit("before", self.before);
      visit("after", self.after);
    }
  };

  absl::Time since = absl::InfinitePast();  // not begun: the first decision begins it
  int64_t decisions = 0;                    // all of them; "did nothing" is one too
  int64_t launches = 0, removals = 0, returns = 0, raises = 0, cuts = 0, sheds = 0;
  int nodes_least = 0, nodes_most = 0;  // wanted after the guards
  Step largest;                         // the one that moves most nodes

  void Count(const Decision& decision);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("since", self.since);
    visit("decisions", self.decisions);
    visit("launches", self.launches);
    visit("removals", self.removals);
    visit("returns", self.returns);
    visit("raises", self.raises);
    visit("cuts", self.cuts);
    visit("sheds", self.sheds);
    visit("nodes_least", self.nodes_least);
    visit("nodes_most", self.nodes_most);
    visit("largest", self.largest);
  }
};

}  // namespace headroom
