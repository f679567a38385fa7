#include "controller/server/operator/cluster_status.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "controller/runtime/storage_cluster.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

const absl::Time kNow = absl::FromCivil(absl::CivilMinute(2026, 11, 20, 8, 0), absl::UTCTimeZone());

Verdict Bound(const std::string& guard, int before, int after, Reason reason) {
  return {.guard = guard, .before = before, .after = after, .reason = std::move(reason)};
}

Demand Asks(double nodes) {
  return {"connections", nodes, MakeReason(ReasonCode::kSignalConnections, 100 * nodes, 100, 0.7, nodes)};
}

// A cluster of 5 nodes with which all is well.
ClusterFacts Well() {
  ClusterFacts facts{.generation = 3, .provider = absl::OkStatus()};
  facts.status.emplace();
  facts.status->set_mode(v1::MODE_LIVE);
  facts.status->set_journal("ok");
  facts.status->mutable_nodes()->set_serving(5);
  Decision decision{.sequence = 8, .at = kNow, .mode = Mode::kLive, .serving_count = 5, .effective_count = 5};
  decision.desired_count = 5;
  decision.demands = {Asks(5)};
  decision.diagnosis.reason = MakeReason(ReasonCode::kDiagnosisNone, 0.4, 5000, 0.001, absl::Milliseconds(4));
  facts.decision = std::make_shared<const Decision>(decision);
  return facts;
}

// The same with another decision.
template <class Change>
ClusterFacts With(ClusterFacts facts, const Change& change) {
  Decision decision = *facts.decision;
  change(decision);
  facts.decision = std::make_shared<const Decision>(std::move(decision));
  return facts;
}

Json Of(const ClusterFacts& facts) {
  return StatusOf(facts, Json(), kNow);
}

Json ConditionOf(const Json& status, const std::string& type) {
  for (const Json& condition : status["conditions"]) {
    if (condition["type"] == type) return condition;
  }
  ADD_FAILURE() << "no condition " << type;
  return Json::object();
}

// "True Running"
std::string Short(const ClusterFacts& facts, const std::string& type) {
  const Json condition = ConditionOf(Of(facts), type);
  return absl::StrCat(condition["status"].get<std::string>(), " ", condition["reason"].get<std::string>());
}

std::string Message(const ClusterFacts& facts, const std::string& type) {
  return ConditionOf(Of(facts), type)["message"];
}

TEST(ClusterStatusTest, AllSevenConditionsAreThereBeforeAnythingIsKnown) {
  const Json status = Of({.generation = 1});
  std::vector<std::string> types;
  for (const Json& condition : status["conditions"]) {
    types.push_back(condition["type"]);
    EXPECT_EQ(condition["status"], "Unknown") << condition;
    EXPECT_EQ(condition["observedGeneration"], 1);
    EXPECT_EQ(condition["lastTransitionTime"], "2026-11-20T08:00:00Z");
    EXPECT_FALSE(condition["message"].get<std::string>().empty()) << condition;
  }
  EXPECT_THAT(types, ElementsAre("Ready", "TelemetryFresh", "ProviderReachable", "ScalingLimited", "Draining", "Frozen",
                                 "DryRun"));
}

TEST(ClusterStatusTest, AClusterWithWhichAllIsWell) {
  const Json status = Of(Well());
  EXPECT_EQ(status["observedGeneration"], 3);
  EXPECT_EQ(status["nodes"], Json({{"current", 5}, {"desired", 5}, {"launching", 0}, {"draining", 0}}));
  EXPECT_EQ(status["mode"], "live");
  EXPECT_EQ(status["diagnosis"], Json({{"cause", "none"}, {"message", "Nothing is wrong."}}));
  EXPECT_EQ(status["alarms"], Json::array());
  EXPECT_EQ(Short(Well(), "Ready"), "True Running");
  EXPECT_EQ(Short(Well(), "TelemetryFresh"), "True SignalsKnown");
  EXPECT_EQ(Short(Well(), "ProviderReachable"), "True Listed");
  EXPECT_EQ(Short(Well(), "ScalingLimited"), "False AsWanted");
  EXPECT_EQ(Short(Well(), "Draining"), "False NotDraining");
  EXPECT_EQ(Short(Well(), "Frozen"), "False NotFrozen");
  EXPECT_EQ(Short(Well(), "DryRun"), "False Live");
}

TEST(ClusterStatusTest, ARefusedPolicyIsToldWithEveryFaultAndWhatIsInForce) {
  ClusterFacts facts = Well();
  facts.spec = absl::InvalidArgumentError("nodes.min: 12 exceeds nodes.max 9\nmode: must be live or dry_run");
  EXPECT_EQ(Short(facts, "Ready"), "False PolicyRefused");
  EXPECT_EQ(
      Message(facts, "Ready"),
      "The spec is refused, and the policy before it stays in force: nodes.min: 12 exceeds nodes.max 9; mode: must "
      "be live or dry_run");
  ClusterFacts first{.generation = 1, .spec = facts.spec};
  EXPECT_THAT(Message(first, "Ready"), HasSubstr("the cluster is not run until it is mended: nodes.min"));
}

TEST(ClusterStatusTest, AClusterThatIsNotRunSaysWhy) {
  ClusterFacts facts{.generation = 1, .running = absl::AlreadyExistsError("the name files is taken")};
  EXPECT_EQ(Short(facts, "Ready"), "False NameTaken");
  facts.running = absl::NotFoundError("there is no statefulset files");
  EXPECT_EQ(Short(facts, "Ready"), "False NotRun");
  EXPECT_EQ(Message(facts, "Ready"), "The cluster is not run: there is no statefulset files");
}

TEST(ClusterStatusTest, WhatTheControllerCannotDoMakesItNotReady) {
  ClusterFacts facts = Well();
  facts.status->set_journal("disk full");
  EXPECT_EQ(Short(facts, "Ready"), "False JournalFails");
  facts = With(facts, [](Decision& decision) {
    decision.demands.push_back({"latency", std::nullopt, MakeReason(ReasonCode::kSignalUnknown, "latency", 1, 5)});
  });
  EXPECT_EQ(Short(facts, "Ready"), "False TelemetryStale");
  facts = With(facts, [](Decision& decision) {
    decision.alarms = {MakeReason(ReasonCode::kAlarmProvider, "launch", "quota exceeded")};
  });
  EXPECT_EQ(Short(facts, "Ready"), "False ProviderFails");
  EXPECT_EQ(Message(facts, "Ready"), "The provider failed to launch: quota exceeded");
  facts.provider = absl::UnavailableError("connection refused");
  EXPECT_EQ(Short(facts, "Ready"), "False ProviderUnreachable");
}

TEST(ClusterStatusTest, TelemetryIsFreshWhileEverySignalCanTell) {
  const auto with_unknown = [](const Reason& reason) {
    return With(Well(), [&](Decision& decision) { decision.demands.push_back({"connections", std::nullopt, reason}); });
  };
  EXPECT_EQ(Short(with_unknown(MakeReason(ReasonCode::kSignalUnknown, "connections", 1, 5)), "TelemetryFresh"),
            "False SignalUnknown");
  EXPECT_EQ(Short(with_unknown(MakeReason(ReasonCode::kSignalNoNodes, "connections")), "TelemetryFresh"),
            "False SignalNoNodes");
  EXPECT_EQ(Message(with_unknown(MakeReason(ReasonCode::kSignalUnknown, "connections", 1, 5)), "TelemetryFresh"),
            "connections: cannot tell, too few of the serving nodes have reported lately.");
}

TEST(ClusterStatusTest, AProviderThatCannotBeListedIsToldByTheKindOfTrouble) {
  ClusterFacts facts = Well();
  facts.provider = absl::PermissionDeniedError("pods is forbidden");
  EXPECT_EQ(Short(facts, "ProviderReachable"), "False PermissionDenied");
  EXPECT_EQ(Message(facts, "ProviderReachable"), "The provider's machines cannot be listed: pods is forbidden");
  facts.provider = absl::DeadlineExceededError("");
  EXPECT_EQ(Short(facts, "ProviderReachable"), "False TimedOut");
  facts.provider = absl::UnknownError("");
  EXPECT_EQ(Short(facts, "ProviderReachable"), "Unknown NotListed");
  EXPECT_EQ(Short(facts, "Ready"), "True Running") << "a first listing is no trouble yet";
}

TEST(ClusterStatusTest, TheGuardThatHadTheLastWordLimitsScaling) {
  const ClusterFacts facts = With(Well(), [](Decision& decision) {
    decision.verdicts = {Bound("growth_step", 14, 10, MakeReason(ReasonCode::kGuardStep, 10, absl::Minutes(3))),
                         Bound("max", 10, 9, MakeReason(ReasonCode::kGuardMax, 9, 14))};
    decision.desired_count = 9;
  });
  EXPECT_EQ(Short(facts, "ScalingLimited"), "True GuardMax");
  EXPECT_EQ(Message(facts, "ScalingLimited"), "The policy allows at most 9 nodes; more are wanted.");
}

TEST(ClusterStatusTest, WhatForbidsGrowthCountsForMoreThanWhatForbidsShrinking) {
  ClusterFacts facts = With(Well(), [](Decision& decision) {
    decision.verdicts = {Bound("cooldown", 3, 5, MakeReason(ReasonCode::kGuardCooldown, absl::Seconds(40)))};
  });
  EXPECT_EQ(Short(facts, "ScalingLimited"), "True GuardCooldown");
  facts = With(facts, [](Decision& decision) {
    decision.limits = {{.node = "a", .reason = MakeReason(ReasonCode::kLimitBudget, "a", 900, 600, 2000)}};
  });
  EXPECT_EQ(Short(facts, "ScalingLimited"), "True LimitBudget");
}

TEST(ClusterStatusTest, WhatComesToTheSameAsTheSignalsWantIsNoLimit) {
  const ClusterFacts even = With(Well(), [](Decision& decision) {
    decision.verdicts = {Bound("warm", 5, 6, MakeReason(ReasonCode::kGuardWarm, absl::Seconds(40))),
                         Bound("max", 6, 5, MakeReason(ReasonCode::kGuardMax, 5, 5))};
  });
  EXPECT_EQ(Short(even, "ScalingLimited"), "False AsWanted");
  const ClusterFacts more = With(Well(), [](Decision& decision) {
    decision.verdicts = {Bound("together", 6, 8, MakeReason(ReasonCode::kGuardTogether, 900, absl::Minutes(5), 8))};
    decision.desired_count = 8;
  });
  EXPECT_EQ(Short(more, "ScalingLimited"), "False AsWanted") << "it grows, and by more than is asked for";
}

TEST(ClusterStatusTest, NodesThatLeaveAreDraining) {
  ClusterFacts facts = Well();
  facts.status->mutable_nodes()->set_serving(3);
  facts.status->mutable_nodes()->set_draining(2);
  EXPECT_EQ(Short(facts, "Draining"), "True Draining");
  EXPECT_EQ(Of(facts)["nodes"]["current"], 5) << "they are there";
}

TEST(ClusterStatusTest, AHoldFreezesAndSaysWhoseAndUntilWhen) {
  ClusterFacts facts = Well();
  v1::Hold* hold = facts.status->add_holds();
  hold->set_direction(v1::HOLD_DIRECTION_DOWN);
  hold->set_reason("audit");
  hold->set_actor("ada");
  SetTime(kNow + absl::Hours(1), hold->mutable_expire_time());
  EXPECT_EQ(Short(facts, "Frozen"), "True Held");
  EXPECT_EQ(Message(facts, "Frozen"), "Shrinking is held (audit) by ada until 2026-11-20T09:00:00Z.");
  facts.status->mutable_override()->set_nodes_max(7);
  EXPECT_EQ(Short(facts, "Frozen"), "True Held") << "other bounds are no fixed number";
  facts.status->mutable_override()->set_nodes(7);
  EXPECT_EQ(Short(facts, "Frozen"), "True Overridden");
}

TEST(ClusterStatusTest, AnAnomalyOfTheClusterFreezesAndOneOfANodeOnlyWhileItBinds) {
  const auto alarm = [](const std::string& node) {
    return With(Well(), [&](Decision& decision) {
      decision.alarms = {MakeReason(ReasonCode::kAlarmAnomaly, "demand", "surge", 900, 300, 8, node, 0.9)};
    });
  };
  EXPECT_EQ(Short(alarm(""), "Frozen"), "True GuardAnomaly");
  EXPECT_EQ(Message(alarm(""), "Frozen"), "Unusual: demand (surge).");
  EXPECT_EQ(Short(alarm("files-2"), "Frozen"), "False NotFrozen");
  const ClusterFacts binds = With(alarm("files-2"), [](Decision& decision) {
    decision.verdicts = {
        Bound("anomaly", 3, 5,
              MakeReason(ReasonCode::kGuardAnomaly, absl::Minutes(9), "hot node", "spread", 9, 3, "files-2"))};
  });
  EXPECT_EQ(Short(binds, "Frozen"), "True GuardAnomaly");
}

TEST(ClusterStatusTest, ADryRunSaysSo) {
  ClusterFacts facts = Well();
  facts.status->set_mode(v1::MODE_DRY_RUN);
  EXPECT_EQ(Short(facts, "DryRun"), "True DryRun");
  EXPECT_EQ(Of(facts)["mode"], "dry_run");
  EXPECT_EQ(Short(facts, "Ready"), "True Running");
}

TEST(ClusterStatusTest, ATransitionIsAChangeOfStatusAndNothingElse) {
  const Json before = Of(Well());
  ClusterFacts facts = Well();
  facts.generation = 4;
  facts.provider = absl::UnavailableError("connection refused");
  const Json later = StatusOf(facts, before, kNow + absl::Minutes(5));
  EXPECT_EQ(ConditionOf(later, "ProviderReachable")["lastTransitionTime"], "2026-11-20T08:05:00Z");
  EXPECT_EQ(ConditionOf(later, "Frozen")["lastTransitionTime"], "2026-11-20T08:00:00Z");
  EXPECT_EQ(ConditionOf(later, "Frozen")["observedGeneration"], 4);
  facts.provider = absl::PermissionDeniedError("no");
  const Json last = StatusOf(facts, later, kNow + absl::Minutes(9));
  EXPECT_EQ(ConditionOf(last, "ProviderReachable")["reason"], "PermissionDenied");
  EXPECT_EQ(ConditionOf(last, "ProviderReachable")["lastTransitionTime"], "2026-11-20T08:05:00Z");
}

// A decision in the middle of trouble, with every load, age and rest of a wait of `round`.
ClusterFacts Trouble(int round) {
  ClusterFacts facts = Well();
  facts.status->set_open_count(4000 + round);
  facts.status->set_requests_per_second(900 + round);
  return With(facts, [round](Decision& decision) {
    decision.sequence += static_cast<uint64_t>(round);
    decision.at += absl::Seconds(round);
    decision.demands = {Asks(14 + 0.1 * round),
                        {"latency", std::nullopt, MakeReason(ReasonCode::kSignalUnknown, "latency", round, 5)}};
    decision.verdicts = {Bound("max", 14 + round, 9, MakeReason(ReasonCode::kGuardMax, 9, 14 + round))};
    decision.desired_count = 9;
    decision.limits = {{.node = "a", .reason = MakeReason(ReasonCode::kLimitCeiling, "a", 900 + round, 800, "fds")}};
    decision.diagnosis = {.cause = Cause::kSurge,
                          .confidence = 0.5 + 0.01 * round,
                          .since = kNow - absl::Minutes(1),
                          .reason = MakeReason(ReasonCode::kDiagnosisSurge, 5 - round % 2, 5, 4000 + round, 4000, 70),
                          .ruled_out = {MakeReason(ReasonCode::kNotSoftware, round, 900, round),
                                        MakeReason(ReasonCode::kMaybeNetwork, 0.01 * round)},
                          .remedy = MakeReason(ReasonCode::kRemedyRaiseLimits)};
    decision.alarms = {MakeReason(ReasonCode::kAlarmAtMax, 9, 14 + round, "memory", absl::Minutes(round)),
                       MakeReason(ReasonCode::kAlarmNodeLost, "files-1", absl::Seconds(round)),
                       MakeReason(ReasonCode::kAlarmNodeLost, "files-3", absl::Seconds(round))};
    decision.actions = {{.node = "a",
                         .reason = MakeReason(ReasonCode::kLimitDemand, "a", 900 + round, 800, 850 + round),
                         .body = GrantLimits{.connection_count_max = 850 + round}}};
  });
}

TEST(ClusterStatusTest, NothingIsWrittenWhileOnlyTheLoadMoves) {
  const Json before = StatusOf(Trouble(1), Of(Well()), kNow);
  for (int round = 2; round < 60; ++round)
    ASSERT_EQ(StatusOf(Trouble(round), before, kNow + absl::Seconds(round)), before) << round;
}

TEST(ClusterStatusTest, ADiagnosisStandsAsItWasMadeWithWhatItRulesOut) {
  const Json before = Of(Trouble(1));
  EXPECT_EQ(before["diagnosis"]["cause"], "limit_exhausted_by_surge");
  EXPECT_EQ(before["diagnosis"]["sinceTime"], "2026-11-20T07:59:00Z");
  EXPECT_THAT(before["diagnosis"]["message"], HasSubstr("4 of 5 nodes are at their limit"));
  EXPECT_THAT(before["diagnosis"]["remedy"], HasSubstr("raise the connection limits"));
  ASSERT_EQ(before["diagnosis"]["ruledOut"].size(), 1u) << "what may be is not ruled out";
  EXPECT_THAT(before["diagnosis"]["ruledOut"][0], HasSubstr("Not the software: "));
  const ClusterFacts again =
      With(Trouble(2), [](Decision& decision) { decision.diagnosis.since = kNow + absl::Minutes(3); });
  EXPECT_THAT(StatusOf(again, before, kNow)["diagnosis"]["message"], HasSubstr("5 of 5 nodes are at their limit"));
}

TEST(ClusterStatusTest, AlarmsAreOneOfEachKind) {
  EXPECT_EQ(Of(Trouble(1))["alarms"],
            Json({{{"reason", "AlarmAtMax"}, {"message", "Capped at 9 nodes; more are wanted."}, {"count", 1}},
                  {{"reason", "AlarmNodeLost"}, {"message", "files-1 is lost: it is silent."}, {"count", 2}}}));
}

TEST(ClusterStatusTest, TheLastActionIsTheLastThatMovedNodes) {
  const ClusterFacts launch = With(Well(), [](Decision& decision) {
    decision.actions = {{.reason = MakeReason(ReasonCode::kLimitDemand, "a", 9, 8, 10), .body = GrantLimits{}},
                        {.reason = MakeReason(ReasonCode::kLaunchForDemand, 6, "connections"), .body = LaunchNode{}}};
  });
  const Json before = Of(launch);
  EXPECT_EQ(before["lastAction"], Json({{"reason", "LaunchForDemand"},
                                        {"message", "A node is launched, for 6 in all, as connections asks."},
                                        {"time", "2026-11-20T08:00:00Z"}}));
  EXPECT_EQ(StatusOf(Trouble(1), before, kNow)["lastAction"], before["lastAction"]);
  EXPECT_FALSE(Of(Trouble(1)).contains("lastAction"));
  ClusterFacts told = Trouble(1);
  told.last_scaling = launch.decision;
  EXPECT_EQ(Of(told)["lastAction"], before["lastAction"]);
}

TEST(ClusterStatusTest, WhatStoodThereBeforeMayBeAnything) {
  const Json good = Of(Trouble(1));
  for (const char* before :
       {"null", "[]", "\"text\"", "7", "{}", R"({"conditions": {}, "diagnosis": [], "lastAction": "no"})",
        R"({"conditions": [null, 3, {"type": 5}, {"type": "Ready"}, {"type": "Frozen", "status": "False"}]})",
        R"({"conditions": [{"type": "Frozen", "status": "False", "lastTransitionTime": "yesterday"}]})",
        R"({"conditions": [{"type": "Foreign", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]})",
        R"({"diagnosis": {"cause": "limit_exhausted_by_surge", "sinceTime": "2026-11-20T07:59:00Z", "message": 3}})",
        R"({"lastAction": {"reason": "X", "message": "y", "time": "never"}, "other": true})"}) {
    EXPECT_EQ(StatusOf(Trouble(1), Json::parse(before), kNow), good) << before;
  }
}

// What the API server would refuse or drop without a word.
void ExpectFits(const Json& value, const YAML::Node& schema, const std::string& path) {
  const std::string type = schema["type"].as<std::string>();
  if (type == "object") {
    ASSERT_TRUE(value.is_object()) << path;
    for (const auto& [name, field] : value.items()) {
      ASSERT_TRUE(schema["properties"][name].IsDefined()) << path << "." << name << " would be dropped";
      ExpectFits(field, schema["properties"][name], absl::StrCat(path, ".", name));
    }
    for (const auto& name : schema["required"]) EXPECT_TRUE(value.contains(name.as<std::string>())) << path;
  } else if (type == "array") {
    ASSERT_TRUE(value.is_array()) << path;
    if (schema["maxItems"]) {
      EXPECT_LE(value.size(), schema["maxItems"].as<size_t>()) << path;
      for (const Json& item : value) ExpectFits(item, schema["items"], absl::StrCat(path, "[]"));
    }
  } else if (type == "integer") {
    EXPECT_TRUE(value.is_number_integer()) << path;
  } else {
    ASSERT_TRUE(value.is_string()) << path;
    const std::string text = value.get<std::string>();
    if (schema["maxLength"]) {
      EXPECT_LE(text.size(), schema["maxLength"].as<size_t>()) << path;
      if (schema["pattern"]) {
        EXPECT_THAT(text, ::testing::MatchesRegex("[A-Za-z][A-Za-z0-9]*")) << path;
      }
    }
  }
}

TEST(ClusterStatusTest, EveryStatusFitsTheSchemaOfTheObject) {
  const YAML::Node version = YAML::Load(StorageClusterDefinition())["spec"]["versions"][0];
  const YAML::Node schema = version["schema"]["openAPIV3Schema"]["properties"]["status"];
  ClusterFacts many = Trouble(1);
  many.last_scaling = many.decision;
  many.spec = absl::InvalidArgumentError(std::string(100'000, 'x'));
  const ClusterFacts all_kinds = With(Trouble(1), [](Decision& decision) {
    decision.actions = {{.reason = MakeReason(ReasonCode::kTerminateDrained, "files-4"), .body = TerminateNode{}}};
    for (int code = 1; code < static_cast<int>(ReasonCode::kCount); ++code) {
      decision.alarms.push_back(MakeReason(static_cast<ReasonCode>(code)));
      decision.diagnosis.ruled_out.push_back(MakeReason(static_cast<ReasonCode>(code), std::string(9000, 'y')));
    }
  });
  for (const ClusterFacts& facts : {ClusterFacts{.generation = -1}, Well(), Trouble(1), many, all_kinds})
    ExpectFits(Of(facts), schema, "status");
}

}  // namespace
}  // namespace headroom
