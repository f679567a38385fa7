#include "controller/server/metrics.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "controller/core/fleet/fleet_summary.h"
#include "controller/server/convert.h"
#include "prometheus/text_serializer.h"

namespace headroom {
namespace {

constexpr std::array<absl::string_view, 8> kKinds = {"grant_limits", "shed",      "launch", "drain",
                                                     "cancel_drain", "terminate", "list",   "set_servers"};
constexpr std::array<absl::string_view, 4> kDirections = {"up", "down", "limits", "none"};
constexpr std::array<absl::string_view, 2> kModes = {"live", "dry_run"};
constexpr int kStates = static_cast<int>(NodeState::kLost) + 1;

std::string ResultName(absl::StatusCode code) {
  return absl::AsciiStrToLower(absl::StatusCodeToString(code));
}

std::string DecisionKey(absl::string_view direction, absl::string_view mode) {
  return absl::StrCat(direction, "/", mode);
}

// A counter that follows one that is counted elsewhere.
void Follow(prometheus::Counter& counter, int64_t value) {
  const double more = static_cast<double>(value) - counter.Value();
  if (more > 0) counter.Increment(more);
}

template <typename Body>
bool Has(const Decision& decision) {
  return std::any_of(decision.actions.begin(), decision.actions.end(),
                     [](const Action& action) { return std::holds_alternative<Body>(action.body); });
}

}  // namespace

absl::string_view DecisionDirection(const Decision& decision) {
  if (Has<LaunchNode>(decision) || Has<CancelDrain>(decision)) return "up";
  if (Has<DrainNode>(decision) || Has<TerminateNode>(decision)) return "down";
  return Acts(decision) ? "limits" : "none";
}

template <typename Make>
auto& Metrics::Family(Make make, const char* name, const char* help) {
  return make().Name(name).Help(help).Labels(labels_).Register(registry_);
}

Metrics::Metrics(absl::string_view version, absl::string_view cluster)
    : labels_(cluster.empty() ? std::map<std::string, std::string>()
                              : std::map<std::string, std::string>{{"cluster", std::string(cluster)}}) {
  loop_duration_ =
      &Family(prometheus::BuildHistogram, "headroom_loop_duration_seconds",
              "Time that one round of the control loop took.")
           .Add({}, prometheus::Histogram::BucketBoundaries{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3});
  loop_last_success_ =
      &MakeGauge("headroom_loop_last_success_timestamp_seconds", "When the last round of the control loop ended.");
  nodes_desired_ = &MakeGauge("headroom_nodes_desired", "Nodes wanted, after the guards.");
  nodes_min_ = &MakeGauge("headroom_nodes_min", "Fewest nodes that are allowed now.");
  nodes_max_ = &MakeGauge("headroom_nodes_max", "Most nodes that are allowed now.");
  in_use_ = &MakeGauge("headroom_connections_in_use", "Open connections of all serving nodes.");
  limit_ = &MakeGauge("headroom_connections_limit", "Connection limits in force, summed over serving nodes.");
  waiting_ = &MakeGauge("headroom_connections_waiting", "Clients that wait for a connection.");
  report_age_ = &MakeGauge("headroom_report_age_seconds", "Age of the oldest newest report of a serving node.");
  streams_ = &MakeGauge("headroom_report_streams", "Open streams of nodes and balancers.");
  policy_ok_ = &MakeGauge("headroom_config_last_reload_successful", "1 when the last policy that was read was taken.");
  policy_ok_->Set(1);
  journal_ok_ = &MakeGauge("headroom_journal_healthy", "1 when the journal can be written.");
  term_ = &MakeGauge("headroom_term", "Term of this controller.");
  MakeGauge("headroom_leader", "1 where this controller leads.").Set(1);
  held_ = &MakeGauge("headroom_held", "1 when an operator holds growing or shrinking.");
  reports_ = &MakeCounter("headroom_reports_total", "Load reports taken in.");
  reports_old_ =
      &MakeCounter("headroom_reports_old_total", "Load reports dropped as replayed, old or of another boot.");
  limit_changes_ = &MakeCounter("headroom_limit_changes_total", "Changed connection limits that were granted.");
  Family(prometheus::BuildGauge, "headroom_build_info", "Always 1; the version is the label.")
      .Add({{"version", std::string(version)}})
      .Set(1);
  AddDecisionSeries();
  AddActionSeries();
  AddLabelled();
}

prometheus::Gauge& Metrics::MakeGauge(const char* name, const char* help) {
  return Family(prometheus::BuildGauge, name, help).Add({});
}

prometheus::Counter& Metrics::MakeCounter(const char* name, const char* help) {
  return Family(prometheus::BuildCounter, name, help).Add({});
}

void Metrics::AddDecisionSeries() {
  auto& family = Family(prometheus::BuildCounter, "headroom_decisions_total", "Decisions, by what they did.");
  for (const absl::string_view direction : kDirections) {
    for (const absl::string_view mode : kModes) {
      decisions_[DecisionKey(direction, mode)] =
          &family.Add({{"direction", std::string(direction)}, {"mode", std::string(mode)}});
    }
  }
}

void Metrics::AddActionSeries() {
  actions_ = &Family(prometheus::BuildCounter, "headroom_scale_actions_total",
                     "Actions by kind and outcome; in a dry run nothing was touched.");
  for (const absl::string_view kind : kKinds) {
    for (const absl::StatusCode usual : {absl::StatusCode::kOk, absl::StatusCode::kUnavailable}) {
      ActionCounter(kind, usual);
    }
  }
}

prometheus::Counter& Metrics::ActionCounter(absl::string_view kind, absl::StatusCode result) {
  return actions_->Add({{"kind", std::string(kind)}, {"result", ResultName(result)}});
}

void Metrics::AddLabelled() {
  auto& nodes = Family(prometheus::BuildGauge, "headroom_nodes", "Nodes by state.");
  for (int i = 0; i < kStates; ++i) {
    const std::string state(NodeStateName(static_cast<NodeState>(i)));
    nodes_[state] = &nodes.Add({{"state", state}});
  }
  auto& diagnosis = Family(prometheus::BuildGauge, "headroom_diagnosis", "1 for the cause that is named now.");
  for (int i = 0; i < kCauseCount; ++i) {
    const std::string cause(CauseName(static_cast<Cause>(i)));
    diagnosis_[cause] = &diagnosis.Add({{"cause", cause}});
  }
  auto& alarms = Family(prometheus::BuildGauge, "headroom_alarm", "How many alarms of this code are on.");
  for (int i = 0; i < static_cast<int>(ReasonCode::kCount); ++i) {
    const std::string code(ReasonName(static_cast<ReasonCode>(i)));
    if (absl::StartsWith(code, "alarm_")) alarms_[code] = &alarms.Add({{"code", code}});
  }
  auto& refused = Family(prometheus::BuildCounter, "headroom_reports_rejected_total",
                         "Load reports refused at the wire, by what was wrong.");
  for (const std::string& label : RefusalLabels()) refused_[label] = &refused.Add({{"reason", label}});
}

void Metrics::Loop(absl::Time at, absl::Duration took) {
  loop_duration_->Observe(absl::ToDoubleSeconds(took));
  loop_last_success_->Set(absl::ToDoubleSeconds(at - absl::UnixEpoch()));
}

void Metrics::Decided(const Decision& decision) {
  const absl::string_view mode = decision.mode == Mode::kLive ? kModes[0] : kModes[1];
  decisions_.at(DecisionKey(DecisionDirection(decision), mode))->Increment();
  nodes_desired_->Set(decision.desired_count);
  for (auto& [cause, gauge] : diagnosis_) gauge->Set(cause == CauseName(decision.diagnosis.cause) ? 1 : 0);
  std::map<std::string, int> on;
  for (const Reason& alarm : decision.alarms) ++on[std::string(ReasonName(alarm.code))];
  for (auto& [code, gauge] : alarms_) gauge->Set(on[code]);
  for (const Action& action : decision.actions) {
    const auto* grant = std::get_if<GrantLimits>(&action.body);
    if (decision.mode == Mode::kLive && grant != nullptr && !grant->renewal) limit_changes_->Increment();
  }
}

void Metrics::Finished(const Action& action, const ActionFinished& outcome) {
  ActionCounter(ActionKind(action), outcome.code).Increment();
}

void Metrics::PolicyReloaded(bool ok) {
  policy_ok_->Set(ok ? 1 : 0);
}

void Metrics::Reports(const LoadCounters& counters, size_t streams) {
  Follow(*reports_, counters.accepted());
  for (const auto& [label, count] : counters.refused()) Follow(*refused_.at(label), count);
  streams_->Set(static_cast<double>(streams));
}

void Metrics::Cluster(const Autoscaler& core, absl::Time now) {
  Nodes(core);
  Bounds(core, now);
  const FleetSummary summary = Summarize(core.fleet(), core.policy(), now);
  in_use_->Set(static_cast<double>(summary.open));
  limit_->Set(static_cast<double>(summary.limit));
  waiting_->Set(static_cast<double>(summary.waiting));
  Follow(*reports_old_, core.fleet().reports_dropped_old());
  journal_ok_->Set(core.Save().journal_error.empty() ? 1 : 0);
  term_->Set(static_cast<double>(core.Save().term));
  absl::Duration oldest;
  for (const auto& [id, node] : core.fleet().nodes()) {
    if (node.state == NodeState::kServing && !node.hypothetical) oldest = std::max(oldest, now - node.last_report_at);
  }
  report_age_->Set(absl::ToDoubleSeconds(oldest));
}

void Metrics::Nodes(const Autoscaler& core) {
  std::map<absl::string_view, int> counts;
  for (const auto& [id, node] : core.fleet().nodes()) {
    if (!node.hypothetical) ++counts[NodeStateName(node.state)];
  }
  for (auto& [state, gauge] : nodes_) gauge->Set(counts[state]);
}

void Metrics::Bounds(const Autoscaler& core, absl::Time now) {
  const State& state = core.Save();
  const bool overridden = state.override_set.has_value() && state.override_set->until > now;
  const OverrideSet bounds = overridden ? *state.override_set : OverrideSet{};
  nodes_min_->Set(bounds.nodes_min > 0 ? bounds.nodes_min : core.policy().nodes.min);
  nodes_max_->Set(bounds.nodes_max > 0 ? bounds.nodes_max : core.policy().nodes.max);
  held_->Set(
      std::any_of(state.holds.begin(), state.holds.end(), [&](const auto& hold) { return hold.until > now; }) ? 1 : 0);
}

std::string RenderMetrics(const std::vector<Metrics::Families>& collected) {
  Metrics::Families all;
  std::map<std::string, size_t> places;
  for (const Metrics::Families& families : collected) {
    for (const prometheus::MetricFamily& family : families) {
      const auto [place, is_new] = places.try_emplace(family.name, all.size());
      if (is_new) {
        all.push_back(family);
      } else {
        auto& metrics = all[place->second].metric;
        metrics.insert(metrics.end(), family.metric.begin(), family.metric.end());
      }
    }
  }
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace headroom
