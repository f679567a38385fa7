#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/policy.h"
#include "controller/sim/runner.h"

namespace headroom::sim {

// FittedCluster: what a simulated cluster must be to go the way of a recorded one, found from the facts of its past:
// demand (requests and the clients behind their connections, in stretches of kStretch), what a request costs on a calm
// node, limits and idle time-outs as configured, how long machines take to serve. What a node did while nobody heard of
// it is taken as even over that time. Where accept queues were not empty
// the demand that was not served is an estimate, in proportion to those who waited. Not fitted: the knee of the
// service law (a node never slows down), clients' retries and time-outs (the defaults of ClientSettings).
class FittedCluster {
 public:
  static constexpr absl::Duration kStretch = absl::Seconds(10);

  // Facts in the order of their time.
  void Take(absl::Time at, const Event& event);
  // What a snapshot knows: nodes that said hello before the journal begins.
  void Take(const Fleet& fleet);

  // FAILED_PRECONDITION: no traffic was seen, or less than a minute of it.
  absl::StatusOr<Scenario> Make(Policy policy) const;
  absl::Duration length() const { return kStretch * static_cast<int64_t>(stretches_.size()); }
  double service_seconds() const;
  std::optional<absl::Duration> boot() const;

 private:
  struct Stretch {
    double completed = 0;
    double open = 0, waiting = 0;  // connections, at its end
    double connections() const { return open + waiting; }
    double requests_per_second() const;
  };
  struct Heard {
    absl::Time at;
    NodeReport report;
  };

  void Take(absl::Time at, const NodeReport& report, const NodeId& node);
  void TakeConfigured(const NodeHello& hello);
  void Spread(absl::Time from, absl::Time until, double completed);
  void CloseStretches(absl::Time at);
  double ClientsOf(const Stretch& stretch) const;

  absl::Time begun_at_ = absl::InfiniteFuture();
  std::map<NodeId, Heard> nodes_;  // their newest report
  std::set<NodeId> first_nodes_;   // seen in the first stretch
  std::vector<Stretch> stretches_;
  double completed_ = 0;         // in this stretch
  std::vector<double> medians_;  // of latency on calm nodes, in seconds
  std::map<ActionId, absl::Time> launches_;
  std::vector<absl::Duration> boots_;
  int64_t limit_count_ = 0;
  int backlog_ = 128;
  absl::Duration idle_timeout_ = absl::Seconds(30);
};

// ServingHours: node-hours of nodes that serve, as decisions tell of them; the same of a journal and of a run in a
// model. Nodes that boot stand in neither.
class ServingHours {
 public:
  void Take(const Decision& decision);
  double hours() const { return hours_; }

 private:
  absl::Time last_ = absl::InfinitePast();
  double nodes_ = 0, hours_ = 0;
};

// What became of a cluster under a policy; nodes are those that serve.
struct CourseOutcome {
  double node_hours = 0;
  int64_t offered = 0, failed = 0;
  int64_t limit_raises = 0, launches = 0, terminations = 0;
  int nodes_peak = 0;
  double failed_ratio() const { return offered > 0 ? static_cast<double>(failed) / static_cast<double>(offered) : 0; }
};

// Runs it at the interval level, in closed loop with the production core.
CourseOutcome RunCourse(const Scenario& scenario, absl::Duration length);

}  // namespace headroom::sim
