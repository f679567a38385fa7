#pragma once

#include <cstddef>
#include <iterator>

#include "controller/core/reason.h"

// The sentence of every reason, in one table, so that wording never breaks replay. For reason.cc alone.

namespace headroom {

struct ReasonRow {
  ReasonCode code;
  const char* name;
  const char* sentence;
};

// The facts about a cause read the same whether they rule it out or leave it open.
#define HR_FACTS_SURGE                                                                           \
  "[{taken%} of the connection slots are taken|the nodes have no connection limit], {rejected} " \
  "connections a second are rejected[, demand is {demand_ratio}x its usual|, and there is too "  \
  "little history to know the usual demand]."
#define HR_FACTS_RETRY_STORM                                                                      \
  "[there are {attempts} attempts for each request|the protocol does not count retries][ (usual " \
  "{usual_attempts})][; new connections are {arrivals_ratio}x and answers {answers_ratio}x their usual]."
#define HR_FACTS_BAD_DEPLOY                                                                                            \
  "[no server version or configuration changed in the last {window}|{changed%} of the nodes changed version or "       \
  "configuration {age} ago|no node tells its version][ (the newest is {newest} old)][; {errors_there%} of their "      \
  "answers are server errors][ (elsewhere or before: {errors_elsewhere%})][; half of them take less than {p50_there}]" \
  "[ (elsewhere or before: {p50_elsewhere})][; only {told%} of the nodes tell their version]."
#define HR_FACTS_SOFTWARE \
  "{errors_slots_free} of {answers} answers a second are server errors while slots are free, {errors} in all."
#define HR_FACTS_NETWORK                                                                            \
  "[{retransmits%} of the segments are retransmitted|no node can count retransmitted segments][ "   \
  "(usual {usual_retransmits%})][; the balancers report {failed_connects} failed connects a second" \
  "|; no balancer counts failed connects][, {failed_connects_slots_free} of them to nodes with "    \
  "free slots][; the network carries {answers_ratio}x the usual answers]."
#define HR_FACTS_SLOW_DISK                                                                         \
  "[a request spends {device} at the device|no node measures its device][ (usual "                 \
  "{usual_device})][; io stalls all work {io%} of the time][; half of the answers take less than " \
  "{p50}][ (usual {usual_p50})]."
#define HR_FACTS_CPU                                                                       \
  "[the servers use {cores%} of their cores|no node tells how many cores it has][ (usual " \
  "{usual_cores%})][; tasks wait for a core {stall%} of the time]."
#define HR_FACTS_HOT_NODE                                                                            \
  "[the busiest node, {node}, carries {demand} connections and the median node {median}|there is "   \
  "no second node to hold against][; the slowest has a median latency of {p50} and the median node " \
  "{median_p50}]."
#define HR_FACTS_CLIENT_LEAK                                                                     \
  "[the largest client holds {share%} of the open connections|clients cannot be told apart][; "  \
  "answers are {answers_ratio}x their usual][; {active%} of the open connections are active][; " \
  "{old%} have been idle for over a minute]."
#define HR_FACTS_REPORT_LOSS "{silent} of {nodes} nodes have been silent for more than {silent_after}."

inline constexpr ReasonRow kReasonRows[] = {
    {ReasonCode::kNone, "none", ""},
    // Limits.
    {ReasonCode::kLimitDemand, "limit_demand",
     "{node}: demand {demand} came near the limit {limit}; raised to {new_limit}[, as it rises to {projected} within "
     "two "
     "reports]."},
    {ReasonCode::kLimitCeiling, "limit_ceiling",
     "{node}: demand {demand} calls for a higher limit, but the ceiling of {ceiling} ({ceiling_name}) binds."},
    {ReasonCode::kLimitVeto, "limit_veto",
     "{node}: demand {demand} calls for a higher limit, but the node is unhealthy: {veto} is {value}, at most {bound} "
     "is healthy."},
    {ReasonCode::kLimitCut, "limit_cut",
     "{node}: limit cut from {limit} to {new_limit}: more than half full and unhealthy ({veto})."},
    {ReasonCode::kLimitRestore, "limit_restore",
     "{node}: healthy again; limit on its way back up, from {limit} to {new_limit}."},
    {ReasonCode::kLimitDecay, "limit_decay",
     "{node}: demand has long been low; limit on its way back down, from {limit} to {new_limit}."},
    {ReasonCode::kLimitRollBack, "limit_roll_back",
     "{node}: the raise to {limit} made things worse; rolled back to {new_limit} and remembered as bad."},
    {ReasonCode::kLimitFixed, "limit_fixed", "{node}: an operator fixed the limit at {limit}."},
    {ReasonCode::kLimitBudget, "limit_budget",
     "{node}: wants {wanted} connections and gets {granted}, its share of the budget of {budget}."},
    {ReasonCode::kLimitRenewed, "limit_renewed", "{node}: the lease on its limit of {limit} is renewed."},
    {ReasonCode::kShedRebalance, "shed_rebalance",
     "{node}: {count} idle connections are shed, as it holds {open} where a fair share is {fair_share}, so that newer "
     "nodes get traffic."},
    // Signals.
    {ReasonCode::kSignalConnections, "signal_connections",
     "Connections: a demand of {demand} at {per_node} a node, filled to {target%}, needs {nodes} nodes."},
    {ReasonCode::kSignalThroughput, "signal_throughput",
     "Throughput: {bytes#} a second at {bytes_per_node#} a node needs {nodes} nodes."},
    {ReasonCode::kSignalLatency, "signal_latency",
     "Latency: p99 of {p99} against an objective of {objective} calls for {nodes} nodes: one more, one fewer or the "
     "same."},
    {ReasonCode::kSignalForecast, "signal_forecast",
     "Forecast: a demand of {demand} is to be expected in {ahead}, more than {upper} only with a chance of {chance%}, "
     "which needs {nodes} nodes."},
    {ReasonCode::kSignalForecastLearns, "signal_forecast_learns",
     "Forecast: it has seen {slots} slots of demand, too few or too old to tell what comes, and asks for nothing."},
    {ReasonCode::kSignalUnknown, "signal_unknown",
     "{signal}: cannot tell, only {fresh} of {serving} serving nodes have reported lately."},
    {ReasonCode::kSignalNoNodes, "signal_no_nodes", "{signal}: cannot tell, no node serves."},
    {ReasonCode::kSignalBalancers, "signal_balancers",
     "{signal}: cannot tell, the balancers that hold the slots of {stale} of {serving} serving nodes are silent."},
    // Guards.
    {ReasonCode::kGuardHold, "guard_hold", "Scaling {direction} is held ({reason}) by {actor}."},
    {ReasonCode::kGuardOverride, "guard_override",
     "The number of nodes is overridden with {number} ({reason}) by {actor}."},
    {ReasonCode::kGuardUnknown, "guard_unknown", "No shrinking while the signal {signal} is unknown."},
    {ReasonCode::kGuardErrors, "guard_errors",
     "No shrinking while things go wrong: {errors} errors in {requests} requests a second."},
    {ReasonCode::kGuardStabilization, "guard_stabilization",
     "No shrinking below {nodes} nodes, which were wanted within the last {window}."},
    {ReasonCode::kGuardCooldown, "guard_cooldown", "No shrinking for another {remaining} after the last change."},
    {ReasonCode::kGuardForecast, "guard_forecast",
     "A demand of {demand} may come in {ahead}: {nodes} nodes are kept for it."},
    {ReasonCode::kGuardProjection, "guard_projection",
     "No shrinking to {nodes} nodes: they would be filled to {position%}, and with a tenth of slack that is above the "
     "target of "
     "{target%}."},
    {ReasonCode::kGuardStep, "guard_step", "At most {nodes} nodes in one step; the next step in {lead_time}."},
    {ReasonCode::kGuardRemoveStep, "guard_remove_step", "At most {nodes} nodes are removed at once."},
    {ReasonCode::kGuardRestarting, "guard_restarting",
     "No change in the number of nodes while {nodes} of them restart."},
    {ReasonCode::kGuardBackoff, "guard_backoff", "{failures} launches failed in a row; the next try in {remaining}."},
    {ReasonCode::kGuardData, "guard_data", "The data needs at least {floor} nodes."},
    {ReasonCode::kGuardBearing, "guard_bearing",
     "Nodes bear data and no driver can evacuate them: removal is only recommended."},
    {ReasonCode::kGuardMin, "guard_min", "The policy asks for at least {min} nodes."},
    {ReasonCode::kGuardMax, "guard_max", "The policy allows at most {max} nodes; {wanted} are wanted."},
    {ReasonCode::kGuardAboveMax, "guard_above_max",
     "There are {nodes} nodes, more than the policy's maximum of {max}: held, none is removed for that alone."},
    {ReasonCode::kGuardJournal, "guard_journal", "No shrinking while the journal fails: {error}"},
    {ReasonCode::kGuardWarm, "guard_warm",
     "No shrinking for another {remaining}: it has not been watched for long enough without a gap."},
    {ReasonCode::kGuardLost, "guard_lost",
     "No shrinking, and no replacing: {lost} of {nodes} nodes are lost at once, which says more of the reports than of "
     "the nodes."},
    // Actions.
    {ReasonCode::kLaunchForDemand, "launch_for_demand", "A node is launched, for {nodes} in all, as {signal} asks."},
    {ReasonCode::kDrainForDemand, "drain_for_demand",
     "{node} is drained, with {open} connections open: {nodes} nodes are enough."},
    {ReasonCode::kDrainByOperator, "drain_by_operator", "{node} is drained ({reason}) by {actor}."},
    {ReasonCode::kCancelDrain, "cancel_drain", "{node} is taken back from draining: {nodes} nodes are wanted again."},
    {ReasonCode::kCancelDrainByOperator, "cancel_drain_by_operator",
     "{node} is taken back from draining[ ({reason})] by {actor}."},
    {ReasonCode::kTerminateDrained, "terminate_drained", "{node} is empty and is terminated."},
    {ReasonCode::kTerminateDeadline, "terminate_deadline",
     "{node} still has {open} connections after draining for {timeout} and is terminated."},
    {ReasonCode::kTerminateGone, "terminate_gone",
     "{node} has not served within {timeout} of its launch; its machine is terminated."},
    {ReasonCode::kListDue, "list_due", "It is time to look at the provider's machines again."},
    {ReasonCode::kServersChanged, "servers_changed",
     "The balancers are told of {servers} servers, {draining} of them draining."},
    // Alarms.
    {ReasonCode::kAlarmAtMax, "alarm_at_max",
     "Capped at {max} nodes, {wanted} are wanted[; first to break: {first} in {left}|; {first} are exhausted|; nothing "
     "is about "
     "to break, the nearest are {nearest}, used to {used%}]."},
    {ReasonCode::kAlarmNodeLost, "alarm_node_lost", "{node} is lost: silent for {silent}."},
    {ReasonCode::kAlarmSignalUnknown, "alarm_signal_unknown", "The signal {signal} has been unknown for {unknown}."},
    {ReasonCode::kAlarmJournal, "alarm_journal", "The journal fails: {error}"},
    {ReasonCode::kAlarmProvider, "alarm_provider", "The provider failed to {operation}: {error}"},
    {ReasonCode::kAlarmLaunchStuck, "alarm_launch_stuck",
     "{node} was launched {since} ago and does not serve yet[; usually that takes {usual} at most]."},
    {ReasonCode::kAlarmForeignWriter, "alarm_foreign_writer",
     "{node}: somebody else set the limit to {limit}, where {granted} was granted."},
    {ReasonCode::kAlarmFloorsExceedBudget, "alarm_floors_exceed_budget",
     "The floors of the nodes add up to {floors} connections, more than the budget of {budget}."},
    {ReasonCode::kAlarmCeiling, "alarm_ceiling",
     "{node}: demand presses on the {ceiling_name} ceiling of {ceiling} connections."},
    {ReasonCode::kAlarmFleetFull, "alarm_fleet_full", "{node} is refused: {max} nodes are known already."},
    // Diagnosis.
    {ReasonCode::kDiagnosisNone, "diagnosis_none",
     "Nothing is wrong[: {taken%} of {limit} connection slots are taken][, {errors%} of the answers are server "
     "errors][, half of them take less than {p50}]."},
    {ReasonCode::kDiagnosisCannotTell, "diagnosis_cannot_tell",
     "Something is wrong, but no cause stands out: [{taken%} of the connection slots are taken, ]{rejected} "
     "connections "
     "a second are rejected[, {errors%} of the answers are server errors][, p50 is {p50_ratio}x its usual][; the "
     "likeliest cause is {likeliest}, with {score%} of what would prove it][; {down} of {nodes} nodes are down]."},
    {ReasonCode::kDiagnosisSurge, "diagnosis_surge",
     "[Connection limits are exhausted by a surge: {at_limit} of {nodes} nodes are at their limit|A surge presses "
     "on the connection limits of {nodes} nodes], {open} of {limit} connections are taken and {waiting} more "
     "wait[; demand is {demand_ratio}x its usual][, new connections are {arrivals_ratio}x][, answers "
     "{answers_ratio}x][, while only {active%} of the connections are active][ and half of the admitted requests are "
     "answered within {p50}][ (usual {usual_p50})]."},
    {ReasonCode::kDiagnosisRetryStorm, "diagnosis_retry_storm",
     "A retry storm: [each request is tried {attempts} times|retries are not counted by the protocol, but the pattern "
     "is "
     "theirs][ (usual {usual_attempts})][; first attempts are {first_ratio}x their usual][; new connections are "
     "{arrivals_ratio}x][ and answers {answers_ratio}x][; {rejected} connections a second are rejected]."},
    {ReasonCode::kDiagnosisBadDeploy, "diagnosis_bad_deploy",
     "A bad deploy: {version} came to {changed%} of the nodes {age} ago[; {errors_there%} of their answers are server "
     "errors][ (elsewhere or before: {errors_elsewhere%})][; half of them take less than {p50_there}][ (elsewhere or "
     "before: {p50_elsewhere})]."},
    {ReasonCode::kDiagnosisSoftware, "diagnosis_software",
     "The software fails: {errors_slots_free} of {answers} answers a second are server errors while slots are free[ "
     "(usual {usual_errors%})]; no recent deploy explains it[, and only {taken%} of the connection slots are taken]."},
    {ReasonCode::kDiagnosisNetwork, "diagnosis_network",
     "The network loses packets or connections[: {retransmits%} of the segments are retransmitted][ (usual "
     "{usual_retransmits%})][; {failed_connects_slots_free} connects a second fail to nodes with free slots][; only "
     "{taken%} of the connection slots are taken]."},
    {ReasonCode::kDiagnosisSlowDisk, "diagnosis_slow_disk",
     "The storage device[ of {node}] is slow[: a request spends {device} there][ (usual {usual_device})][; half of the "
     "answers "
     "take "
     "{p50} or more][ (usual {usual_p50})][; io stalls all work {io%} of the time][; {active%} of the open connections "
     "are active, waiting for it]."},
    {ReasonCode::kDiagnosisCpu, "diagnosis_cpu",
     "The servers are short of CPU[: they use {cores%} of their cores][ (usual {usual_cores%})][; tasks wait for a "
     "core "
     "{stall%} of the time][; half of the answers take {p50} or more][ (usual {usual_p50})]."},
    {ReasonCode::kDiagnosisHotNode, "diagnosis_hot_node",
     "One node is hot: {node} carries {demand} connections where the median node carries {median}[; it answers in "
     "{p50}, "
     "the median node in {median_p50}][; it rejects {rejected} connections a second]."},
    {ReasonCode::kDiagnosisClientLeak, "diagnosis_client_leak",
     "A client leaks keep-alive connections[: {client} holds {share%} of them]; {open} of {limit} slots are taken[, "
     "{demand_ratio}x the usual demand][, while answers are {answers_ratio}x their usual][ and {active%} of the "
     "connections are active][; {old%} have been idle for over a minute]."},
    {ReasonCode::kDiagnosisReportLoss, "diagnosis_report_loss",
     "Reports are lost: {silent} of {nodes} nodes have been silent for more than {silent_after}[, and for the "
     "balancers "
     "{up} of these are up]; that says nothing about the nodes themselves, and nothing is shrunk on it."},
    // Evidence against.
    {ReasonCode::kNotSurge, "not_surge", "Not a surge: " HR_FACTS_SURGE},
    {ReasonCode::kNotRetryStorm, "not_retry_storm", "Not a retry storm: " HR_FACTS_RETRY_STORM},
    {ReasonCode::kNotBadDeploy, "not_bad_deploy", "Not a deploy: " HR_FACTS_BAD_DEPLOY},
    {ReasonCode::kNotSoftware, "not_software", "Not the software: " HR_FACTS_SOFTWARE},
    {ReasonCode::kNotNetwork, "not_network", "Not the network: " HR_FACTS_NETWORK},
    {ReasonCode::kNotSlowDisk, "not_slow_disk", "Not a slow disk: " HR_FACTS_SLOW_DISK},
    {ReasonCode::kNotCpu, "not_cpu", "Not the CPU: " HR_FACTS_CPU},
    {ReasonCode::kNotHotNode, "not_hot_node", "Not a hot node: " HR_FACTS_HOT_NODE},
    {ReasonCode::kNotClientLeak, "not_client_leak", "Not a leaking client: " HR_FACTS_CLIENT_LEAK},
    {ReasonCode::kNotReportLoss, "not_report_loss", "Not lost reports: " HR_FACTS_REPORT_LOSS},
    {ReasonCode::kMaybeSurge, "maybe_surge", "A surge is not ruled out: " HR_FACTS_SURGE},
    {ReasonCode::kMaybeRetryStorm, "maybe_retry_storm", "A retry storm is not ruled out: " HR_FACTS_RETRY_STORM},
    {ReasonCode::kMaybeBadDeploy, "maybe_bad_deploy", "A deploy is not ruled out: " HR_FACTS_BAD_DEPLOY},
    {ReasonCode::kMaybeSoftware, "maybe_software", "The software is not ruled out: " HR_FACTS_SOFTWARE},
    {ReasonCode::kMaybeNetwork, "maybe_network", "The network is not ruled out: " HR_FACTS_NETWORK},
    {ReasonCode::kMaybeSlowDisk, "maybe_slow_disk", "A slow disk is not ruled out: " HR_FACTS_SLOW_DISK},
    {ReasonCode::kMaybeCpu, "maybe_cpu", "The CPU is not ruled out: " HR_FACTS_CPU},
    {ReasonCode::kMaybeHotNode, "maybe_hot_node", "A hot node is not ruled out: " HR_FACTS_HOT_NODE},
    {ReasonCode::kMaybeClientLeak, "maybe_client_leak", "A leaking client is not ruled out: " HR_FACTS_CLIENT_LEAK},
    {ReasonCode::kMaybeReportLoss, "maybe_report_loss", "Lost reports are not ruled out: " HR_FACTS_REPORT_LOSS},
    // Remedies.
    {ReasonCode::kRemedyNone, "remedy_none", "Nothing is to be done."},
    {ReasonCode::kRemedyLook, "remedy_look",
     "A person should look; meanwhile limits follow demand up to their ceilings and nothing is shrunk."},
    {ReasonCode::kRemedyRaiseLimits, "remedy_raise_limits",
     "Shorten the idle timeout, raise the connection limits along demand up to their ceilings, and add nodes for what "
     "lasts."},
    {ReasonCode::kRemedyRetryBudget, "remedy_retry_budget",
     "Give the clients a retry budget and jittered backoff; raise the limits so that first attempts get in; more nodes "
     "alone do not end it."},
    {ReasonCode::kRemedyRollBackDeploy, "remedy_roll_back_deploy",
     "Roll back {version}; neither limits nor nodes help."},
    {ReasonCode::kRemedySoftware, "remedy_software",
     "Look at the server's error log and at what it depends on; neither limits nor nodes help."},
    {ReasonCode::kRemedyNetwork, "remedy_network",
     "Look at the links, switches and firewalls between clients, balancers and nodes; neither limits nor nodes help."},
    {ReasonCode::kRemedySlowDisk, "remedy_slow_disk",
     "Look at the device and at what else uses it; hold the limits, as more work in flight makes it slower."},
    {ReasonCode::kRemedyAddNodes, "remedy_add_nodes",
     "Add nodes or cores; higher limits would only make the queue for the CPU longer."},
    {ReasonCode::kRemedyRebalance, "remedy_rebalance",
     "Shed idle connections at {node} and look at how the balancers spread the load; more nodes do not help."},
    {ReasonCode::kRemedyClient, "remedy_client",
     "Shorten the idle timeout, shed the oldest idle connections, and mend the client[ {client}]."},
    {ReasonCode::kRemedyReports, "remedy_reports",
     "Look at the path between the reporters and the controller; nothing is shrunk until reports are back."},
    // What came later.
    {ReasonCode::kSignalCalendar, "signal_calendar",
     "Calendar: {name} [begins in {begins_in}|has begun][; it brings {multiplied}x the usual demand of {usual}][; a "
     "demand of {demand} is to be expected]: it needs {nodes} nodes."},
    {ReasonCode::kSignalCalendarIdle, "signal_calendar_idle", "Calendar: nothing is due[; {next} is next]."},
    {ReasonCode::kSignalInFlight, "signal_in_flight",
     "In flight: {requests} requests in service at {per_node} a node, filled to {target%}, need {nodes} nodes."},
    {ReasonCode::kSignalStored, "signal_stored",
     "Stored: {bytes#} at {bytes_per_node#} a node, filled to {target%}, need {nodes} nodes."},
    {ReasonCode::kSignalHotNodes, "signal_hot_nodes",
     "Hot nodes: the p95 node is filled to {hot%} and the mean one to {mean%}; to bring the p95 node to {at%} it needs "
     "{nodes} nodes."},
    {ReasonCode::kSignalHotNodesIdle, "signal_hot_nodes_idle",
     "Hot nodes: no load, or new nodes are still filling; it asks for nothing."},
    {ReasonCode::kSignalHotNodesSkewed, "signal_hot_nodes_skewed",
     "Hot nodes: the p95 node is filled to {hot%}, over {at%}, and the mean one only to {mean%}: the load must be "
     "spread anew, as new nodes alone would stay cold; it asks for {nodes} nodes."},
    {ReasonCode::kLearnsWindow, "learns_window", "Window: {remaining} more before anything may be removed."},
    {ReasonCode::kLearnsLeadTime, "learns_lead_time",
     "Lead time: fewer than two launches were seen, the policy's {lead_time} is taken."},
    {ReasonCode::kLearnsLatency, "learns_latency", "Usual latency: known of {known} of {nodes} nodes."},
    {ReasonCode::kLearnsForecast, "learns_forecast", "Forecast: {remaining} more; it has seen {slots} slots."},
    {ReasonCode::kGuardNewcomers, "guard_newcomers",
     "No shrinking while {nodes} nodes that were not launched here began to serve within {window}: a rolling update "
     "may "
     "be about to stop the old ones."},
    {ReasonCode::kGuardRatchet, "guard_ratchet",
     "{asked} nodes are under way, asked for up to {since} ago, and none has arrived since: no more are asked for."},
    {ReasonCode::kAlarmDrainStuck, "alarm_drain_stuck",
     "{node} has been draining for {since}, where {usual} is usual; {open} connections are open."},
    {ReasonCode::kSignalSurge, "signal_surge",
     "Surge: demand rose to {demand} from {before} in {ahead}, {sigmas} deviations beyond what its past knows; if that "
     "goes "
     "on, {demand_ahead} need {nodes} nodes."},
    {ReasonCode::kSignalNoSurge, "signal_no_surge", "Surge: demand does not rise beyond what its past knows."},
    {ReasonCode::kSignalSurprise, "signal_surprise",
     "Forecast: a demand of {demand} is beyond the {upper} that its past allows for now; it grew by {growth} in "
     "{lead}, and if it grows on {nodes} nodes are needed."},
    {ReasonCode::kGuardAnomaly, "guard_anomaly",
     "No shrinking for another {remaining} at most: {series} ({kind}): {seen} where {expected} is usual[, at {node}]."},
    {ReasonCode::kAlarmAnomaly, "alarm_anomaly",
     "Unusual: {series} ({kind}): {seen} where {expected} is usual, {sigmas} standard deviations apart[, at {node}]; "
     "score "
     "{score}."},
    {ReasonCode::kGuardComing, "guard_coming",
     "No node that serves is removed for {coming} that are still to come or to be heard."},
    {ReasonCode::kGuardUnfilled, "guard_unfilled",
     "{nodes} nodes count by the data that they have received: {missing} less in all, so {needed} are needed."},
    {ReasonCode::kGuardFits, "guard_fits", "{bytes#} are stored: they fit on {nodes} nodes at least."},
    {ReasonCode::kLearnsSurge, "learns_surge", "Surge: {remaining} more before a rise of demand is judged."},
    {ReasonCode::kDiagnosisImbalance, "diagnosis_imbalance",
     "The load is out of balance: {idle} of {nodes} nodes get nothing to do; {node} has served for {since} while each "
     "of the "
     "others answers {answers} requests a second."},
    {ReasonCode::kNotImbalance, "not_imbalance",
     "Not an imbalance: {idle} of {nodes} nodes came lately and get nothing to do."},
    {ReasonCode::kMaybeImbalance, "maybe_imbalance",
     "An imbalance is not ruled out: {idle} of {nodes} nodes came lately and get nothing to do."},
    {ReasonCode::kRemedyBalancer, "remedy_balancer",
     "Tell whoever spreads the load of {node}, or shed connections at the others; more nodes do not help."},
    {ReasonCode::kGuardPaid, "guard_paid",
     "{nodes} nodes were launched less than {paid_min} ago: they are paid anyway, and stay."},
    {ReasonCode::kGuardIdle, "guard_idle",
     "Too many nodes by {nodes}, which have not idled for long enough to be worth a change: {remaining} to go."},
    {ReasonCode::kGuardTogether, "guard_together",
     "As nodes are launched anyway, they are the {nodes} that a demand of {demand} within {ahead} may need."},
};

#undef HR_FACTS_SURGE
#undef HR_FACTS_RETRY_STORM
#undef HR_FACTS_BAD_DEPLOY
#undef HR_FACTS_SOFTWARE
#undef HR_FACTS_NETWORK
#undef HR_FACTS_SLOW_DISK
#undef HR_FACTS_CPU
#undef HR_FACTS_HOT_NODE
#undef HR_FACTS_CLIENT_LEAK
#undef HR_FACTS_REPORT_LOSS

constexpr bool ReasonRowsInOrder() {
  size_t i = 0;
  for (const ReasonRow& row : kReasonRows) {
    if (static_cast<size_t>(row.code) != i++) return false;
  }
  return true;
}
static_assert(std::size(kReasonRows) == static_cast<size_t>(ReasonCode::kCount), "every code has a row");
static_assert(ReasonRowsInOrder(), "rows stand in the order of the codes");

}  // namespace headroom
