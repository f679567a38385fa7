#include "controller/server/operator/cluster_events.h"

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/server/operator/cluster_status.h"

namespace headroom {
namespace {

using Type = ClusterEvent::Type;

ClusterEvent Event(Type type, std::string reason, std::string action, const std::string& note) {
  return {type, Cut(reason, ClusterEvent::kNameMax), Cut(action, ClusterEvent::kNameMax),
          Cut(note, ClusterEvent::kNoteMax)};
}

bool MovesNode(const Action& action) {
  return ChangesMachines(action) || std::holds_alternative<DrainNode>(action.body) ||
         std::holds_alternative<CancelDrain>(action.body);
}

bool ChangesLimit(const Action& action) {
  const auto* grant = std::get_if<GrantLimits>(&action.body);
  return (grant != nullptr && !grant->renewal) || std::holds_alternative<ShedConnections>(action.body);
}

// "3 launched, 1 drained"
std::string CountText(const std::vector<const Action*>& actions) {
  static const std::map<absl::string_view, const char*> kDone = {
      {"launch", "launched"},      {"drain", "drained"},           {"cancel_drain", "taken back"},
      {"terminate", "terminated"}, {"grant_limits", "limits set"}, {"shed", "nodes shed"}};
  std::map<absl::string_view, int> counts;
  for (const Action* action : actions) ++counts[kDone.at(ActionKind(*action))];
  return absl::StrJoin(
      counts, ", ", [](std::string* out, const auto& count) { absl::StrAppend(out, count.second, " ", count.first); });
}

// All actions of one sort as one event, told by the first of them.
void AddActions(const Decision& decision, bool (*is_of_sort)(const Action&), std::vector<ClusterEvent>& events) {
  std::vector<const Action*> actions;
  for (const Action& action : decision.actions) {
    if (is_of_sort(action)) actions.push_back(&action);
  }
  if (actions.empty()) return;
  const Action& first = *actions.front();
  const std::string many = actions.size() == 1 ? "" : absl::StrCat(" In all: ", CountText(actions), ".");
  const std::string note = absl::StrCat(decision.mode == Mode::kDryRun ? "Dry run, nothing is carried out: " : "",
                                        RenderReason(first.reason), many);
  events.push_back(Event(Type::kNormal, CamelCase(first.reason.code), CamelCase(ActionKind(first)), note));
}

void AddDiagnosis(const Diagnosis& diagnosis, std::vector<ClusterEvent>& events) {
  const bool well = diagnosis.cause == Cause::kNone;
  const std::string reason = CamelCase(well ? ReasonCode::kDiagnosisNone : diagnosis.reason.code);
  const std::string note = well ? SteadySentence(MakeReason(ReasonCode::kDiagnosisNone))
                                : absl::StrCat(RenderReason(diagnosis.reason), " ", RenderReason(diagnosis.remedy));
  events.push_back(Event(well ? Type::kNormal : Type::kWarning, reason, "Diagnose", note));
}

enum class AlarmNews { kBegun, kEnded };

// One of each kind: a ceiling that 10,000 nodes reach together is no 10,000 events.
void AddAlarms(const std::vector<Reason>& alarms, AlarmNews news, std::vector<ClusterEvent>& events) {
  std::map<ReasonCode, size_t> counts;
  for (const Reason& alarm : alarms) ++counts[alarm.code];
  for (const Reason& alarm : alarms) {
    const size_t count = std::exchange(counts[alarm.code], 0);
    if (count == 0) continue;
    const std::string note =
        absl::StrCat(RenderReason(alarm), count > 1 ? absl::StrCat(" And ", count - 1, " more.") : "");
    const std::string reason = CamelCase(alarm.code);
    events.push_back(news == AlarmNews::kBegun ? Event(Type::kWarning, reason, "RaiseAlarm", note)
                                               : Event(Type::kNormal, absl::StrCat(reason, "Over"), "EndAlarm",
                                                       absl::StrCat("Over: ", note)));
  }
}

}  // namespace

std::vector<ClusterEvent> EventsOf(const Published& published) {
  std::vector<ClusterEvent> events;
  const Decision& decision = *published.decision;
  AddActions(decision, MovesNode, events);
  AddActions(decision, ChangesLimit, events);
  if (published.diagnosis_changed) AddDiagnosis(decision.diagnosis, events);
  AddAlarms(published.alarms_begun, AlarmNews::kBegun, events);
  AddAlarms(published.alarms_ended, AlarmNews::kEnded, events);
  return events;
}

ClusterEvent PolicyRefusedEvent(const absl::Status& faults, InForce in_force) {
  return Event(Type::kWarning, "PolicyRefused", "ApplyPolicy", RefusedSentence(faults, in_force));
}

ClusterEvent PolicyTakenEvent() {
  return Event(Type::kNormal, "PolicyTaken", "ApplyPolicy", "The spec is the policy in force.");
}

ClusterEvent NotRunEvent(const absl::Status& why) {
  return Event(Type::kWarning, NotRunName(why), "Open", NotRunSentence(why));
}

ClusterEvent TakenUpEvent(absl::string_view cluster) {
  return Event(Type::kNormal, "TakenUp", "Open", absl::StrCat("The cluster ", cluster, " is run from now on."));
}

ClusterEvent GivenUpEvent(absl::string_view cluster, absl::string_view why) {
  return Event(Type::kNormal, "GivenUp", "Close",
               absl::StrCat("The cluster ", cluster, " is no longer run: ", why, "; its nodes go on as they are."));
}

}  // namespace headroom
