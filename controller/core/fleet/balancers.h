#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/report.h"

// What balancers say of the nodes behind them. Values, not thread-safe, saved with the fleet that they are part of.

namespace headroom {

// What the balancers together say of one node.
struct BalancerView {
  bool holds_slots = false;  // SlotPlace::kBalancer: limit, sessions and queue are the slots
  bool is_stale = false;     // said by balancers that are silent, have left, or list the node no more
  int64_t session_count = 0, queue_count = 0;
  int64_t limit_count = 0;  // sum over balancers; 0: none
  // Where others are heard, of those that are not, and may enforce their limits still:
  int64_t quiet_count = 0;       // connected, so that theirs is part of what the node was granted
  int64_t silent_count = 0;      // gone, so that it is not
  int64_t configured_count = 0;  // sum of the limits that they came with: theirs, not ours
  int64_t usual_count = 0;       // the same, where an earlier controller may have cut them: as many as others have
  absl::Time told_at = absl::InfinitePast();
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("holds_slots", self.holds_slots);
    visit("stale", self.is_stale);
    visit("sessions", self.session_count);
    visit("queue", self.queue_count);
    visit("limit", self.limit_count);
    visit("quiet", self.quiet_count);
    visit("silent", self.silent_count);
    visit("configured", self.configured_count);
    visit("usual", self.usual_count);
    visit("told_at", self.told_at);
  }
};

// What one balancer last said of one node.
struct BalancerWord {
  bool holds_slots = false;
  int64_t session_count = 0, queue_count = 0, limit_count = 0;
  int64_t configured_count = 0;  // the first limit that was seen
  int64_t usual_count = 0;  // where that may be the work of an earlier controller: what others came with. 0: it is not
  absl::Time told_at = absl::InfinitePast();
  absl::Time stale_since = absl::InfiniteFuture();  // when it ceased to be of now
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("holds_slots", self.holds_slots);
    visit("sessions", self.session_count);
    visit("queue", self.queue_count);
    visit("limit", self.limit_count);
    visit("configured", self.configured_count);
    visit("usual", self.usual_count);
    visit("told_at", self.told_at);
    visit("stale_since", self.stale_since);
  }
};

// A balancer as last heard. One that fell silent, left or lists nothing keeps its words for an hour: that its
// process or its agent restarts says nothing about the demand or the limits of the nodes behind it.
struct Balancer {
  BalancerReport report;
  std::map<NodeId, BalancerWord> words;  // of nodes of the fleet
  bool connected = false;
  bool silent = false;   // at the last tick
  bool unheard = false;  // since the controller restarted
  bool awaited = false;  // it has joined, and has not reported since
  bool shares = false;   // a part of what nodes were granted is its
  absl::Time last_report_at = absl::InfinitePast();
  absl::Time known_since = absl::InfinitePast();  // when it first spoke, since the controller restarted
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("report", self.report);
    visit("words", self.words);
    visit("connected", self.connected);
    visit("silent", self.silent);
    visit("unheard", self.unheard);
    visit("awaited", self.awaited);
    visit("shares", self.shares);
    visit("last_report_at", self.last_report_at);
    visit("known_since", self.known_since);
  }
};

// Who shares what nodes were granted, once some have come and some have gone.
struct NewSplit {
  int64_t before = 0, staying = 0;  // balancers
  std::vector<Balancer*> leavers, joiners;
};

}  // namespace headroom
