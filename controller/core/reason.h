#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Reasons are data: whoever changes, allows or refuses a number says so with a code and typed arguments. The text is
// rendered at the edge from one table (reason.cc), so wording never changes a replay.

namespace headroom {

// A stable code; its name, sentence and argument names stand in the table in reason.cc, in this order.
enum class ReasonCode : uint16_t {
  kNone,
  // Limits.
  kLimitDemand,    // node, demand, limit, new limit, [demand two reports on]
  kLimitCeiling,   // node, demand, ceiling, ceiling name
  kLimitVeto,      // node, demand, veto name, value, bound
  kLimitCut,       // node, limit, new limit, veto name
  kLimitRestore,   // node, limit, new limit
  kLimitDecay,     // node, limit, new limit
  kLimitRollBack,  // node, limit, new limit
  kLimitFixed,     // node, limit
  kLimitBudget,    // node, wanted, granted, budget
  kLimitRenewed,   // node, limit
  kShedRebalance,  // node, count, open, fair share
  // Signals.
  kSignalConnections,     // demand, per node, target, nodes
  kSignalThroughput,      // bytes per second, bytes per node, nodes
  kSignalLatency,         // p99, objective, nodes
  kSignalForecast,        // demand, ahead, demand at most, chance of more, nodes
  kSignalForecastLearns,  // slots seen
  kSignalUnknown,         // signal, fresh nodes, serving nodes
  kSignalNoNodes,         // signal
  kSignalBalancers,       // signal, nodes behind silent balancers, serving nodes
  // Guards.
  kGuardHold,           // direction, reason, actor
  kGuardOverride,       // number, reason, actor
  kGuardUnknown,        // signal
  kGuardErrors,         // errors per second, requests per second
  kGuardStabilization,  // nodes, window
  kGuardCooldown,       // remaining
  kGuardForecast,       // demand, ahead, nodes
  kGuardProjection,     // nodes, position after, target
  kGuardStep,           // nodes, lead time
  kGuardRemoveStep,     // nodes at once
  kGuardRestarting,     // nodes restarting
  kGuardBackoff,        // failures, remaining
  kGuardData,           // floor
  kGuardBearing,        // nothing
  kGuardMin,            // min
  kGuardMax,            // max, wanted
  kGuardAboveMax,       // nodes, max
  kGuardJournal,        // error
  kGuardWarm,           // remaining
  kGuardLost,           // lost nodes, nodes
  // Actions.
  kLaunchForDemand,        // nodes after, signal
  kDrainForDemand,         // node, open connections, nodes after
  kDrainByOperator,        // node, reason, actor
  kCancelDrain,            // node, nodes wanted
  kCancelDrainByOperator,  // node, [reason], actor
  kTerminateDrained,       // node
  kTerminateDeadline,      // node, open connections, timeout
  kTerminateGone,          // node
  kListDue,                // nothing
  kServersChanged,         // servers, draining
  // Alarms.
  kAlarmAtMax,               // max, wanted, [first to break], [in], [nearest to break], [its use]
  kAlarmNodeLost,            // node, silent for
  kAlarmSignalUnknown,       // signal, unknown for
  kAlarmJournal,             // error
  kAlarmProvider,            // operation, error
  kAlarmLaunchStuck,         // node, since, [usual time]
  kAlarmForeignWriter,       // node, limit, granted
  kAlarmFloorsExceedBudget,  // floors, budget
  kAlarmCeiling,             // node, ceiling name, ceiling
  kAlarmFleetFull,           // node, most nodes
  // Diagnosis. Arguments in [] may be absent (an empty string): their clause is left out of the sentence.
  kDiagnosisNone,        // [slots taken], [limit], [errors], [p50]
  kDiagnosisCannotTell,  // [slots taken], rejections/s, [errors], [p50 ratio], [likeliest cause], [its score],
                         // [nodes down], [nodes]
  kDiagnosisSurge,       // [nodes at limit], nodes, open, limit, waiting, [demand ratio], [new connections ratio],
                         // [answers ratio], [active share], [p50], [usual p50]
  kDiagnosisRetryStorm,  // [attempts per request], [its usual], [first attempts ratio], [new connections ratio],
                         // [answers ratio], rejections/s
  kDiagnosisBadDeploy,   // version, changed share, age, [errors there], [errors elsewhere or before], [p50 there], [p50
                         // elsewhere or before]
  kDiagnosisSoftware,    // errors/s while slots free, answers/s, [usual error ratio], slots taken
  kDiagnosisNetwork,     // [retransmit ratio], [its usual], [failed connects/s to nodes with free slots], [slots taken]
  kDiagnosisSlowDisk,    // [node], [device latency], [its usual], [p50], [usual p50], [io stall], [active share]
  kDiagnosisCpu,         // [cores used], [its usual], [cpu stall], [p50], [usual p50]
  kDiagnosisHotNode,     // node, its demand, median demand, [its p50], [median p50], [its rejections/s]
  kDiagnosisClientLeak,  // [client], [its share], open, limit, [demand ratio], [answers ratio], [active share],
                         // [share idle for over a minute]
  kDiagnosisReportLoss,  // silent nodes, nodes, silent after, [up for the balancers]
  // Evidence against a cause: kNot rules it out, kMaybe cannot. Both have the same arguments, in the order of the
  // causes above.
  kNotSurge,       // [slots taken], rejections/s, [demand ratio]
  kNotRetryStorm,  // [attempts per request], [its usual], [new connections ratio], [answers ratio]
  kNotBadDeploy,   // [window in which nothing changed], [changed share], [age of the change], [age of the newest],
                   // [errors there], [errors elsewhere or before], [p50 there], [p50 elsewhere or before], [told share]
  kNotSoftware,    // errors/s while slots free, answers/s, errors/s
  kNotNetwork,     // [retransmit ratio], [its usual], [failed connects/s], [of them to nodes with free slots],
                   // [answers ratio]
  kNotSlowDisk,    // [device latency], [its usual], [io stall], [p50], [usual p50]
  kNotCpu,         // [cores used], [its usual], [cpu stall]
  kNotHotNode,     // [node], [its demand], [median demand], [its p50], [median p50]
  kNotClientLeak,  // [largest client's share], [answers ratio], [active share], [share idle for over a minute]
  kNotReportLoss,  // silent nodes, nodes, silent after
  kMaybeSurge,
  kMaybeRetryStorm,
  kMaybeBadDeploy,
  kMaybeSoftware,
  kMaybeNetwork,
  kMaybeSlowDisk,
  kMaybeCpu,
  kMaybeHotNode,
  kMaybeClientLeak,
  kMaybeReportLoss,
  // Remedies.
  kRemedyNone,            // nothing
  kRemedyLook,            // nothing
  kRemedyRaiseLimits,     // nothing
  kRemedyRetryBudget,     // nothing
  kRemedyRollBackDeploy,  // version
  kRemedySoftware,        // nothing
  kRemedyNetwork,         // nothing
  kRemedySlowDisk,        // nothing
  kRemedyAddNodes,        // nothing
  kRemedyRebalance,       // node
  kRemedyClient,          // [client]
  kRemedyReports,         // nothing
  // What came later. Codes are saved by their number, so new ones are added here, whatever they belong to.
  kSignalCalendar,        // name, [begins in], [multiplied by], [usual demand], [demand], nodes
  kSignalCalendarIdle,    // [name of the next]
  kSignalInFlight,        // requests in service, per node, target, nodes
  kSignalStored,          // bytes, bytes per node, target, nodes
  kSignalHotNodes,        // p95 position, mean, at, nodes
  kSignalHotNodesIdle,    // nothing
  kSignalHotNodesSkewed,  // p95 position, mean, at, nodes
  kLearnsWindow,          // remaining
  kLearnsLeadTime,        // lead time that is taken meanwhile
  kLearnsLatency,         // nodes known, nodes
  kLearnsForecast,        // remaining, slots seen
  kGuardNewcomers,        // nodes, window
  kGuardRatchet,          // nodes asked for, since
  kAlarmDrainStuck,       // node, since, usual time, open connections
  kSignalSurge,           // demand, demand before, how long before, deviations, demand ahead, nodes
  kSignalNoSurge,         // nothing
  kSignalSurprise,        // demand, what was held possible, growth, lead time, nodes
  kGuardAnomaly,          // remaining, series, kind, seen, expected, [node]
  kAlarmAnomaly,          // series, kind, seen, expected, deviations, [node], score
  kGuardComing,           // nodes to come or to be heard
  kGuardUnfilled,         // nodes, what they lack in nodes, nodes that are needed
  kGuardFits,             // bytes, nodes
  kLearnsSurge,           // remaining
  kDiagnosisImbalance,    // idle nodes, nodes, one of them, for how long, answers a second of each other one
  kNotImbalance,          // idle nodes, nodes
  kMaybeImbalance,        // the same
  kRemedyBalancer,        // node
  kGuardPaid,             // nodes, for how long each is paid at least
  kGuardIdle,             // nodes too many, remaining
  kGuardTogether,         // demand, within, nodes
  kCount,
};

using ReasonArgument = std::variant<double, std::string, absl::Duration>;

struct Reason {
  ReasonCode code = ReasonCode::kNone;
  std::vector<ReasonArgument> arguments;  // in the order of the sentence's placeholders

  bool operator==(const Reason&) const = default;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("code", self.code);
    visit("arguments", self.arguments);
  }
};

// MakeReason(ReasonCode::kLimitDemand, node, demand, before, after): numbers become double, strings stay.
inline ReasonArgument ToArgument(const ReasonArgument& value) {
  return value;
}
inline ReasonArgument ToArgument(double value) {
  return value;
}
inline ReasonArgument ToArgument(int64_t value) {
  return static_cast<double>(value);
}
inline ReasonArgument ToArgument(int value) {
  return static_cast<double>(value);
}
inline ReasonArgument ToArgument(size_t value) {
  return static_cast<double>(value);
}
inline ReasonArgument ToArgument(absl::Duration value) {
  return value;
}
// What is not known is an empty string.
inline ReasonArgument ToArgument(const std::optional<double>& value) {
  return value ? ReasonArgument(*value) : ReasonArgument(std::string());
}
inline ReasonArgument ToArgument(const std::optional<absl::Duration>& value) {
  return value ? ReasonArgument(*value) : ReasonArgument(std::string());
}
inline ReasonArgument ToArgument(absl::string_view value) {
  return std::string(value);
}
inline ReasonArgument ToArgument(const std::string& value) {
  return value;
}
inline ReasonArgument ToArgument(const char* value) {
  return std::string(value);
}

template <typename... Values>
Reason MakeReason(ReasonCode code, const Values&... values) {
  Reason reason{code, {}};
  reason.arguments.reserve(sizeof...(values));
  (reason.arguments.push_back(ToArgument(values)), ...);
  return reason;
}

// Stable name in lower_snake_case: the label in metrics and the `code` on the wire.
absl::string_view ReasonName(ReasonCode code);
// The code of a name; kNone when there is none.
ReasonCode ReasonOfName(absl::string_view name);
// The sentence with {placeholders}; the arguments stand in the order in which their names appear first. {name%} shows a
// ratio in percent, {name#} bytes with their unit. [a clause|another] shows the first one whose arguments are all
// there; where none is, the last of several or nothing.
absl::string_view ReasonSentence(ReasonCode code);
// Names of the placeholders in order, without their marks.
std::vector<std::string> ReasonArgumentNames(ReasonCode code);
// The sentence with its arguments filled in: for people only. Numbers have three significant digits, and all of them
// from 100 on; a missing argument outside of a clause shows as "?".
std::string RenderReason(const Reason& reason);

}  // namespace headroom
