#include "controller/server/convert.h"

namespace headroom {
namespace {

constexpr absl::Duration kRatesOver = absl::Seconds(2);

void SetArgument(const ReasonArgument& in, v1::Argument* out) {
  if (const auto* number = std::get_if<double>(&in)) {
    out->set_number(*number);
  } else if (const auto* text = std::get_if<std::string>(&in)) {
    out->set_text(*text);
  } else {
    SetDuration(std::get<absl::Duration>(in), out->mutable_duration());
  }
}

bool IsFinite(absl::Time time) {
  return time != absl::InfinitePast() && time != absl::InfiniteFuture();
}

v1::Demand ToWire(const Demand& demand, Rendering rendering) {
  v1::Demand out;
  out.set_signal(demand.signal);
  if (demand.node_count.has_value()) out.set_node_count(*demand.node_count);
  *out.mutable_reason() = ToWire(demand.reason, rendering);
  return out;
}

v1::Verdict ToWire(const Verdict& verdict, Rendering rendering) {
  v1::Verdict out;
  out.set_guard(verdict.guard);
  if (verdict.at_least.has_value()) out.set_at_least(*verdict.at_least);
  if (verdict.at_most.has_value()) out.set_at_most(*verdict.at_most);
  out.set_before(verdict.before);
  out.set_after(verdict.after);
  *out.mutable_reason() = ToWire(verdict.reason, rendering);
  return out;
}

v1::LimitDecision ToWire(const LimitDecision& limit, Rendering rendering) {
  v1::LimitDecision out;
  out.set_node_id(limit.node);
  out.set_before(limit.before);
  out.set_after(limit.after);
  SetDuration(limit.idle_timeout, out.mutable_idle_timeout());
  const absl::string_view ceiling = CeilingName(limit.bound_by);
  out.set_bound_by(ceiling.data(), ceiling.size());
  *out.mutable_reason() = ToWire(limit.reason, rendering);
  return out;
}

v1::Action ToWire(const Action& action, Rendering rendering) {
  v1::Action out;
  out.set_action_id(action.id);
  const absl::string_view kind = ActionKind(action);
  out.set_kind(kind.data(), kind.size());
  out.set_node_id(action.node);
  out.set_term(action.term);
  *out.mutable_reason() = ToWire(action.reason, rendering);
  return out;
}

v1::HoldDirection ToWire(HoldDirection direction) {
  switch (direction) {
    case HoldDirection::kUp:
      return v1::HOLD_DIRECTION_UP;
    case HoldDirection::kDown:
      return v1::HOLD_DIRECTION_DOWN;
    case HoldDirection::kBoth:
      return v1::HOLD_DIRECTION_BOTH;
    case HoldDirection::kNone:
      break;
  }
  return v1::HOLD_DIRECTION_UNSPECIFIED;
}

bool IsSilent(const Node& node, const Policy& policy, absl::Time now) {
  return node.state == NodeState::kServing && now - node.last_report_at > policy.control.silent_after;
}

void SetRates(const Node& node, v1::Node* out) {
  const NodeRates rates = node.counters.Rates(kRatesOver);
  if (rates.seconds <= 0) return;
  out->set_requests_per_second(rates.completed);
  out->set_errors_per_second(rates.errors);
  out->set_rejections_per_second(rates.rejected);
  const LatencyHistogram latency = node.counters.LatencyOver(kRatesOver);
  if (latency.Total() == 0) return;
  SetDuration(latency.Quantile(0.5), out->mutable_latency_p50());
  SetDuration(latency.Quantile(0.99), out->mutable_latency_p99());
}

}  // namespace

v1::Mode ToWire(Mode mode) {
  return mode == Mode::kLive ? v1::MODE_LIVE : v1::MODE_DRY_RUN;
}

v1::Reason ToWire(const Reason& reason, Rendering rendering) {
  v1::Reason out;
  if (reason.code == ReasonCode::kNone) return out;
  const absl::string_view code = ReasonName(reason.code);
  out.set_code(code.data(), code.size());
  const std::vector<std::string> names = ReasonArgumentNames(reason.code);
  for (size_t i = 0; i < reason.arguments.size(); ++i) {
    v1::Argument* argument = out.add_arguments();
    if (i < names.size()) argument->set_name(names[i]);
    SetArgument(reason.arguments[i], argument);
  }
  if (rendering == Rendering::kSentences) out.set_text(RenderReason(reason));
  return out;
}

v1::Diagnosis ToWire(const Diagnosis& diagnosis, Rendering rendering) {
  v1::Diagnosis out;
  const absl::string_view cause = CauseName(diagnosis.cause);
  out.set_cause(cause.data(), cause.size());
  out.set_confidence(diagnosis.confidence);
  if (IsFinite(diagnosis.since)) SetTime(diagnosis.since, out.mutable_since_time());
  *out.mutable_reason() = ToWire(diagnosis.reason, rendering);
  for (const Reason& reason : diagnosis.ruled_out) *out.add_ruled_out() = ToWire(reason, rendering);
  if (diagnosis.remedy.code != ReasonCode::kNone) *out.mutable_remedy() = ToWire(diagnosis.remedy, rendering);
  return out;
}

v1::Decision ToWire(const Decision& decision, Rendering rendering) {
  v1::Decision out;
  out.set_sequence(decision.sequence);
  SetTime(decision.at, out.mutable_time());
  out.set_term(decision.term);
  out.set_mode(ToWire(decision.mode));
  out.set_serving_count(decision.serving_count);
  out.set_effective_count(decision.effective_count);
  out.set_desired_count(decision.desired_count);
  for (const Demand& demand : decision.demands) *out.add_demands() = ToWire(demand, rendering);
  for (const Verdict& verdict : decision.verdicts) *out.add_verdicts() = ToWire(verdict, rendering);
  for (const LimitDecision& limit : decision.limits) *out.add_limits() = ToWire(limit, rendering);
  *out.mutable_diagnosis() = ToWire(decision.diagnosis, rendering);
  for (const Action& action : decision.actions) *out.add_actions() = ToWire(action, rendering);
  for (const Reason& alarm : decision.alarms) *out.add_alarms() = ToWire(alarm, rendering);
  if (IsFinite(decision.next_tick)) SetTime(decision.next_tick, out.mutable_next_tick_time());
  return out;
}

v1::Node ToWire(const Node& node, const Policy& policy, absl::Time now) {
  v1::Node out;
  out.set_node_id(node.id);
  const absl::string_view state = IsSilent(node, policy, now) ? "silent" : NodeStateName(node.state);
  out.set_state(state.data(), state.size());
  if (IsFinite(node.state_since)) SetTime(node.state_since, out.mutable_state_time());
  out.set_address(node.hello.address);
  out.set_zone(node.zone);
  out.set_server_version(node.hello.server_version);
  out.set_open_count(node.report.open_count);
  out.set_active_count(node.report.active_count);
  out.set_waiting_count(node.WaitingCount());
  out.set_limit_count(node.report.limits.connection_count_max);
  out.set_granted_count(node.granted_count);
  out.set_bound_by(node.report.limits.bound_by);
  SetRates(node, &out);
  if (node.last_report_at != absl::InfinitePast()) {
    SetDuration(std::max(absl::ZeroDuration(), now - node.last_report_at), out.mutable_report_age());
  }
  out.set_pinned(node.pinned);
  out.set_hypothetical(node.hypothetical);
  SetDuration(node.report.limits.idle_timeout, out.mutable_idle_timeout());
  out.set_limit_fixed(node.fixed.count > 0 && node.fixed.until > now);
  return out;
}

v1::Trial ToWire(const Trial& trial) {
  v1::Trial out;
  if (IsFinite(trial.since)) SetTime(trial.since, out.mutable_since_time());
  out.set_decision_count(trial.decisions);
  out.set_launch_count(trial.launches);
  out.set_removal_count(trial.removals);
  out.set_return_count(trial.returns);
  out.set_raise_count(trial.raises);
  out.set_cut_count(trial.cuts);
  out.set_shed_count(trial.sheds);
  out.set_nodes_least(trial.nodes_least);
  out.set_nodes_most(trial.nodes_most);
  out.set_largest_sequence(trial.largest.sequence);
  if (IsFinite(trial.largest.at)) SetTime(trial.largest.at, out.mutable_largest_time());
  out.set_largest_before(trial.largest.before);
  out.set_largest_after(trial.largest.after);
  return out;
}

v1::Hold ToWire(const HoldChanged& hold) {
  v1::Hold out;
  out.set_direction(ToWire(hold.direction));
  out.set_reason(hold.reason);
  if (IsFinite(hold.until)) SetTime(hold.until, out.mutable_expire_time());
  out.set_actor(hold.actor);
  return out;
}

v1::Override ToWire(const OverrideSet& override_set) {
  v1::Override out;
  out.set_nodes_min(override_set.nodes_min);
  out.set_nodes_max(override_set.nodes_max);
  out.set_nodes(override_set.nodes);
  out.set_reason(override_set.reason);
  if (IsFinite(override_set.until)) SetTime(override_set.until, out.mutable_expire_time());
  out.set_actor(override_set.actor);
  return out;
}

v1::LimitGrant ToWire(const GrantLimits& grant) {
  v1::LimitGrant out;
  out.set_grant_id(grant.grant_id);
  out.set_connection_count_max(grant.connection_count_max);
  if (grant.idle_timeout > absl::ZeroDuration()) SetDuration(grant.idle_timeout, out.mutable_idle_timeout());
  SetDuration(grant.lease, out.mutable_lease());
  out.set_floor_count(grant.floor_count);
  out.set_ceiling_count(grant.ceiling_count);
  return out;
}

v1::Shed ToWire(const ShedConnections& shed) {
  v1::Shed out;
  out.set_connection_count(shed.connection_count);
  SetDuration(shed.idle_min, out.mutable_idle_min());
  return out;
}

v1::ServerTarget ToWire(const ServerTarget& target) {
  v1::ServerTarget out;
  out.set_node_id(target.node);
  out.set_address(target.address);
  out.set_check_address(target.check_address);
  out.set_draining(target.draining);
  out.set_session_count_max(target.session_count_max);
  return out;
}

}  // namespace headroom
