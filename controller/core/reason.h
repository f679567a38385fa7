#pragma once

#include <cstdint>
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
  kLimitDemand,    // node, demand, limit, new limit
  kLimitCeiling,   // node, demand, ceiling, ceiling name
  kLimitVeto,      // node, demand, veto name, value, bound
  kLimitCut,       // node, limit, new limit, veto name
  kLimitRestore,   // node, limit, new limit
  kLimitDecay,     // node, limit, new limit
  kLimitRollBack,  // node, limit, new limit
  kLimitFixed,     // node, limit
  kLimitBudget,    // node, wanted, granted, budget
  kLimitRenewed,   // node, limit
  kLimitAdopted,   // node, limit
  kShedRebalance,  // node, count, open, fair share
  // Signals.
  kSignalConnections,  // demand, per node, target, nodes
  kSignalThroughput,   // bytes per second, bytes per node, nodes
  kSignalLatency,      // p99, objective, nodes
  kSignalUnknown,      // signal, fresh nodes, serving nodes
  kSignalNoNodes,      // signal
  // Guards.
  kGuardHold,           // direction, reason, actor
  kGuardOverride,       // number, reason, actor
  kGuardUnknown,        // signal
  kGuardErrors,         // errors per second, requests per second
  kGuardStabilization,  // nodes, window
  kGuardCooldown,       // remaining
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
  // Actions.
  kLaunchForDemand,    // nodes after, signal
  kDrainForDemand,     // node, open connections, nodes after
  kDrainByOperator,    // node, reason, actor
  kCancelDrain,        // node, nodes wanted
  kTerminateDrained,   // node
  kTerminateDeadline,  // node, open connections, timeout
  kTerminateGone,      // node
  kListDue,            // nothing
  kServersChanged,     // servers, draining
  // Alarms.
  kAlarmAtMax,               // max, wanted
  kAlarmNodeLost,            // node, silent for
  kAlarmSignalUnknown,       // signal, unknown for
  kAlarmJournal,             // error
  kAlarmProvider,            // operation, error
  kAlarmLaunchStuck,         // node, since
  kAlarmForeignWriter,       // node, limit, granted
  kAlarmFloorsExceedBudget,  // floors, budget
  kAlarmCeiling,             // node, ceiling name, ceiling
  // Diagnosis: sentences, evidence against, remedies.
  kDiagnosisNone,
  kDiagnosisCannotTell,  // what is seen
  kDiagnosisSurge,  // share of slots taken, nodes at limit, nodes, demand ratio, active share, rejections per second
  kDiagnosisRetryStorm,  // attempts per first attempt, ...
  kDiagnosisBadDeploy,   // version, age, errors ratio, ...
  kDiagnosisSoftware,    // error ratio while slots are free
  kDiagnosisNetwork,     // retransmit ratio, baseline
  kDiagnosisSlowDisk,    // device or io stall, baseline
  kDiagnosisCpu,         // cpu share, stall
  kDiagnosisHotNode,     // node, its demand, median
  kDiagnosisClientLeak,  // client, connections, share, idle age
  kDiagnosisReportLoss,  // silent nodes, nodes
  kNotSurge,
  kNotRetryStorm,
  kNotBadDeploy,
  kNotSoftware,
  kNotNetwork,
  kNotSlowDisk,
  kNotCpu,
  kNotHotNode,
  kNotClientLeak,
  kNotReportLoss,
  kRemedyRaiseLimits,
  kRemedyRetryBudget,
  kRemedyRollBackDeploy,
  kRemedySoftware,
  kRemedyNetwork,
  kRemedySlowDisk,
  kRemedyAddNodes,
  kRemedyRebalance,
  kRemedyClient,
  kRemedyReports,
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
  (reason.arguments.push_back(ToArgument(values)), ...);
  return reason;
}

// Stable name in lower_snake_case: the label in metrics and the `code` on the wire.
absl::string_view ReasonName(ReasonCode code);
// The sentence with {placeholders}.
absl::string_view ReasonSentence(ReasonCode code);
// Names of the placeholders in order.
std::vector<std::string> ReasonArgumentNames(ReasonCode code);
// The sentence with its arguments filled in: for people only.
std::string RenderReason(const Reason& reason);

}  // namespace headroom
