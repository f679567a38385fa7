#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/core/decision.h"
#include "controller/core/event.h"
#include "controller/server/load_intake.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/metric_family.h"
#include "prometheus/registry.h"

namespace headroom {

// Metrics: what a Prometheus sees. Cardinality is bounded by the tables of states, causes, alarms and codes: no label
// ever names a node, a client or a text. Every series exists from the start, so a rate has its zero, but for
// the rarer outcomes of actions. Thread-safe.
class Metrics {
 public:
  using Families = std::vector<prometheus::MetricFamily>;
  // `cluster`: a label of every series; empty: none.
  Metrics(absl::string_view version, absl::string_view cluster);

  // One round of the loop.
  void Loop(absl::Time at, absl::Duration took);
  void Decided(const Decision& decision);
  void Finished(const Action& action, const ActionFinished& outcome);
  void PolicyReloaded(bool ok);
  // The reports taken and refused so far.
  void Reports(const LoadCounters& counters, size_t streams);
  // The cluster as it is.
  void Cluster(const Autoscaler& core, absl::Time now);

  Families Collect() const { return registry_.Collect(); }

 private:
  using Gauges = std::map<std::string, prometheus::Gauge*>;
  using Counters = std::map<std::string, prometheus::Counter*>;

  prometheus::Gauge& MakeGauge(const char* name, const char* help);
  prometheus::Counter& MakeCounter(const char* name, const char* help);
  template <typename Make>
  auto& Family(Make make, const char* name, const char* help);
  void AddDecisionSeries();
  void AddActionSeries();
  prometheus::Counter& ActionCounter(absl::string_view kind, absl::StatusCode result);
  void AddLabelled();
  void Nodes(const Autoscaler& core);
  void Bounds(const Autoscaler& core, absl::Time now);

  const std::map<std::string, std::string> labels_;
  prometheus::Registry registry_;
  prometheus::Histogram* loop_duration_;
  prometheus::Gauge *loop_last_success_, *nodes_desired_, *nodes_min_, *nodes_max_, *in_use_, *limit_, *waiting_,
      *report_age_, *streams_, *policy_ok_, *journal_ok_, *term_, *held_;
  prometheus::Counter *reports_, *reports_old_, *limit_changes_;
  Gauges nodes_, diagnosis_, alarms_;
  Counters refused_, decisions_;
  prometheus::Family<prometheus::Counter>* actions_;
};

// In the text format of Prometheus: each family once, with the series of all.
std::string RenderMetrics(const std::vector<Metrics::Families>& collected);

// "up" where nodes are launched or drains cancelled, "down" where nodes leave, "limits" where only limits change, else
// "none".
absl::string_view DecisionDirection(const Decision& decision);

}  // namespace headroom
