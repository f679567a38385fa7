#include "controller/server/decision_log.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/server/log.h"

namespace headroom {
namespace {

bool IsQuiet(const Action& action) {
  const auto* grant = std::get_if<GrantLimits>(&action.body);
  return std::holds_alternative<ListMachines>(action.body) || (grant != nullptr && grant->renewal);
}

bool IsWatched(const Action& action) {
  return ChangesMachines(action) || std::holds_alternative<DrainNode>(action.body) ||
         std::holds_alternative<CancelDrain>(action.body);
}

// "grant_limits=3 launch=1"
std::string CountKinds(const Decision& decision) {
  std::map<std::string, int> counts;
  for (const Action& action : decision.actions) {
    if (!IsQuiet(action)) ++counts[std::string(ActionKind(action))];
  }
  return absl::StrJoin(counts, " ", absl::PairFormatter("="));
}

std::string FirstSentence(const Decision& decision) {
  for (const Action& action : decision.actions) {
    if (!IsQuiet(action)) return RenderReason(action.reason);
  }
  return "";
}

// Above kAlarmLinesMax of one code the first stands for all of them.
void LogAlarms(LogLevel level, absl::string_view event, absl::string_view cluster, const std::vector<Reason>& alarms) {
  std::map<ReasonCode, int64_t> counts;
  for (const Reason& alarm : alarms) ++counts[alarm.code];
  for (const Reason& alarm : alarms) {
    int64_t& count = counts[alarm.code];
    if (count == 0) continue;
    LogLine line(level, event, cluster);
    line.Add("code", ReasonName(alarm.code)).Add("text", RenderReason(alarm));
    if (count > kAlarmLinesMax) line.Add("count", std::exchange(count, 0));
  }
}

}  // namespace

void LogDecision(const Published& published, absl::string_view cluster) {
  const Decision& decision = *published.decision;
  if (Acts(decision)) {
    LogLine(LogLevel::kInfo, "decision", cluster)
        .Add("sequence", static_cast<int64_t>(decision.sequence))
        .Add("mode", decision.mode == Mode::kLive ? "live" : "dry_run")
        .Add("serving", int64_t{decision.serving_count})
        .Add("desired", int64_t{decision.desired_count})
        .Add("actions", CountKinds(decision))
        .Add("why", FirstSentence(decision));
  }
  if (published.diagnosis_changed) {
    LogLine(decision.diagnosis.cause == Cause::kNone ? LogLevel::kInfo : LogLevel::kWarning, "diagnosis", cluster)
        .Add("cause", CauseName(decision.diagnosis.cause))
        .Add("text", RenderReason(decision.diagnosis.reason));
  }
  LogAlarms(LogLevel::kWarning, "alarm", cluster, published.alarms_begun);
  LogAlarms(LogLevel::kInfo, "alarm_over", cluster, published.alarms_ended);
}

void LogOutcome(const Action& action, const ActionFinished& outcome, absl::string_view cluster) {
  const bool failed = outcome.code != absl::StatusCode::kOk;
  if (!IsWatched(action) && !(failed && !std::holds_alternative<GrantLimits>(action.body))) return;
  LogLine line(failed ? LogLevel::kWarning : LogLevel::kInfo, "outcome", cluster);
  line.Add("kind", ActionKind(action)).Add("action", action.id);
  const std::string& node = action.node.empty() ? outcome.node : action.node;
  if (!node.empty()) line.Add("node", node);
  line.Add("result", absl::StatusCodeToString(outcome.code));
  if (outcome.hypothetical) line.Add("hypothetical", "yes");
  if (failed) line.Add("error", outcome.message);
}

}  // namespace headroom
