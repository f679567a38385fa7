#include "controller/core/alarms.h"

#include <algorithm>
#include <utility>

#include "controller/core/nodes/guards.h"

namespace headroom {
namespace {

constexpr absl::Duration kRefusedFor = absl::Minutes(10);  // an alarm of what was refused stands for so long

// An age that does not change the journal's row with every second.
absl::Duration Told(absl::Duration age) {
  return absl::Floor(age, age < absl::Minutes(1) ? absl::Seconds(1) : absl::Minutes(1));
}

void Capped(const AlarmInput& in, std::vector<Reason>& alarms) {
  const int max = EffectiveBounds(in.state, in.policy, in.now).max;
  // A fleet that stands above its max and would like to be smaller lacks nothing.
  const int wanted = in.wanted > in.summary.effective ? in.wanted : std::min(in.wanted, max);
  const auto alarm = in.state.at_max.Judge({in.summary, in.state.forecast, in.policy, max, wanted, in.now});
  if (alarm.has_value()) alarms.push_back(*alarm);
}

void NodesLost(const AlarmInput& in, std::vector<Reason>& alarms) {
  for (const auto& [id, node] : in.state.fleet.nodes()) {
    if (node.state == NodeState::kLost)
      alarms.push_back(MakeReason(ReasonCode::kAlarmNodeLost, id, in.now - node.last_report_at));
  }
}

void LaunchesStuck(const AlarmInput& in, std::vector<Reason>& alarms) {
  for (const auto& [id, node] : in.state.fleet.nodes()) {
    if (node.launch_failed && node.IsComing())
      alarms.push_back(MakeReason(ReasonCode::kAlarmLaunchStuck, id, Told(in.now - node.AwaitedSince()),
                                  in.state.fleet.learned_lead_time()));
  }
}

// The deadline of the policy ends a drain; that it is late is told before.
void DrainsStuck(const AlarmInput& in, std::vector<Reason>& alarms) {
  const PhaseTimes& times = in.state.fleet.drain_times();
  const std::optional<absl::Duration> usual = times.P95();
  if (!usual.has_value()) return;
  for (const auto& [id, node] : in.state.fleet.nodes()) {
    const bool drains = node.state == NodeState::kDraining && !node.drained_by_operator && !node.found_draining;
    const absl::Duration since = in.now - node.state_since;
    if (drains && since > times.Deadline(in.policy.nodes.drain_timeout))
      alarms.push_back(MakeReason(ReasonCode::kAlarmDrainStuck, id, Told(since), *usual, node.OpenCount()));
  }
}

void LongUnknown(const AlarmInput& in, std::vector<Reason>& alarms) {
  const Demand* unknown = nullptr;
  for (const Demand& demand : in.demands) {
    if (!demand.node_count.has_value()) unknown = &demand;
  }
  absl::Time& since = in.state.scale.unknown_since;
  if (unknown == nullptr) {
    since = absl::InfinitePast();
    return;
  }
  if (since == absl::InfinitePast()) since = in.now;
  if (in.now - since < in.policy.control.unknown_alarm) return;
  alarms.push_back(MakeReason(ReasonCode::kAlarmSignalUnknown, unknown->signal, in.now - since));
}

// One alarm of the cluster, however many of its series show it, and one of each kind of node.
void Anomalies(const AlarmInput& in, std::vector<Reason>& alarms) {
  bool told = false;
  for (const AnomalyIncident& incident : in.state.anomaly.incidents()) {
    const bool of_cluster = incident.series < WatchedSeries::kSilentNodes;
    if (of_cluster && std::exchange(told, true)) continue;
    alarms.push_back(MakeReason(ReasonCode::kAlarmAnomaly, ToString(incident.series), ToString(incident.kind),
                                incident.seen, incident.expected, incident.sigmas, incident.node, incident.score));
  }
}

}  // namespace

void RaiseAlarms(const AlarmInput& in, std::vector<Reason>& alarms) {
  Capped(in, alarms);
  if (in.summary.lost > 0) NodesLost(in, alarms);
  if (in.summary.stuck > 0) LaunchesStuck(in, alarms);
  if (in.summary.draining > 0) DrainsStuck(in, alarms);
  LongUnknown(in, alarms);
  Anomalies(in, alarms);
  if (!in.state.journal_error.empty()) alarms.push_back(MakeReason(ReasonCode::kAlarmJournal, in.state.journal_error));
  const Fleet& fleet = in.state.fleet;
  if (in.now - fleet.refused_at() < kRefusedFor)
    alarms.push_back(MakeReason(ReasonCode::kAlarmFleetFull, fleet.refused_node(), Fleet::kNodesMax));
  if (!fleet.provider_error().empty()) {
    alarms.push_back(MakeReason(ReasonCode::kAlarmProvider, fleet.provider_operation(), fleet.provider_error()));
  }
}

}  // namespace headroom
