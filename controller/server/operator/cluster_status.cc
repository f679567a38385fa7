#include "controller/server/operator/cluster_status.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/runtime/wire_time.h"
#include "controller/server/operator/reason_words.h"

namespace headroom {
namespace {

using Json = nlohmann::json;

constexpr size_t kMessageMax = 4096;  // bytes; a refused policy may have many faults
constexpr size_t kAlarmsMax = 20;     // kinds of them
constexpr size_t kRuledOutMax = 20;

constexpr char kTrue[] = "True", kFalse[] = "False", kUnknown[] = "Unknown";

// A condition without what it has of its past.
struct Finding {
  const char* status = kUnknown;
  std::string reason, message;
};

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

bool IsTime(const Json& text) {
  absl::Time time;
  std::string error;
  return text.is_string() && absl::ParseTime(absl::RFC3339_full, text.get<std::string>(), &time, &error);
}

// A field of what somebody else has written; null where there is none.
const Json& Field(const Json& object, const char* name) {
  static const Json* const kNone = new Json();
  if (!object.is_object()) return *kNone;
  const auto found = object.find(name);
  return found == object.end() ? *kNone : *found;
}

Finding Told(const char* status, const Reason& reason) {
  return {status, CamelCase(reason.code), SteadySentence(reason)};
}

// By remedy: a reason must stay the same while the words of an error change.
std::string FailureName(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return "PermissionDenied";
    case absl::StatusCode::kDeadlineExceeded:
      return "TimedOut";
    case absl::StatusCode::kUnavailable:
      return "Unreachable";
    case absl::StatusCode::kNotFound:
      return "NotFound";
    default:
      return "ListingFailed";
  }
}

Finding ProviderReachable(const ClusterFacts& facts) {
  if (facts.provider.ok()) return {kTrue, "Listed", "The last listing of the provider's machines succeeded."};
  if (absl::IsUnknown(facts.provider)) return {kUnknown, "NotListed", "The provider's machines are not listed yet."};
  return {kFalse, FailureName(facts.provider),
          absl::StrCat("The provider's machines cannot be listed: ", std::string(facts.provider.message()))};
}

Finding TelemetryFresh(const ClusterFacts& facts) {
  if (facts.decision == nullptr) return {kUnknown, "NoDecision", "No decision was made yet."};
  const std::vector<Demand>& demands = facts.decision->demands;
  if (demands.empty()) return {kUnknown, "NoSignals", "No signal is asked."};
  const auto unknown =
      std::find_if(demands.begin(), demands.end(), [](const Demand& demand) { return !demand.node_count.has_value(); });
  if (unknown != demands.end()) return Told(kFalse, unknown->reason);
  return {kTrue, "SignalsKnown", "Enough nodes have reported lately for every signal to tell."};
}

// What asks for more than the signals do limits nothing, unless it keeps nodes that are there.
bool IsNeed(const Verdict& verdict, const Decision& decision) {
  const bool needs =
      verdict.reason.code == ReasonCode::kGuardTogether || verdict.reason.code == ReasonCode::kGuardUnfilled;
  return needs && decision.desired_count > decision.effective_count;
}

// The verdict that had the last word; null: the signals get what they want.
const Verdict* Binding(const Decision& decision) {
  const std::vector<Verdict>& verdicts = decision.verdicts;
  if (verdicts.empty() || verdicts.front().before == decision.desired_count) return nullptr;
  const bool lower = decision.desired_count < verdicts.front().before;
  const auto last = std::find_if(verdicts.rbegin(), verdicts.rend(), [lower](const Verdict& verdict) {
    return (verdict.after < verdict.before) == lower && verdict.after != verdict.before;
  });
  return last == verdicts.rend() || IsNeed(*last, decision) ? nullptr : &*last;
}

const Reason* BoundLimit(const Decision& decision) {
  for (const ReasonCode code : {ReasonCode::kLimitBudget, ReasonCode::kLimitCeiling, ReasonCode::kLimitVeto}) {
    for (const LimitDecision& limit : decision.limits) {
      if (limit.reason.code == code) return &limit.reason;
    }
  }
  return nullptr;
}

// What keeps it from growing counts for more than what keeps it from shrinking.
Finding ScalingLimited(const ClusterFacts& facts) {
  if (facts.decision == nullptr) return {kUnknown, "NoDecision", "No decision was made yet."};
  const Verdict* verdict = Binding(*facts.decision);
  if (verdict != nullptr && verdict->after < verdict->before) return Told(kTrue, verdict->reason);
  if (const Reason* limit = BoundLimit(*facts.decision); limit != nullptr) return Told(kTrue, *limit);
  if (verdict != nullptr) return Told(kTrue, verdict->reason);
  return {kFalse, "AsWanted", "Nodes and limits are as the signals want them."};
}

Finding Draining(const ClusterFacts& facts) {
  if (!facts.status.has_value()) return {kUnknown, "NotKnown", "It is not known yet whether nodes leave."};
  const int count = facts.status->nodes().draining();
  if (count == 0) return {kFalse, "NotDraining", "No node leaves."};
  return {kTrue, "Draining", count == 1 ? "1 node leaves." : absl::StrCat(count, " nodes leave.")};
}

absl::string_view HeldName(v1::HoldDirection direction) {
  switch (direction) {
    case v1::HOLD_DIRECTION_UP:
      return "Growing is";
    case v1::HOLD_DIRECTION_DOWN:
      return "Shrinking is";
    default:
      return "Growing and shrinking are";
  }
}

// " (reason) by ada until 2026-11-20T08:00:00Z."
template <class Order>
std::string WhoAndUntil(const Order& order) {
  return absl::StrCat(order.reason().empty() ? "" : absl::StrCat(" (", order.reason(), ")"), " by ",
                      order.actor().empty() ? "somebody" : order.actor(),
                      order.has_expire_time() ? absl::StrCat(" until ", TimeText(FromWire(order.expire_time()))) : "",
                      ".");
}

// Whether this is unusual of the cluster as a whole. Of single nodes it is told for longer than it binds.
bool IsOfCluster(const Reason& anomaly) {
  constexpr size_t kNode = 5;
  const auto* node = anomaly.arguments.size() > kNode ? std::get_if<std::string>(&anomaly.arguments[kNode]) : nullptr;
  return node == nullptr || node->empty();
}

const Reason* Anomaly(const Decision& decision) {
  for (const Verdict& verdict : decision.verdicts) {
    if (verdict.reason.code == ReasonCode::kGuardAnomaly) return &verdict.reason;
  }
  for (const Reason& alarm : decision.alarms) {
    if (alarm.code == ReasonCode::kAlarmAnomaly && IsOfCluster(alarm)) return &alarm;
  }
  return nullptr;
}

Finding Frozen(const ClusterFacts& facts) {
  if (!facts.status.has_value()) return {kUnknown, "NotKnown", "It is not known yet whether anything is held."};
  if (facts.status->has_override() && facts.status->override().nodes() > 0)
    return {kTrue, "Overridden",
            absl::StrCat("The number of nodes is fixed at ", facts.status->override().nodes(),
                         WhoAndUntil(facts.status->override()))};
  std::vector<std::string> held;
  for (const v1::Hold& hold : facts.status->holds())
    held.push_back(absl::StrCat(HeldName(hold.direction()), " held", WhoAndUntil(hold)));
  if (!held.empty()) return {kTrue, "Held", absl::StrJoin(held, " ")};
  const Reason* anomaly = facts.decision == nullptr ? nullptr : Anomaly(*facts.decision);
  if (anomaly == nullptr) return {kFalse, "NotFrozen", "Nothing is held, and nothing is unusual."};
  return {kTrue, CamelCase(ReasonCode::kGuardAnomaly), SteadySentence(*anomaly)};
}

std::optional<v1::Mode> ModeOf(const ClusterFacts& facts) {
  if (facts.status.has_value() && facts.status->mode() != v1::MODE_UNSPECIFIED) return facts.status->mode();
  if (facts.decision == nullptr) return std::nullopt;
  return facts.decision->mode == Mode::kLive ? v1::MODE_LIVE : v1::MODE_DRY_RUN;
}

Finding DryRun(const ClusterFacts& facts) {
  const std::optional<v1::Mode> mode = ModeOf(facts);
  if (!mode.has_value()) return {kUnknown, "NotKnown", "The mode is not known yet."};
  if (*mode == v1::MODE_LIVE) return {kFalse, "Live", "Decisions are carried out."};
  return {kTrue, "DryRun", "Decisions are only worked out, and nothing is carried out."};
}

const Reason* FindAlarm(const ClusterFacts& facts, ReasonCode code) {
  if (facts.decision == nullptr) return nullptr;
  const auto& alarms = facts.decision->alarms;
  const auto found =
      std::find_if(alarms.begin(), alarms.end(), [code](const Reason& alarm) { return alarm.code == code; });
  return found == alarms.end() ? nullptr : &*found;
}

Finding Ready(const ClusterFacts& facts) {
  const bool has_policy = facts.status.has_value() || facts.decision != nullptr;
  if (!facts.spec.ok())
    return {kFalse, "PolicyRefused",
            RefusedSentence(facts.spec, has_policy ? InForce::kPolicyBefore : InForce::kNothing)};
  if (!facts.running.ok()) return {kFalse, NotRunName(facts.running), NotRunSentence(facts.running)};
  if (!facts.status.has_value() || facts.decision == nullptr)
    return {kUnknown, "Starting", "The cluster has been taken up, and no decision was made yet."};
  if (Finding provider = ProviderReachable(facts); provider.status == kFalse)
    return {kFalse, "ProviderUnreachable", std::move(provider.message)};
  if (const Reason* alarm = FindAlarm(facts, ReasonCode::kAlarmProvider); alarm != nullptr)
    return {kFalse, "ProviderFails", SteadySentence(*alarm)};
  if (Finding telemetry = TelemetryFresh(facts); telemetry.status == kFalse)
    return {kFalse, "TelemetryStale", std::move(telemetry.message)};
  if (const std::string& journal = facts.status->journal(); !journal.empty() && journal != "ok")
    return {kFalse, "JournalFails", absl::StrCat("The journal fails: ", journal)};
  return {kTrue, "Running", "The cluster is run by its policy."};
}

// What `before` has of this condition; null: nothing.
const Json& ConditionBefore(const Json& before, const char* type) {
  static const Json* const kNone = new Json();
  const Json& conditions = Field(before, "conditions");
  if (!conditions.is_array()) return *kNone;
  for (const Json& condition : conditions) {
    if (Field(condition, "type") == type) return condition;
  }
  return *kNone;
}

Json Condition(const char* type, Finding finding, const ClusterFacts& facts, const Json& status_before,
               absl::Time now) {
  const Json& before = ConditionBefore(status_before, type);
  const bool stays = Field(before, "status") == finding.status && IsTime(Field(before, "lastTransitionTime"));
  return {{"type", type},
          {"status", finding.status},
          {"observedGeneration", std::max<int64_t>(facts.generation, 0)},
          {"lastTransitionTime", stays ? before["lastTransitionTime"] : Json(TimeText(now))},
          {"reason", finding.reason.empty() ? "NoReason" : finding.reason},
          {"message", Cut(finding.message, kMessageMax)}};
}

Json Nodes(const ClusterFacts& facts) {
  Json nodes = Json::object();
  if (facts.status.has_value()) {
    const v1::NodeCounts& counts = facts.status->nodes();
    nodes["current"] = counts.serving() + counts.silent() + counts.restarting() + counts.draining();
    nodes["launching"] = counts.launching();
    nodes["draining"] = counts.draining();
  }
  if (facts.decision != nullptr) nodes["desired"] = facts.decision->desired_count;
  return nodes;
}

std::vector<std::string> RuledOut(const Diagnosis& diagnosis) {
  std::vector<std::string> sentences;
  for (const Reason& reason : diagnosis.ruled_out) {
    if (!absl::StartsWith(ReasonName(reason.code), "not_") || sentences.size() == kRuledOutMax) continue;
    sentences.push_back(Cut(RenderReason(reason), kMessageMax));
  }
  return sentences;
}

// The evidence moves with the load; what it was when the cause was named is what a person wants to read later.
Json DiagnosisOf(const Diagnosis& diagnosis, const Json& before) {
  const std::string cause(CauseName(diagnosis.cause));
  if (diagnosis.cause == Cause::kNone)
    return {{"cause", cause}, {"message", SteadySentence(MakeReason(ReasonCode::kDiagnosisNone))}};
  Json told = {{"cause", cause},
               {"message", Cut(RenderReason(diagnosis.reason), kMessageMax)},
               {"remedy", Cut(RenderReason(diagnosis.remedy), kMessageMax)},
               {"ruledOut", RuledOut(diagnosis)}};
  const bool dated = diagnosis.since != absl::InfinitePast() && diagnosis.since != absl::InfiniteFuture();
  if (dated) told["sinceTime"] = TimeText(diagnosis.since);
  const bool whole = before.size() == told.size() && Field(before, "message").is_string() &&
                     Field(before, "remedy").is_string() && Field(before, "ruledOut").is_array();
  const bool same = Field(before, "cause") == cause && Field(before, "sinceTime") == Field(told, "sinceTime");
  return whole && same ? before : told;
}

// One of each kind, as there may be one for each of 10,000 nodes.
Json Alarms(const Decision& decision) {
  Json alarms = Json::array();
  for (const Reason& alarm : decision.alarms) {
    const std::string reason = CamelCase(alarm.code);
    const auto same = std::find_if(alarms.begin(), alarms.end(), [&](const Json& a) { return a["reason"] == reason; });
    if (same != alarms.end()) {
      (*same)["count"] = (*same)["count"].get<int64_t>() + 1;
    } else if (alarms.size() < kAlarmsMax && !reason.empty()) {
      alarms.push_back({{"reason", reason}, {"message", Cut(SteadySentence(alarm), kMessageMax)}, {"count", 1}});
    }
  }
  return alarms;
}

// The last change in the number of nodes. Where only limits have moved since, `before` knows it.
Json LastAction(const ClusterFacts& facts, const Json& before) {
  for (const auto& decision : {facts.decision, facts.last_scaling}) {
    const Reason* move = decision == nullptr ? nullptr : FirstMove(*decision);
    if (move == nullptr) continue;
    return {{"reason", CamelCase(move->code)},
            {"message", Cut(RenderReason(*move), kMessageMax)},
            {"time", TimeText(decision->at)}};
  }
  const bool good = Field(before, "reason").is_string() && Field(before, "message").is_string() &&
                    IsTime(Field(before, "time")) && before.size() == 3;
  return good ? before : Json();
}

}  // namespace

const Reason* FirstMove(const Decision& decision) {
  for (const Action& action : decision.actions) {
    if (ChangesMachines(action) || std::holds_alternative<DrainNode>(action.body) ||
        std::holds_alternative<CancelDrain>(action.body)) {
      return &action.reason;
    }
  }
  return nullptr;
}

bool MovesNodes(const Decision& decision) {
  return FirstMove(decision) != nullptr;
}

Json StatusOf(const ClusterFacts& facts, const Json& before, absl::Time now) {
  const auto condition = [&](const char* type, Finding (*find)(const ClusterFacts&)) {
    return Condition(type, find(facts), facts, before, now);
  };
  Json status = {{"observedGeneration", std::max<int64_t>(facts.generation, 0)},
                 {"nodes", Nodes(facts)},
                 {"conditions",
                  {condition("Ready", Ready), condition("TelemetryFresh", TelemetryFresh),
                   condition("ProviderReachable", ProviderReachable), condition("ScalingLimited", ScalingLimited),
                   condition("Draining", Draining), condition("Frozen", Frozen), condition("DryRun", DryRun)}}};
  if (const auto mode = ModeOf(facts); mode.has_value()) status["mode"] = *mode == v1::MODE_LIVE ? "live" : "dry_run";
  if (facts.decision != nullptr) {
    status["diagnosis"] = DiagnosisOf(facts.decision->diagnosis, Field(before, "diagnosis"));
    status["alarms"] = Alarms(*facts.decision);
  }
  if (Json action = LastAction(facts, Field(before, "lastAction")); !action.is_null())
    status["lastAction"] = std::move(action);
  return status;
}

}  // namespace headroom
