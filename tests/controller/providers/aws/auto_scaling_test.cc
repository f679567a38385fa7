#include "controller/providers/aws/auto_scaling.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/aws/fake_auto_scaling.h"

namespace headroom::aws {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(20);

class AutoScalingTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  AutoScalingOptions Options() {
    return {.group = "files",
            .region = "eu-west-1",
            .endpoint = aws_.url(),
            .credentials = {FromEnvironment({{"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "secret"}})},
            .say = [this](absl::string_view line) { said_.emplace_back(line); },
            .wait = [this](absl::Duration time) { waited_.push_back(time); }};
  }
  void Reopen() {
    auto provider = AutoScalingProvider::Open(Options(), clock_);
    ASSERT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
  }
  absl::Status Opening(const AutoScalingOptions& options) {
    return AutoScalingProvider::Open(options, clock_).status();
  }
  absl::StatusOr<NodeId> Launch(const ActionId& id, int64_t term = 1) {
    return provider_->Launch({.id = id, .term = term}, kPatience);
  }
  absl::Status Terminate(const NodeId& node) { return provider_->Terminate(node, kPatience); }
  std::vector<Machine> List() {
    auto machines = provider_->List(kPatience);
    EXPECT_TRUE(machines.ok()) << machines.status();
    return machines.value_or(std::vector<Machine>());
  }
  // The launches of what is listed, of those that have one.
  std::map<NodeId, ActionId> Launched() {
    std::map<NodeId, ActionId> launched;
    for (const Machine& machine : List()) {
      if (!machine.launch_id.empty()) launched[machine.node] = machine.launch_id;
    }
    return launched;
  }

  SystemClock clock_;
  FakeAutoScaling aws_{3};
  std::vector<std::string> said_;
  std::vector<absl::Duration> waited_;
  std::unique_ptr<AutoScalingProvider> provider_;
};

TEST_F(AutoScalingTest, ItsInstancesAreMachinesInTheirZones) {
  const std::vector<Machine> machines = List();
  ASSERT_THAT(machines, SizeIs(3));
  EXPECT_EQ(machines[1].node, aws_.instances()[1]);
  EXPECT_EQ(machines[1].zone, "eu-west-1b");
  EXPECT_EQ(machines[1].state, Machine::State::kRunning);
  EXPECT_EQ(machines[1].launch_id, "");
  EXPECT_EQ(aws_.Writes(), 0) << "who only looks writes nothing";
}

TEST_F(AutoScalingTest, EveryWordForALifeIsTaken) {
  const std::vector<std::string> ids = aws_.instances();
  aws_.SetState(ids[0], "Pending:Proceed");
  aws_.SetState(ids[1], "ReplacingRootVolumeAndWhatComesNext");
  aws_.SetState(ids[2], "Warmed:Stopped");
  const std::vector<Machine> machines = List();
  ASSERT_THAT(machines, SizeIs(2)) << "a warm pool's is not there yet";
  EXPECT_EQ(machines[0].state, Machine::State::kStarting);
  EXPECT_EQ(machines[1].state, Machine::State::kRunning) << "nothing ends for a word that we do not know";
  aws_.SetState(ids[1], "Terminating:Proceed");
  EXPECT_EQ(List()[1].state, Machine::State::kStopping);
}

TEST_F(AutoScalingTest, ALaunchAnswersWithItsInstance) {
  const std::vector<std::string> before = aws_.instances();
  const auto node = Launch("launch-1");
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(aws_.capacity(), 4);
  EXPECT_EQ(std::count(before.begin(), before.end(), *node), 0);
  EXPECT_EQ(Launched(), (std::map<NodeId, ActionId>{{*node, "launch-1"}}));
  EXPECT_EQ(*Launch("launch-1"), *node) << "again it is the same";
  EXPECT_EQ(aws_.capacity(), 4);
}

TEST_F(AutoScalingTest, WhatIsAwaitedIsListedWithoutANameSoThatNobodyAsksAgain) {
  aws_.ComeLate();
  ASSERT_EQ(Launch("launch-1").value(), "");
  ASSERT_EQ(Launch("launch-2").value(), "");
  EXPECT_EQ(aws_.capacity(), 5);
  Reopen();  // the next leader knows it from the group alone
  ASSERT_THAT(List(), SizeIs(5));
  EXPECT_EQ(List()[3].node, "");
  EXPECT_EQ(List()[3].launch_id, "launch-1");
  ASSERT_TRUE(Launch("launch-2", 2).ok());
  EXPECT_EQ(aws_.capacity(), 5);
  aws_.Boot();
  const auto first = Launched();
  EXPECT_THAT(first, SizeIs(2));
  EXPECT_EQ(first.count(""), 0u);
  EXPECT_EQ(Launched(), first);
}

TEST_F(AutoScalingTest, WhoIsWhoseDoesNotChangeWithThoseThatComeLater) {
  aws_.ComeLate();
  ASSERT_TRUE(Launch("launch-1").ok());
  aws_.Boot();
  const auto first = Launched();
  aws_.ComeLate();
  for (int i = 2; i <= 6; ++i) ASSERT_TRUE(Launch(absl::StrCat("launch-", i)).ok());
  aws_.Boot();
  const auto all = Launched();
  EXPECT_THAT(all, SizeIs(6));
  EXPECT_EQ(all.at(first.begin()->first), "launch-1");
}

TEST_F(AutoScalingTest, ALaunchThatWasNotedAndNotDoneIsDoneByTheNextTry) {
  aws_.Inject({.action = "SetDesiredCapacity", .code = 400, .error = "ValidationError"});
  EXPECT_EQ(Launch("launch-1").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(aws_.capacity(), 3);
  ASSERT_TRUE(Launch("launch-2").ok());
  ASSERT_TRUE(Launch("launch-1").ok());
  EXPECT_EQ(aws_.capacity(), 5) << "each of both is an instance";
}

TEST_F(AutoScalingTest, AStockOutIsSaidInAwsWordsAndNoMoreIsAskedFor) {
  const std::string words = "We currently do not have sufficient m5.large capacity in zones with support for 'gp3'";
  aws_.RunOutOfStock(words);
  for (const char* id : {"launch-1", "launch-2", "launch-3"}) {
    const absl::Status told = Launch(id).status();
    EXPECT_EQ(told.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(told.message()), HasSubstr(words));
  }
  EXPECT_EQ(aws_.capacity(), 4) << "AWS goes on trying for one";
  EXPECT_THAT(List(), SizeIs(3)) << "and nobody waits for it";
  aws_.RunOutOfStock("");
  ASSERT_TRUE(Launch("launch-4").ok());
  EXPECT_EQ(aws_.capacity(), 5);
}

TEST_F(AutoScalingTest, AFailureOfTheSameMillisecondIsNotOlder) {
  const auto api = QueryApi::Connect(
      {.endpoint = aws_.url(), .region = "eu-west-1", .service = "autoscaling", .version = "2011-01-01"},
      std::make_unique<CredentialChain>(Options().credentials, clock_), clock_);
  ASSERT_TRUE(api.ok()) << api.status();
  GroupApi group(**api, "files");
  aws_.RunOutOfStock("no capacity");
  aws_.SetCapacity(4);
  const auto activities = (*api)->Call({.action = "DescribeScalingActivities"});
  ASSERT_TRUE(activities.ok()) << activities.status();
  const std::string text = activities->result.child("Activities").child("member").child_value("StartTime");
  absl::Time began;
  std::string ignored;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &began, &ignored)) << text;
  EXPECT_EQ(group.LastFailure(began + absl::Microseconds(999), kPatience).value_or("error"), "no capacity");
  EXPECT_EQ(group.LastFailure(began + absl::Milliseconds(1), kPatience).value_or("error"), "");
}

TEST_F(AutoScalingTest, TheRoomOfALaunchThatWasGivenUpIsTheNextOnes) {
  aws_.RunOutOfStock("no capacity");
  ASSERT_FALSE(Launch("launch-1").ok());
  aws_.TryAnew();
  EXPECT_EQ(Launch("launch-2").value(), "");
  EXPECT_EQ(aws_.capacity(), 4) << "one is still to come";
  aws_.RunOutOfStock("");
  const auto launched = Launched();
  ASSERT_THAT(launched, SizeIs(1));
  EXPECT_EQ(launched.begin()->second, "launch-2");
}

TEST_F(AutoScalingTest, TheNamedInstanceLeavesWithItsPlace) {
  const std::string victim = aws_.instances()[1];
  ASSERT_TRUE(Terminate(victim).ok());
  EXPECT_EQ(aws_.capacity(), 2);
  EXPECT_EQ(aws_.StateOf(victim), "");
  ASSERT_TRUE(Terminate(victim).ok()) << "gone is gone";
  EXPECT_EQ(aws_.capacity(), 2);
  EXPECT_EQ(aws_.CountOf("TerminateInstanceInAutoScalingGroup"), 1);
}

TEST_F(AutoScalingTest, ATerminationWhoseFateIsUnknownIsLookedAtBeforeItIsRepeated) {
  const std::string victim = aws_.instances()[1];
  aws_.Inject({.action = "TerminateInstanceInAutoScalingGroup",
               .code = 503,
               .error = "ServiceUnavailable",
               .after_effect = true});
  EXPECT_EQ(Terminate(victim).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(aws_.CountOf("TerminateInstanceInAutoScalingGroup"), 1) << "twice would take two places";
  EXPECT_TRUE(Terminate(victim).ok());
  EXPECT_EQ(aws_.capacity(), 2);
}

TEST_F(AutoScalingTest, ALaunchThatIsUnderWayOutlivesATermination) {
  aws_.ComeLate();
  ASSERT_TRUE(Launch("launch-1").ok());
  ASSERT_TRUE(Terminate(aws_.instances()[0]).ok());
  EXPECT_EQ(aws_.capacity(), 3);
  ASSERT_TRUE(Launch("launch-1").ok());
  EXPECT_EQ(aws_.capacity(), 3) << "it was asked for already";
  aws_.Boot();
  EXPECT_THAT(Launched(), SizeIs(1));
}

TEST_F(AutoScalingTest, AnInstanceThatAHookHoldsIsLetGo) {
  aws_.AddHook("drain");
  const std::string victim = aws_.instances()[1];
  ASSERT_TRUE(Terminate(victim).ok());
  EXPECT_EQ(aws_.StateOf(victim), "") << "it was drained before";
  EXPECT_EQ(aws_.CountOf("CompleteLifecycleAction"), 1);
}

TEST_F(AutoScalingTest, AnInstanceThatComesToItsHookLateHasLeftAndIsLetGoByTheNextList) {
  aws_.AddHook("drain");
  aws_.LeaveSlowly();
  const std::string victim = aws_.instances()[1], other = aws_.instances()[2];
  EXPECT_TRUE(provider_->Terminate(victim, absl::Milliseconds(1900)).ok()) << "or a dying one is taken back";
  EXPECT_EQ(List()[1].state, Machine::State::kStopping);
  aws_.SetState(victim, "Terminating:Wait");
  aws_.SetState(other, "Terminating:Wait");
  List();
  EXPECT_EQ(aws_.StateOf(victim), "");
  EXPECT_EQ(aws_.StateOf(other), "Terminating:Wait") << "somebody else ends it, and may have it held for something";
  EXPECT_EQ(aws_.CountOf("TerminateInstanceInAutoScalingGroup"), 1);
}

TEST_F(AutoScalingTest, AnInstanceThatCannotBeLetGoDoesNotKeepTheOthers) {
  aws_.AddHook("drain");
  aws_.LeaveSlowly();
  const std::vector<std::string> victims = {aws_.instances()[1], aws_.instances()[2]};
  for (const std::string& victim : victims) ASSERT_TRUE(provider_->Terminate(victim, absl::Milliseconds(1900)).ok());
  for (const std::string& victim : victims) aws_.SetState(victim, "Terminating:Wait");
  said_.clear();
  aws_.Inject({.action = "CompleteLifecycleAction", .code = 403, .error = "AccessDenied"});
  List();
  EXPECT_EQ(aws_.CountOf("CompleteLifecycleAction"), 2);
  EXPECT_NE(aws_.StateOf(victims[0]).empty(), aws_.StateOf(victims[1]).empty()) << "one of them has gone";
  EXPECT_THAT(said_, ElementsAre(HasSubstr("wait at a lifecycle hook")));
  List();
  EXPECT_EQ(aws_.StateOf(victims[0]) + aws_.StateOf(victims[1]), "");
}

TEST_F(AutoScalingTest, AHookThatCannotBeAskedIsSaidAndEndsNothing) {
  aws_.AddHook("drain");
  said_.clear();
  aws_.Inject({.action = "CompleteLifecycleAction", .code = 403, .error = "AccessDenied", .times = 2});
  const std::string victim = aws_.instances()[1];
  EXPECT_TRUE(Terminate(victim).ok());
  EXPECT_THAT(List(), SizeIs(3));
  EXPECT_THAT(said_, ElementsAre(HasSubstr(victim + " leaves, and a lifecycle hook may hold it"),
                                 HasSubstr("wait at a lifecycle hook")));
  List();
  EXPECT_EQ(aws_.StateOf(victim), "");
}

TEST_F(AutoScalingTest, TheBoundsOfTheGroupAreSaidWithWhatToDo) {
  aws_.SetBounds(3, 3);
  const absl::Status up = Launch("launch-1").status(), down = Terminate(aws_.instances()[0]);
  EXPECT_EQ(up.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(up.message()), AllOf(HasSubstr("MaxSize 3"), HasSubstr("or lower nodes.max")));
  EXPECT_EQ(down.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(down.message()), AllOf(HasSubstr("MinSize 3"), HasSubstr("or raise nodes.min")));
  EXPECT_EQ(aws_.Writes(), 0);
}

TEST_F(AutoScalingTest, AGroupOfManyInstancesIsRunAsAnyOther) {
  aws_.SetBounds(1, 2000);
  aws_.SetCapacity(700);
  EXPECT_EQ(provider_->Fence(3, kPatience).value(), 3);
  const auto node = Launch("launch-1", 3);
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(Launched(), (std::map<NodeId, ActionId>{{*node, "launch-1"}}));
  EXPECT_TRUE(Terminate(*node).ok());
  EXPECT_EQ(aws_.capacity(), 700);
}

TEST_F(AutoScalingTest, AControllerOfAnOlderTermDoesNothing) {
  ASSERT_TRUE(Launch("launch-1", 7).ok());
  const auto late = Launch("launch-2", 6);
  EXPECT_EQ(late.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("a controller of term 7 acts on the group"));
  EXPECT_EQ(aws_.capacity(), 4);
}

TEST_F(AutoScalingTest, ThatAwsMayEndUndrainedInstancesIsSaidOnce) {
  EXPECT_THAT(said_, ElementsAre(HasSubstr("--scaling-processes AZRebalance")));
  said_.clear();
  aws_.Suspend("AZRebalance");
  Reopen();
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(AutoScalingTest, WhatCannotBeOpenedSaysWhatToDo) {
  AutoScalingOptions options = Options();
  options.group = "other";
  EXPECT_EQ(Opening(options).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Opening(options).message()), HasSubstr("check provider.aws.group and provider.aws.region"));
  aws_.SetStatus("Delete in progress");
  EXPECT_THAT(std::string(Opening(Options()).message()), HasSubstr("says \"Delete in progress\""));
}

}  // namespace
}  // namespace headroom::aws
