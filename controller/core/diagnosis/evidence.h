#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "controller/core/diagnosis/cluster_series.h"
#include "controller/core/diagnosis/spread.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/policy.h"

namespace headroom {

// A group of nodes in numbers. Absent: no node of the group answered a request.
struct GroupHealth {
  std::optional<double> error_ratio;  // server errors while slots were free, of the answers
  std::optional<double> p50;          // seconds
};

// Who runs what, and how it fares there.
struct DeployEvidence {
  double told_share = 0;  // nodes that tell their version
  std::string version;    // the newest (of several that came lately the one that fares worst), with its configuration
                          // when that is what changed
  std::optional<absl::Duration> newest_age;
  absl::Duration watched;        // for so long, at most control.deploy_window, a change would have been noticed
  bool is_recent = false;        // within control.deploy_window
  double changed_share = 0;      // nodes that run the newest
  absl::Duration before_onset;   // from the change to the onset of trouble; zero when the change came later
  absl::Duration settled;        // and from the last node that took it; zero when that was later
  GroupHealth there, elsewhere;  // nodes that run the newest, and the others
};

// Evidence: the present in numbers beside what is usual, all that the rules of diagnosis may look at. What no source
// tells is absent, never zero. Made once per tick in O(nodes); not kept.
struct Evidence {
  ClusterSample latest;                // this second as it is
  ClusterSample now;                   // rates and latencies over the last seconds, gauges now
  std::optional<ClusterSample> usual;  // nothing: too little history
  int nodes = 0;                       // that carry load and have reported lately
  int silent = 0;                      // that should have and have not
  int silent_but_up = 0;               // of them up for a balancer that was heard lately
  int down = 0;                        // of them down for these; where none was heard, lost
  bool heard_balancers = false;
  int at_limit = 0;
  int64_t open = 0, waiting = 0, limit = 0;
  // Demand over the limits that the servers had before anyone raised them. Absent: they have none.
  std::optional<double> own_taken;
  double demand_peak = 0;  // the largest demand since the onset
  // From well used slots to full ones; nothing: they have not been.
  std::optional<absl::Duration> fill_time;
  double overflows = 0;       // connections a second that full accept queues dropped
  bool clients_told = false;  // behind a TCP balancer all clients have one address
  absl::Duration known_for;   // since the first sample
  bool is_steady = true;      // no node has started, stopped, drained or been silent lately
  absl::Duration silent_after;
  DeployEvidence deploy;
  SpreadEvidence spread;

  // A tenth of the nodes is full: of many, one is full early by chance.
  bool IsFull() const { return at_limit > 0 && 10 * at_limit >= nodes; }
  std::optional<double> Now(Metric metric) const { return now.Get(metric); }
  std::optional<double> Usual(Metric metric) const { return usual.has_value() ? usual->Get(metric) : std::nullopt; }
  // Now over usual. A usual of next to nothing is taken as the metric's least meaningful value.
  std::optional<double> Ratio(Metric metric) const;
  // The same for a sum over nodes that grows with their number: clients connect to new nodes as well, and are counted
  // there again. Only what has grown at each node has grown.
  std::optional<double> RatioOfEach(Metric metric) const;
  // Share of the answers now, or usually.
  std::optional<double> NowOfAnswers(Metric metric) const;
  std::optional<double> UsualOfAnswers(Metric metric) const;
};

// When it began; InfiniteFuture: it has not.
struct TroubleTimes {
  absl::Time onset = absl::InfiniteFuture();    // the first symptom
  absl::Time full_at = absl::InfiniteFuture();  // slots were first full since
  double demand_peak = 0;                       // the largest demand since
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("onset", self.onset);
    visit("full_at", self.full_at);
    visit("demand_peak", self.demand_peak);
  }
};

// What evidence is gathered from, beside the nodes themselves.
struct EvidenceInput {
  const Fleet& fleet;
  const FleetSummary& summary;
  const TroubleTimes& trouble;
};

// Survey: gathers evidence in one walk over the nodes. Those that were added must outlive it.
class Survey {
 public:
  // The series takes note of the versions that nodes run and of the balancers' counters; the sample is the caller's to
  // add.
  Survey(const Policy& policy, ClusterSeries& series, absl::Time now);
  ~Survey();
  void Add(const Node& node);
  Evidence Finish(const EvidenceInput& in) &&;

 private:
  struct Findings;
  const Policy& policy_;
  ClusterSeries& series_;
  const absl::Time now_;
  const std::unique_ptr<Findings> findings_;
};

}  // namespace headroom
