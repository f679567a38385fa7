#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "controller/server/dry_run_executor.h"
#include "controller/server/live_executor.h"

namespace headroom {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

// Outcomes and events as they come back.
class Outcomes {
 public:
  Finish finish() {
    return [this](const Action& action, ActionFinished finished) {
      absl::MutexLock lock(&mutex_);
      finished_[action.id] = std::move(finished);
    };
  }
  Post post() {
    return [this](Event event) {
      absl::MutexLock lock(&mutex_);
      events_.push_back(std::move(event));
      return absl::OkStatus();
    };
  }
  bool Has(const ActionId& id) {
    absl::MutexLock lock(&mutex_);
    return finished_.contains(id);
  }
  ActionFinished Wait(const ActionId& id) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] { return finished_.contains(id); };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience)) << id;
    return finished_[id];
  }
  std::vector<Event> events() {
    absl::MutexLock lock(&mutex_);
    return events_;
  }

 private:
  absl::Mutex mutex_;
  std::map<ActionId, ActionFinished> finished_;
  std::vector<Event> events_;
};

class FakeProvider : public Provider, public NodeControl {
 public:
  ProviderCapabilities capabilities() const override { return {}; }
  absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration) override {
    if (term_seen > term) return term_seen.load();
    return fenced = term;
  }
  absl::StatusOr<std::vector<Machine>> List(absl::Duration) override {
    if (lists_fail-- > 0) return absl::UnavailableError("no answer");
    return machines;
  }
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration) override {
    ++touched;
    if (launch != nullptr) launch->WaitForNotification();
    return "made-by-" + request.id;
  }
  absl::Status Terminate(const NodeId&, absl::Duration) override {
    ++touched;
    if (terminate != nullptr) terminate->WaitForNotification();
    return absl::UnavailableError("busy");
  }
  absl::Status Send(const Action&) override {
    ++touched;
    return absl::NotFoundError("not connected");
  }
  std::vector<Machine> machines{{.node = "node-1", .launch_id = "old-launch"}};
  absl::Notification* launch = nullptr;     // a launch takes until then
  absl::Notification* terminate = nullptr;  // and a termination
  std::atomic<int> touched{0}, lists_fail{0};
  std::atomic<int64_t> term_seen{0}, fenced{0};  // at the platform
};

Action Make(ActionId id, ActionBody body) {
  Action action;
  action.id = std::move(id);
  action.node = "node-1";
  action.body = std::move(body);
  return action;
}

static_assert(!std::is_constructible_v<DryRunExecutor::Ports, Provider&, Post, Finish>,
              "a dry run holds a lister, never a provider");

TEST(DryRunExecutorTest, AnswersEveryActionHypotheticallyAndTouchesNothing) {
  FakeProvider provider;
  Outcomes outcomes;
  DryRunExecutor executor({MachineLister(provider), outcomes.post(), outcomes.finish()}, absl::ZeroDuration());
  const std::vector<Action> actions = {Make("grant", GrantLimits{}),  Make("shed", ShedConnections{}),
                                       Make("launch", LaunchNode{}),  Make("drain", DrainNode{}),
                                       Make("cancel", CancelDrain{}), Make("terminate", TerminateNode{}),
                                       Make("servers", SetServers{})};
  for (const Action& action : actions) executor.Start(action);
  for (const Action& action : actions) {
    const ActionFinished finished = outcomes.Wait(action.id);
    EXPECT_TRUE(finished.hypothetical) << action.id;
    EXPECT_EQ(finished.code, absl::StatusCode::kOk) << action.id;
  }
  EXPECT_EQ(provider.touched, 0);
}

TEST(DryRunExecutorTest, ListsForReal) {
  FakeProvider provider;
  Outcomes outcomes;
  DryRunExecutor executor({MachineLister(provider), outcomes.post(), outcomes.finish()}, absl::ZeroDuration());
  executor.Start(Make("list", ListMachines{}));
  EXPECT_FALSE(outcomes.Wait("list").hypothetical);
  ASSERT_EQ(outcomes.events().size(), 1u);
  EXPECT_EQ(std::get<MachinesListed>(outcomes.events()[0]).machines[0].node, "node-1");
}

TEST(DryRunExecutorTest, ALaunchTakesItsLeadTimeAndNothingElseDoes) {
  FakeProvider provider;
  Outcomes outcomes;
  DryRunExecutor executor({MachineLister(provider), outcomes.post(), outcomes.finish()}, absl::Hours(1));
  executor.Start(Make("launch", LaunchNode{}));
  executor.Start(Make("drain", DrainNode{}));
  outcomes.Wait("drain");
  EXPECT_FALSE(outcomes.Has("launch"));
}

TEST(LiveExecutorTest, TheOutcomeCarriesTheMachineAndTheCode) {
  FakeProvider provider;
  Outcomes outcomes;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()});
  executor.Start(Make("a", LaunchNode{}));
  executor.Start(Make("b", TerminateNode{}));
  EXPECT_EQ(outcomes.Wait("a").node, "made-by-a");
  EXPECT_FALSE(outcomes.Wait("a").hypothetical);
  EXPECT_EQ(outcomes.Wait("b").code, absl::StatusCode::kUnavailable);
}

TEST(LiveExecutorTest, GrowthDoesNotWaitBehindTerminations) {
  FakeProvider provider;
  Outcomes outcomes;
  absl::Notification ended;
  provider.terminate = &ended;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()});
  for (int i = 0; i < 20; ++i) executor.Start(Make(absl::StrCat("terminate-", i), TerminateNode{}));
  executor.Start(Make("launch", LaunchNode{}));
  executor.Start(Make("list", ListMachines{}));
  EXPECT_EQ(outcomes.Wait("launch").node, "made-by-launch");
  outcomes.Wait("list");
  EXPECT_FALSE(outcomes.Has("terminate-0"));
  ended.Notify();
  outcomes.Wait("terminate-19");
}

TEST(LiveExecutorTest, WhatWaitsForTheProviderWhenItIsDisabledIsNeverAsked) {
  FakeProvider provider;
  Outcomes outcomes;
  absl::Notification ended;
  provider.launch = provider.terminate = &ended;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()});
  constexpr int kEach = 20, kThreads = 4;
  for (int i = 0; i < kEach; ++i) {
    executor.Start(Make(absl::StrCat("launch-", i), LaunchNode{}));
    executor.Start(Make(absl::StrCat("terminate-", i), TerminateNode{}));
  }
  for (const absl::Time end = absl::Now() + kPatience; provider.touched < 2 * kThreads && absl::Now() < end;) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  ASSERT_EQ(provider.touched, 2 * kThreads);
  executor.DropWaiting();
  ended.Notify();
  int dropped = 0;
  for (int i = 0; i < kEach; ++i) {
    for (const char* kind : {"launch-", "terminate-"}) {
      const ActionFinished finished = outcomes.Wait(absl::StrCat(kind, i));
      if (!absl::StrContains(finished.message, "disabled")) continue;
      ++dropped;
      EXPECT_EQ(finished.code, absl::StatusCode::kUnavailable);
    }
  }
  EXPECT_EQ(provider.touched, 2 * kThreads);
  EXPECT_EQ(dropped, 2 * (kEach - kThreads));
  executor.Start(Make("enabled-again", LaunchNode{}));
  EXPECT_EQ(outcomes.Wait("enabled-again").node, "made-by-enabled-again");
}

TEST(LiveExecutorTest, ANodeThatIsAwayMakesAGrantUnavailableNotAFault) {
  FakeProvider provider;
  Outcomes outcomes;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()});
  executor.Start(Make("grant", GrantLimits{}));
  EXPECT_EQ(outcomes.Wait("grant").code, absl::StatusCode::kUnavailable);
}

TEST(LiveExecutorTest, AfterARestartOpenIntentsAreHeldAgainstTheListAndNeverRepeated) {
  FakeProvider provider;
  Outcomes outcomes;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()});
  Action gone = Make("terminated", TerminateNode{});
  gone.node = "node-9";
  executor.Resolve(
      {Make("old-launch", LaunchNode{}), Make("lost-launch", LaunchNode{}), Make("still-there", TerminateNode{}), gone},
      [] { return 3; });
  EXPECT_EQ(outcomes.Wait("old-launch").node, "node-1");
  EXPECT_EQ(outcomes.Wait("lost-launch").code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(outcomes.Wait("still-there").code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(outcomes.Wait("terminated").code, absl::StatusCode::kOk);
  EXPECT_EQ(provider.touched, 0);
}

TEST(LiveExecutorTest, AfterARestartALaunchWhoseMachineIsStillToComeIsDoneAndHasNoNodeYet) {
  FakeProvider provider;
  provider.machines = {{.node = "", .state = Machine::State::kStarting, .launch_id = "late-launch"}};
  Outcomes outcomes;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()});
  executor.Resolve({Make("late-launch", LaunchNode{})}, [] { return 3; });
  const ActionFinished late = outcomes.Wait("late-launch");
  EXPECT_EQ(late.code, absl::StatusCode::kOk) << "or it would be launched a second time";
  EXPECT_EQ(late.node, "");
}

TEST(LiveExecutorTest, AfterARestartAListThatFailsIsAskedForAgainAndDecidesNothing) {
  FakeProvider provider;
  provider.machines = {{.node = "node-1", .launch_id = "old-launch"}};
  provider.lists_fail = 3;
  Outcomes outcomes;
  LiveExecutor executor({provider, provider, outcomes.post(), outcomes.finish()},
                        {.look_pause = absl::Milliseconds(5)});
  executor.Resolve({Make("old-launch", LaunchNode{})}, [] { return 3; });
  EXPECT_EQ(outcomes.Wait("old-launch").code, absl::StatusCode::kOk) << "or it would be launched a second time";
}

TEST(LiveExecutorTest, WhatWasOpenIsLookedAtOnlyOnceOlderTermsAreFencedOff) {
  FakeProvider provider;
  provider.term_seen = 9;
  Outcomes outcomes;
  std::atomic<int64_t> term{3};
  LiveExecutor executor(
      {provider, provider, outcomes.post(), outcomes.finish(), [&term](int64_t seen) { term = seen + 1; }},
      {.look_pause = absl::Milliseconds(5)});
  executor.Resolve({Make("lost-launch", LaunchNode{})}, [&term] { return term.load(); });
  EXPECT_EQ(outcomes.Wait("lost-launch").code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(provider.fenced, 10);
}

}  // namespace
}  // namespace headroom
