// What every provider must do, whatever its nodes are.
#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/server/dry_run_executor.h"
#include "tests/controller/providers/conformance/provider_under_test.h"

namespace headroom {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kPatience = ProviderUnderTest::kPatience;
using Code = absl::StatusCode;

class ProviderConformance : public ::testing::TestWithParam<ProviderKind> {
 protected:
  Provider& provider() { return world_->provider(); }
  std::vector<Machine> List() {
    const auto machines = provider().List(kPatience);
    EXPECT_TRUE(machines.ok()) << machines.status();
    return machines.value_or(std::vector<Machine>());
  }
  absl::StatusOr<NodeId> Launch(const ActionId& id, int64_t term = 1) {
    return provider().Launch({.id = id, .term = term}, kPatience);
  }
  absl::Status Terminate(const NodeId& node) { return provider().Terminate(node, kPatience); }
  std::set<NodeId> Nodes() {
    const std::vector<NodeId> nodes = world_->Nodes();
    return {nodes.begin(), nodes.end()};
  }
  // What a list says: eventually, for some platforms are watched.
  bool Soon(const std::function<bool()>& is_so) {
    for (int step = 0; step < 2000 && !is_so(); ++step) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return is_so();
  }
  // Who leaves next where only one can; it is what the provider itself says of all others.
  NodeId Victim() {
    std::vector<Machine> machines = List();
    if (machines.empty()) return "";
    return GetParam().can.named_termination
               ? machines[machines.size() / 2].node
               : std::max_element(machines.begin(), machines.end(), [](auto& a, auto& b) {
                   return std::pair(a.node.size(), a.node) < std::pair(b.node.size(), b.node);
                 })->node;
  }
  void Need(int count) {
    for (int i = 0; static_cast<int>(Nodes().size()) < count; ++i)
      ASSERT_TRUE(Launch("first-" + std::to_string(i)).ok());
    ASSERT_TRUE(Soon([&] { return List().size() == Nodes().size(); }));
  }
  static void ExpectSentence(const absl::Status& status) {
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    EXPECT_GT(status.message().size(), 5u);
    EXPECT_LT(status.message().size(), 500u) << status;
  }

  std::unique_ptr<ProviderUnderTest> world_ = GetParam().make();
};

#define SKIP_UNLESS(happens) \
  if (!(happens)) GTEST_SKIP() << GetParam().name << " has no such thing"

TEST_P(ProviderConformance, SaysWhatItCanDo) {
  const ProviderCapabilities can = provider().capabilities();
  EXPECT_EQ(can.named_termination, GetParam().can.named_termination);
  EXPECT_EQ(can.zones, GetParam().can.zones);
  EXPECT_EQ(can.fenced, GetParam().can.fenced);
}

TEST_P(ProviderConformance, ListsWhatThereIsAndWritesNothing) {
  const int writes = world_->Writes();
  ASSERT_TRUE(Soon([&] { return List().size() == Nodes().size(); }));
  for (const Machine& machine : List()) {
    EXPECT_TRUE(Nodes().contains(machine.node));
    EXPECT_EQ(machine.launch_id, "") << "nobody has launched it";
  }
  EXPECT_EQ(world_->Writes(), writes);
}

TEST_P(ProviderConformance, ListsWhatItLaunchedWithItsAction) {
  const std::set<NodeId> before = Nodes();
  const auto node = provider().Launch({.id = "c-1-1-0", .zone = "z", .term = 1}, kPatience);
  ASSERT_TRUE(node.ok()) << node.status();
  std::set<NodeId> added = Nodes();
  for (const NodeId& old : before) added.erase(old);
  ASSERT_EQ(added.size(), 1u);
  EXPECT_THAT(*node, AnyOf(Eq(""), Eq(*added.begin())));
  const auto is_listed = [&] {
    const std::vector<Machine> machines = List();
    return std::any_of(machines.begin(), machines.end(), [&](const Machine& machine) {
      return machine.node == *added.begin() && machine.launch_id == "c-1-1-0" &&
             machine.state != Machine::State::kStopping;
    });
  };
  EXPECT_TRUE(Soon(is_listed));
}

TEST_P(ProviderConformance, LaunchesOnceForOneAction) {
  const int before = world_->Asked();
  const auto first = Launch("c-1-1-0"), again = Launch("c-1-1-0"), other = Launch("c-1-1-1");
  ASSERT_TRUE(first.ok() && again.ok() && other.ok());
  EXPECT_THAT(*again, AnyOf(Eq(*first), Eq("")));
  EXPECT_EQ(world_->Asked(), before + 2);
}

TEST_P(ProviderConformance, LaunchesOnceForOneActionWhoeverAsks) {
  const int before = world_->Asked();
  ASSERT_TRUE(Launch("c-1-1-0").ok());
  SKIP_UNLESS(world_->Reopen());
  ASSERT_TRUE(Launch("c-1-1-0", 2).ok());
  EXPECT_EQ(world_->Asked(), before + 1);
}

TEST_P(ProviderConformance, ListsALaunchWhoseMachineIsStillToCome) {
  SKIP_UNLESS(world_->ComeLate());
  ASSERT_TRUE(Launch("c-1-1-0").ok());
  SKIP_UNLESS(world_->Reopen());
  const std::vector<Machine> machines = List();
  EXPECT_EQ(std::count_if(machines.begin(), machines.end(),
                          [](const Machine& machine) {
                            return machine.launch_id == "c-1-1-0" && machine.state == Machine::State::kStarting;
                          }),
            1)
      << "or the next controller launches it again";
}

TEST_P(ProviderConformance, RefusesALaunchWithoutAnAction) {
  const int before = world_->Asked();
  EXPECT_EQ(Launch("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(world_->Asked(), before);
}

TEST_P(ProviderConformance, TerminatesTheNodeThatIsNamedAndNoOther) {
  Need(3);
  const std::set<NodeId> before = Nodes();
  const NodeId victim = Victim();
  ASSERT_TRUE(Terminate(victim).ok());
  std::set<NodeId> expected = before;
  expected.erase(victim);
  EXPECT_EQ(Nodes(), expected);
}

TEST_P(ProviderConformance, WhereItCannotChooseItSaysSoAndDoesNothing) {
  if (GetParam().can.named_termination) GTEST_SKIP() << GetParam().name << " takes whom it is told";
  const std::set<NodeId> before = Nodes();
  const NodeId next = Victim();
  for (const NodeId& node : before) {
    if (node == next) continue;
    const absl::Status told = Terminate(node);
    EXPECT_EQ(told.code(), Code::kFailedPrecondition);
    EXPECT_THAT(std::string(told.message()), HasSubstr(next)) << "who would leave instead";
  }
  EXPECT_EQ(Nodes(), before);
}

TEST_P(ProviderConformance, TakesAlreadyGoneForDone) {
  Need(2);
  const size_t before = Nodes().size();
  const NodeId node = Victim();
  EXPECT_TRUE(Terminate(node).ok());
  EXPECT_TRUE(Terminate(node).ok());
  EXPECT_TRUE(Terminate("never-there-77").ok());
  EXPECT_EQ(Nodes().size(), before - 1);
}

TEST_P(ProviderConformance, DoesNotLaunchAgainForAnActionWhoseNodeIsGone) {
  Need(1);
  const std::set<NodeId> before = Nodes();
  ASSERT_TRUE(Launch("a").ok());
  ASSERT_TRUE(Soon([&] { return List().size() == before.size() + 1; }));
  std::set<NodeId> added = Nodes();
  for (const NodeId& old : before) added.erase(old);
  ASSERT_EQ(added.size(), 1u);
  ASSERT_TRUE(Terminate(*added.begin()).ok());
  EXPECT_TRUE(Launch("a").ok());
  EXPECT_EQ(Nodes(), before);
}

TEST_P(ProviderConformance, KeepsItsDeadlines) {
  Need(1);
  const absl::Time begin = absl::Now();
  const absl::Status status = provider().Terminate(Victim(), absl::ZeroDuration());
  EXPECT_THAT(status.code(), AnyOf(Code::kOk, Code::kDeadlineExceeded)) << status;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST_P(ProviderConformance, KeepsItsDeadlinesWhereNobodyAnswers) {
  SKIP_UNLESS(world_->Inject(Trouble::kSilence, Verb::kLaunch));
  const int before = world_->Asked();
  const absl::Time begin = absl::Now();
  const absl::Status status = provider().Launch({.id = "a", .term = 1}, absl::Milliseconds(300)).status();
  EXPECT_THAT(status.code(), AnyOf(Code::kDeadlineExceeded, Code::kUnavailable)) << status;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  EXPECT_LE(world_->Asked(), before + 1);
}

TEST_P(ProviderConformance, AListThatFailsSaysWhetherToTryAgain) {
  SKIP_UNLESS(world_->Inject(Trouble::kServerError, Verb::kList));
  const absl::Status told = provider().List(kPatience).status();
  EXPECT_THAT(told.code(), AnyOf(Code::kOk, Code::kUnavailable)) << told;
  EXPECT_TRUE(provider().List(kPatience).ok()) << "it is over";
}

// A change that met trouble is repeated until it is done: it is done once.
class ProviderInTrouble : public ProviderConformance {
 protected:
  void LaunchThrough(Trouble trouble) {
    const int before = world_->Asked();
    SKIP_UNLESS(world_->Inject(trouble, Verb::kLaunch));
    const absl::Status told = Launch("c-1-1-0").status();
    EXPECT_THAT(told.code(), AnyOf(Code::kOk, Code::kUnavailable, Code::kDeadlineExceeded)) << told;
    if (!told.ok()) ExpectSentence(told);
    const absl::Status again = Launch("c-1-1-0").status();
    EXPECT_TRUE(again.ok()) << again;
    EXPECT_EQ(world_->Asked(), before + 1);
    ASSERT_TRUE(Launch("c-1-1-1").ok());
    EXPECT_EQ(world_->Asked(), before + 2);
  }
  void TerminateThrough(Trouble trouble) {
    Need(3);
    const std::set<NodeId> before = Nodes();
    const NodeId victim = Victim();
    SKIP_UNLESS(world_->Inject(trouble, Verb::kTerminate));
    const absl::Status told = Terminate(victim);
    EXPECT_THAT(told.code(), AnyOf(Code::kOk, Code::kUnavailable, Code::kDeadlineExceeded)) << told;
    if (!told.ok()) ExpectSentence(told);
    const absl::Status again = Terminate(victim);
    EXPECT_TRUE(again.ok()) << again;
    std::set<NodeId> expected = before;
    expected.erase(victim);
    EXPECT_EQ(Nodes(), expected);
    EXPECT_EQ(world_->Asked(), static_cast<int>(expected.size()));
  }
};

TEST_P(ProviderConformance, AMissingPermissionNeedsAPerson) {
  Need(2);
  const std::set<NodeId> before = Nodes();
  const NodeId victim = Victim();
  SKIP_UNLESS(world_->Inject(Trouble::kForbidden, Verb::kLaunch));
  for (const absl::Status& told :
       {Launch("a").status(), Terminate(victim), provider().List(absl::Seconds(2)).status()}) {
    EXPECT_EQ(told.code(), Code::kPermissionDenied) << told;
    ExpectSentence(told);
  }
  EXPECT_EQ(Nodes(), before);
}

TEST_P(ProviderConformance, AWordThatNobodyKnowsHidesNoNode) {
  Need(2);
  SKIP_UNLESS(world_->SayUnknownWord());
  EXPECT_TRUE(Soon([&] { return List().size() == Nodes().size(); }));
  for (const Machine& machine : List()) EXPECT_NE(machine.state, Machine::State::kStopping) << machine.node;
}

TEST_P(ProviderConformance, WhatThePlatformForgotIsReadAnew) {
  SKIP_UNLESS(world_->Compact());
  ASSERT_TRUE(Launch("a").ok());
  EXPECT_TRUE(Soon([&] { return List().size() == Nodes().size(); }));
}

TEST_P(ProviderConformance, AStockOutIsSaidAndNoMoreIsAskedFor) {
  const int before = world_->Asked();
  SKIP_UNLESS(world_->RunOutOfStock());
  for (const char* id : {"a", "b", "c"}) {
    const absl::Status told = Launch(id).status();
    EXPECT_EQ(told.code(), Code::kResourceExhausted) << told;
    ExpectSentence(told);
  }
  EXPECT_LE(world_->Asked(), before + 1);
}

TEST_P(ProviderConformance, OneThatIsFencedRefusesAnOlderTermByItself) {
  if (!GetParam().can.fenced) GTEST_SKIP() << GetParam().name << " is not fenced";
  ASSERT_TRUE(Launch("a", 7).ok());
  const int before = world_->Asked();
  const absl::Status late = Launch("b", 6).status();
  EXPECT_EQ(late.code(), Code::kFailedPrecondition);
  EXPECT_THAT(std::string(late.message()), HasSubstr("term 7"));
  EXPECT_EQ(world_->Asked(), before);
}

TEST_P(ProviderConformance, WhoComesWithAnOlderTermIsTold) {
  ASSERT_EQ(provider().Fence(7, kPatience).value(), 7);
  SKIP_UNLESS(world_->Reopen());
  if (!GetParam().can.fenced) GTEST_SKIP() << GetParam().name << " is not fenced";
  EXPECT_EQ(provider().Fence(6, kPatience).value(), 7);
  const std::set<NodeId> before = Nodes();
  EXPECT_EQ(Launch("a", 6).status().code(), Code::kFailedPrecondition);
  for (const NodeId& node : before) EXPECT_EQ(Terminate(node).code(), Code::kFailedPrecondition);
  EXPECT_EQ(Nodes(), before);
}

TEST_P(ProviderConformance, ADryRunWritesNothing) {
  Need(2);
  ASSERT_TRUE(Soon([&] { return List().size() == Nodes().size(); }));
  const std::set<NodeId> before = Nodes();
  const int writes = world_->Writes();
  const NodeId victim = Victim();
  const std::vector<Action> actions = {{.id = "1", .body = LaunchNode{}},
                                       {.id = "2", .node = victim, .body = DrainNode{}},
                                       {.id = "3", .node = victim, .body = TerminateNode{}},
                                       {.id = "4", .node = victim, .body = GrantLimits{}},
                                       {.id = "5", .body = ListMachines{}}};
  std::atomic<int> listed = 0, finished = 0;
  {
    DryRunExecutor executor({.lister = MachineLister(provider()),
                             .post =
                                 [&](const Event& event) {
                                   if (std::holds_alternative<MachinesListed>(event)) ++listed;
                                   return absl::OkStatus();
                                 },
                             .finish = [&](const Action&, const ActionFinished&) { ++finished; }},
                            absl::ZeroDuration());
    for (const Action& action : actions) executor.Start(action);
    EXPECT_TRUE(Soon([&] { return finished == static_cast<int>(actions.size()); })) << finished;
  }
  EXPECT_EQ(listed, 1) << "it really asked";
  EXPECT_EQ(Nodes(), before);
  EXPECT_EQ(world_->Writes(), writes);
}

TEST_P(ProviderInTrouble, ALaunchThatIsThrottledIsDoneOnce) {
  LaunchThrough(Trouble::kThrottled);
}
TEST_P(ProviderInTrouble, ALaunchThatFailsAtTheServerIsDoneOnce) {
  LaunchThrough(Trouble::kServerError);
}
TEST_P(ProviderInTrouble, ALaunchThatIsHalfDoneIsDoneOnce) {
  LaunchThrough(Trouble::kPartialEffect);
}
TEST_P(ProviderInTrouble, ALaunchWhoseAnswerIsLostIsDoneOnce) {
  LaunchThrough(Trouble::kLostAnswer);
}
TEST_P(ProviderInTrouble, ALaunchThatMeetsAnotherWriterIsDoneOnce) {
  LaunchThrough(Trouble::kConflict);
}
TEST_P(ProviderInTrouble, ATerminationThatIsThrottledIsDoneOnce) {
  TerminateThrough(Trouble::kThrottled);
}
TEST_P(ProviderInTrouble, ATerminationThatFailsAtTheServerIsDoneOnce) {
  TerminateThrough(Trouble::kServerError);
}
TEST_P(ProviderInTrouble, ATerminationThatIsHalfDoneIsDoneOnce) {
  TerminateThrough(Trouble::kPartialEffect);
}
TEST_P(ProviderInTrouble, ATerminationWhoseAnswerIsLostIsDoneOnce) {
  TerminateThrough(Trouble::kLostAnswer);
}
TEST_P(ProviderInTrouble, ATerminationThatMeetsAnotherWriterIsDoneOnce) {
  TerminateThrough(Trouble::kConflict);
}

std::string NameOf(const ::testing::TestParamInfo<ProviderKind>& kind) {
  return kind.param.name;
}

INSTANTIATE_TEST_SUITE_P(Providers, ProviderConformance, ::testing::ValuesIn(KindsUnderTest()), NameOf);
INSTANTIATE_TEST_SUITE_P(Providers, ProviderInTrouble, ::testing::ValuesIn(KindsUnderTest()), NameOf);

}  // namespace
}  // namespace headroom
