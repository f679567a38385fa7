#include "controller/server/operator/cluster_events.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Action Launch(int nodes) {
  return {.reason = MakeReason(ReasonCode::kLaunchForDemand, nodes, "connections"), .body = LaunchNode{}};
}
Action Drain(const std::string& node) {
  return {.node = node, .reason = MakeReason(ReasonCode::kDrainForDemand, node, 3, 4), .body = DrainNode{}};
}
Action Grant(const std::string& node) {
  return {.node = node, .reason = MakeReason(ReasonCode::kLimitDemand, node, 900, 800, 1000), .body = GrantLimits{}};
}

Published Of(std::vector<Action> actions, Mode mode = Mode::kLive) {
  return {.decision = std::make_shared<const Decision>(Decision{.mode = mode, .actions = std::move(actions)})};
}

// "Normal LaunchForDemand Launch"
std::vector<std::string> Heads(const std::vector<ClusterEvent>& events) {
  std::vector<std::string> heads;
  for (const ClusterEvent& event : events) {
    heads.push_back(absl::StrCat(event.type == ClusterEvent::Type::kWarning ? "Warning " : "Normal ", event.reason, " ",
                                 event.action));
  }
  return heads;
}

TEST(ClusterEventsTest, ADecisionThatDoesNothingIsNoEvent) {
  EXPECT_THAT(EventsOf(Of({})), IsEmpty());
  EXPECT_THAT(EventsOf(Of({{.body = ListMachines{}}, {.body = GrantLimits{.renewal = true}}, {.body = SetServers{}}})),
              IsEmpty());
}

TEST(ClusterEventsTest, WhatMovesNodesIsOneEventAndLimitsAreAnother) {
  const auto events = EventsOf(Of({Grant("a"), Launch(6), Launch(6), Drain("b"), Grant("c")}));
  EXPECT_THAT(Heads(events), ElementsAre("Normal LaunchForDemand Launch", "Normal LimitDemand GrantLimits"));
  EXPECT_EQ(events[0].note, "A node is launched, for 6 in all, as connections asks. In all: 1 drained, 2 launched.");
  EXPECT_EQ(events[1].note, "a: demand 900 came near the limit 800; raised to 1,000. In all: 2 limits set.");
}

TEST(ClusterEventsTest, OneActionIsItsSentence) {
  EXPECT_EQ(EventsOf(Of({Drain("b")}))[0].note, "b is drained, with 3 connections open: 4 nodes are enough.");
}

TEST(ClusterEventsTest, ADryRunSaysThatNothingIsCarriedOut) {
  EXPECT_THAT(EventsOf(Of({Launch(6)}, Mode::kDryRun))[0].note,
              HasSubstr("Dry run, nothing is carried out: A node is launched"));
}

TEST(ClusterEventsTest, ADiagnosisIsTellingWithItsRemedyWhenItChanges) {
  Published published = Of({});
  Decision decision;
  decision.diagnosis = {.cause = Cause::kSurge,
                        .reason = MakeReason(ReasonCode::kDiagnosisSurge, 5, 5, 4000, 4000, 70),
                        .remedy = MakeReason(ReasonCode::kRemedyRaiseLimits)};
  published.decision = std::make_shared<const Decision>(decision);
  EXPECT_THAT(EventsOf(published), IsEmpty());
  published.diagnosis_changed = true;
  const auto events = EventsOf(published);
  EXPECT_THAT(Heads(events), ElementsAre("Warning DiagnosisSurge Diagnose"));
  EXPECT_THAT(events[0].note, HasSubstr("exhausted by a surge"));
  EXPECT_THAT(events[0].note, HasSubstr("Shorten the idle timeout"));
  published.decision = std::make_shared<const Decision>();
  EXPECT_THAT(Heads(EventsOf(published)), ElementsAre("Normal DiagnosisNone Diagnose"));
}

TEST(ClusterEventsTest, AlarmsThatBeginAndEndAreOneEventOfEachKind) {
  Published published = Of({});
  for (int i = 0; i < 10'000; ++i)
    published.alarms_begun.push_back(
        MakeReason(ReasonCode::kAlarmNodeLost, absl::StrCat("files-", i), absl::Seconds(9)));
  published.alarms_begun.push_back(MakeReason(ReasonCode::kAlarmJournal, "disk full"));
  published.alarms_ended = {MakeReason(ReasonCode::kAlarmProvider, "launch", "quota exceeded")};
  const auto events = EventsOf(published);
  EXPECT_THAT(Heads(events), ElementsAre("Warning AlarmNodeLost RaiseAlarm", "Warning AlarmJournal RaiseAlarm",
                                         "Normal AlarmProviderOver EndAlarm"));
  EXPECT_EQ(events[0].note, "files-0 is lost: silent for 9s. And 9999 more.");
  EXPECT_EQ(events[2].note, "Over: The provider failed to launch: quota exceeded");
}

TEST(ClusterEventsTest, ANoteIsCutToWhatTheServerTakes) {
  const ClusterEvent event = PolicyRefusedEvent(absl::InvalidArgumentError(std::string(5000, 'x')), InForce::kNothing);
  EXPECT_THAT(event.note, SizeIs(ClusterEvent::kNoteMax));
}

TEST(ClusterEventsTest, EventsOfTheObjectItself) {
  const absl::Status faults = absl::InvalidArgumentError("nodes.max: is missing\nmode: no such mode");
  EXPECT_THAT(Heads({PolicyRefusedEvent(faults, InForce::kPolicyBefore), PolicyTakenEvent(),
                     NotRunEvent(absl::NotFoundError("there is no statefulset files")),
                     NotRunEvent(absl::AlreadyExistsError("the name is taken")), TakenUpEvent("files"),
                     GivenUpEvent("files", "its object was deleted")}),
              ElementsAre("Warning PolicyRefused ApplyPolicy", "Normal PolicyTaken ApplyPolicy", "Warning NotRun Open",
                          "Warning NameTaken Open", "Normal TakenUp Open", "Normal GivenUp Close"));
  EXPECT_EQ(PolicyRefusedEvent(faults, InForce::kPolicyBefore).note,
            "The spec is refused, and the policy before it stays in force: nodes.max: is missing; mode: no such mode");
}

}  // namespace
}  // namespace headroom
