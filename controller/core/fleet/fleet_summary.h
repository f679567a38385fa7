#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "controller/base/latency_histogram.h"
#include "controller/core/fleet/data_fill.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/policy.h"

namespace headroom {

// Positions: how full the nodes are, each against what it carries well, as a histogram: the p95 of 10,000 nodes must
// not cost a sort in each tick.
class Positions {
 public:
  void Add(double position);
  double Sum() const { return sum_; }
  double Mean() const { return count_ == 0 ? 0 : sum_ / count_; }
  // The position that a share of `p` of the nodes does not exceed, within 1/32; positions over 8 count as 8. Nothing:
  // no node is known.
  std::optional<double> Quantile(double p) const;

 private:
  static constexpr int kPerOne = 32, kBuckets = 8 * kPerOne + 1;
  std::array<int32_t, kBuckets> buckets_{};
  int32_t count_ = 0;
  double sum_ = 0;
};

// FleetSummary: the fleet in sums, computed once per tick; signals, guards and diagnosis read it. Counts and rates are
// over serving nodes unless said otherwise; rates are per second over the last second or two.
struct FleetSummary {
  int serving = 0, launching = 0, joining = 0, draining = 0, drained = 0, restarting = 0, lost = 0;
  int unheard = 0;      // serving, and not heard since the controller restarted
  int terminating = 0;  // really
  int drained_by_operator = 0, returning = 0;
  int returnable = 0;                            // leaving, and Headroom may take them back
  int stuck = 0;                                 // launched, and late
  int newcomers = 0;                             // serving since less than restart_grace, and not launched by Headroom
  int asked = 0;                                 // launches of ours that are under way and not late
  absl::Time asked_at = absl::InfiniteFuture();  // when the oldest of them was asked for
  int absent = 0;     // machines that the provider lists, and that carry nothing that we know of
  int effective = 0;  // nodes once all work in flight lands: the number every rule reasons about
  int kept = 0;       // drained for an operator, or by somebody else: they stay
  int carrying = 0;   // nodes that really carry load and do not leave, whatever the dry run thinks of them
  int fresh = 0;      // of these, those that reported within control.silent_after
  int stale = 0;      // serving nodes whose slots are in balancers of which none speaks
  int at_limit = 0;   // serving nodes whose open + waiting reach their limit
  absl::Time newest_at = absl::InfinitePast();  // the last time that a node that carries load changed its state
  int64_t open = 0, active = 0, waiting = 0, limit = 0;
  // Demand of serving AND draining nodes: what the fleet would carry without the leaving ones.
  int64_t demand = 0;
  double completed = 0, errors = 0, accepted = 0, rejected = 0;
  double sent_bytes = 0, received_bytes = 0;
  int64_t ceiling = 0;                          // connections with every limit raised to its ceilings
  int64_t in_flight = 0;                        // requests in service
  int storing = 0;                              // nodes that tell what they store ...
  double stored_bytes = 0, capacity_bytes = 0;  // ... and their sums
  DataLack lack;                                // of data, where nodes bear any
  Positions positions;                          // demand of each node, by the connections that one carries well
  LatencyHistogram latency;                     // of the last seconds
  // The usual number of connections of one node: the median of the configured limits; 0: unknown.
  int64_t configured_median = 0;

  // Nodes that Headroom is removing now.
  int Leaving() const { return draining + drained + terminating - kept; }
  // So many at once are no failures of nodes but of what reports them. One may always fail. Asked of those that are
  // there, as Known() asks: 1 - 0.9 is no tenth, so a count of those that are missing is off at the quorum itself.
  bool ReportsAreLost(const ControlPolicy& control) const {
    return lost > 1 && static_cast<double>(serving) < control.quorum_ratio * (serving + lost);
  }
  bool Known(const ControlPolicy& control) const {
    return carrying > 0 && static_cast<double>(fresh) >= control.quorum_ratio * static_cast<double>(carrying);
  }
};

// Adds up a fleet, node by node.
class Summarizer {
 public:
  Summarizer(const Policy& policy, absl::Time now) : policy_(policy), now_(now) {}
  void Add(const Node& node);
  FleetSummary Finish(const Fleet& fleet) &&;

 private:
  const Policy& policy_;
  const absl::Time now_;
  FleetSummary summary_;
  std::vector<int64_t> configured_;         // of each node
  std::vector<absl::Time> unlisted_heard_;  // when nodes spoke last that are lost and that no list has named
  std::vector<DataLack::OfNode> filled_;    // of each that tells
};

FleetSummary Summarize(const Fleet& fleet, const Policy& policy, absl::Time now);

}  // namespace headroom
