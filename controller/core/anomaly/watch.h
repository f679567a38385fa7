#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/anomaly/detector.h"
#include "controller/core/anomaly/fleet_spread.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

// What is watched. The first ones are series of the cluster; the last two are nodes beside each other.
enum class WatchedSeries : uint8_t {
  kDemand,      // connections that are wanted: open and waiting
  kOpen,        // connections that are open
  kArrivals,    // new connections a second, admitted or not
  kAnswers,     // requests answered a second
  kFailures,    // rejected connections and server errors a second
  kLatency,     // seconds, 99th percentile
  kThroughput,  // bytes a second, in and out
  kSilentNodes,
  kHotNode,
};
inline constexpr size_t kClusterSeries = static_cast<size_t>(WatchedSeries::kSilentNodes);
inline constexpr size_t kWatchedSeries = static_cast<size_t>(WatchedSeries::kHotNode) + 1;
// "demand", "open connections", ...
absl::string_view ToString(WatchedSeries series);

// Something unusual that lasts, with its evidence: what was seen, what the series' own past (or the median node) let
// expect, and how many standard deviations lie between. At most one of a series at a time.
struct AnomalyIncident {
  WatchedSeries series = WatchedSeries::kDemand;
  AnomalyKind kind = AnomalyKind::kNone;
  double score = 0;  // in (0.5, 1]
  double seen = 0, expected = 0, sigmas = 0;
  std::string node;  // of kSilentNodes and kHotNode: one of them
  absl::Time since = absl::InfinitePast();
  int calm = 0;  // looks in a row at which it was gone

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("series", self.series);
    visit("kind", self.kind);
    visit("score", self.score);
    visit("seen", self.seen);
    visit("expected", self.expected);
    visit("sigmas", self.sigmas);
    visit("node", self.node);
    visit("since", self.since);
    visit("calm", self.calm);
  }
};

// AnomalyWatch: runs a detector on each series of the cluster and keeps the incidents that policy goes by. What it
// means for the number of nodes: while an incident lasts nothing shrinks (guard `anomaly`), while demand surges more is
// asked for (signal `surge`), and a demand whose level has shifted tells the forecast. Nothing here holds growth back.
//
// What differs by less than a seventh of what is usual, good news (faster answers, fewer failures) and odd shapes of
// usual values are no incidents. An incident ends when what was seen is gone, or after policy.anomaly.hold: then it is
// what is usual now. The series of the cluster are sampled every kSample, as means over it; what cannot be told is no
// sample. Needs some 40 minutes before it judges.
//
// About 120 KiB whatever the age; 5 us every kSample, else next to nothing. A value, thread-compatible, deterministic,
// saved with the state.
class AnomalyWatch {
 public:
  static constexpr absl::Duration kSample = absl::Seconds(10);

  // Once a tick; `now` ascends.
  struct Look {
    const FleetSummary& summary;
    const FleetSpread& spread;
    const Policy& policy;
    absl::Time now;
  };
  void Observe(const Look& look);

  // That last, the most surprising one of the cluster first, then those of nodes.
  const std::vector<AnomalyIncident>& incidents() const { return incidents_; }

  // A demand that surges: what it was a lead time ago and what it is.
  struct Surge {
    double before = 0, now = 0, sigmas = 0;
    absl::Duration in;
  };
  std::optional<Surge> DemandSurge(absl::Duration lead) const;

  // How long demand is still only watched before a rise of it is judged; zero: it is judged.
  absl::Duration LearnsFor() const;

  // Whether the level of demand has shifted at the last Observe().
  bool level_shifted() const { return level_shifted_; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("detectors", self.detectors_);
    visit("sums", self.sums_);
    visit("counts", self.counts_);
    visit("sampled_at", self.sampled_at_);
    visit("demands", self.demands_);
    visit("suspects", self.suspects_);
    visit("incidents", self.incidents_);
    visit("silent_usual", self.silent_usual_);
    visit("looked_at", self.looked_at_);
    visit("hot_since", self.hot_since_);
  }

 private:
  static constexpr size_t kDemandsMax = 66;  // eleven minutes of samples

  void AddUp(const Look& look);
  void Sample(const Look& look);
  void Follow(AnomalyIncident& suspect, double value, absl::Time now);
  void Judge(WatchedSeries series, double value, absl::Time now);
  void LookAtSilence(const Look& look);
  void LookAtHeat(const Look& look);
  void Raise(AnomalyIncident incident);
  // Ends the incident of the series once it has been gone for so many looks.
  void Calm(WatchedSeries series, int looks);
  void Expire(absl::Time now, absl::Duration hold);
  AnomalyIncident* Find(WatchedSeries series);
  const AnomalyIncident* Find(WatchedSeries series) const { return const_cast<AnomalyWatch*>(this)->Find(series); }

  std::vector<AnomalyDetector> detectors_;  // of each series of the cluster, once one was sampled
  std::array<double, kClusterSeries> sums_{};
  std::array<uint32_t, kClusterSeries> counts_{};  // since sampled_at_
  absl::Time sampled_at_ = absl::InfinitePast();
  struct Past {
    absl::Time at = absl::InfinitePast();
    double demand = 0;
    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("at", self.at);
      visit("demand", self.demand);
    }
  };
  std::vector<Past> demands_;                             // oldest first
  std::array<AnomalyIncident, kClusterSeries> suspects_;  // told by a detector, and not large enough yet
  std::vector<AnomalyIncident> incidents_;
  double silent_usual_ = 0;  // silent nodes, over the last hour
  absl::Time looked_at_ = absl::InfinitePast();
  absl::Time hot_since_ = absl::InfiniteFuture();
  bool level_shifted_ = false;
};

}  // namespace headroom
