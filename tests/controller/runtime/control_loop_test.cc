#include "controller/runtime/control_loop.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/runtime/records.h"
#include "controller/runtime/replay.h"
#include "tests/controller/runtime/loop_world.h"

namespace headroom {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class ControlLoopTest : public ::testing::Test {
 protected:
  std::ptrdiff_t FirstOf(const std::string& entry) const {
    return std::find(log_.begin(), log_.end(), entry) - log_.begin();
  }
  template <typename T>
  int Observed() const {
    return static_cast<int>(std::count_if(journal_.records().begin(), journal_.records().end(), [](const Recorded& r) {
      return r.event && std::holds_alternative<T>(*r.event);
    }));
  }

  std::vector<std::string> log_;
  SpyJournal journal_{log_};
  LoopWorld world_{Autoscaler(LoopPolicy()), journal_, log_};
};

TEST_F(ControlLoopTest, PublishesEachDecisionToItsReadersAndItsListener) {
  EXPECT_EQ(world_.loop.Latest(), nullptr);
  std::vector<uint64_t> heard;
  world_.loop.OnDecision([&](std::shared_ptr<const Decision> decision) { heard.push_back(decision->sequence); });
  world_.Run(3);
  ASSERT_NE(world_.loop.Latest(), nullptr);
  ASSERT_FALSE(heard.empty());
  EXPECT_EQ(world_.loop.Latest()->sequence, heard.back());
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
}

TEST_F(ControlLoopTest, LimitsGoOutBeforeTheIntentsOfMachineActionsAreWritten) {
  world_.Add("full", 195);
  world_.Run(20);
  ASSERT_THAT(log_, Contains("start grant_limits"));
  ASSERT_THAT(log_, Contains("start launch"));
  EXPECT_LT(FirstOf("start grant_limits"), FirstOf("intent launch"));
  EXPECT_LT(FirstOf("intent launch"), FirstOf("start launch"));
}

TEST_F(ControlLoopTest, AnIntentThatCannotBeWrittenDoesNotStopALaunch) {
  journal_.intents_health = absl::UnavailableError("the disk is gone");
  world_.Add("full", 195);
  world_.Run(20);
  EXPECT_THAT(log_, Contains("intent launch"));
  EXPECT_THAT(log_, Contains("start launch"));
  EXPECT_GE(Observed<JournalChanged>(), 1);
}

TEST_F(ControlLoopTest, AnIntentThatCannotBeWrittenStopsATerminateAndIsObservedAsItsFailure) {
  for (const char* id : {"a", "b", "c"}) world_.Add(id, 5);
  journal_.intents_health = absl::UnavailableError("the disk is gone");
  world_.Run(120);
  ASSERT_THAT(log_, Contains("intent terminate")) << "the scenario must come so far";
  EXPECT_THAT(log_, Not(Contains("start terminate")));
  const bool failed = std::any_of(journal_.records().begin(), journal_.records().end(), [](const Recorded& record) {
    const auto* finished = record.event ? std::get_if<ActionFinished>(&*record.event) : nullptr;
    return finished != nullptr && finished->code == absl::StatusCode::kUnavailable;
  });
  EXPECT_TRUE(failed);
}

TEST_F(ControlLoopTest, ADryRunLeavesNoIntentsThatWouldFailOnceItIsLive) {
  Policy policy = LoopPolicy();
  policy.mode = Mode::kDryRun;
  LoopWorld world(Autoscaler(policy), journal_, log_);
  world.Add("full", 195);
  world.Run(20);
  ASSERT_THAT(log_, Contains("start launch"));
  EXPECT_THAT(log_, Not(Contains("intent launch")));
}

TEST_F(ControlLoopTest, AnIntentThatIsWrittenLetsATerminateGo) {
  for (const char* id : {"a", "b", "c"}) world_.Add(id, 5);
  world_.Run(120);
  ASSERT_THAT(log_, Contains("start terminate"));
  EXPECT_LT(FirstOf("intent terminate"), FirstOf("start terminate"));
}

TEST_F(ControlLoopTest, ANewHealthOfTheJournalIsObservedOnceAndSoIsItsHealing) {
  journal_.health = journal_.intents_health = absl::ResourceExhaustedError("full");
  world_.Run(5);
  EXPECT_EQ(Observed<JournalChanged>(), 1);
  journal_.health = journal_.intents_health = absl::OkStatus();
  world_.Run(5);
  EXPECT_EQ(Observed<JournalChanged>(), 2);
}

TEST_F(ControlLoopTest, CommitsAndSnapshotsAtTheirIntervals) {
  world_.Run(130);
  EXPECT_EQ(journal_.snapshots, 3);
  EXPECT_GE(journal_.commits, 100);
  EXPECT_LE(journal_.commits, 5 * 130);
}

TEST_F(ControlLoopTest, WhatItRecordsGivesTheSameStateAgain) {
  for (const char* id : {"a", "b", "c"}) world_.Add(id, 150);
  world_.Run(60);
  Autoscaler again(LoopPolicy());
  const std::vector<Recorded> records(journal_.records().begin(), journal_.records().end());
  ASSERT_FALSE(Replay(records, again).empty());
  std::string state;
  std::thread loop([&] {
    while (state.empty()) world_.loop.RunOnce(world_.now);
  });
  ASSERT_TRUE(
      world_.loop.Ask([&](const Autoscaler& core) { state = EncodeState(core.Save()); }, absl::Minutes(1)).ok());
  loop.join();
  EXPECT_TRUE(state == EncodeState(again.Save()));
}

TEST_F(ControlLoopTest, AQuestionThatTheLoopDoesNotReachEndsWithItsTimeAndNeverRuns) {
  bool ran = false;
  const absl::Status status = world_.loop.Ask([&](const Autoscaler&) { ran = true; }, absl::Milliseconds(10));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  world_.Run(1);
  EXPECT_FALSE(ran);
}

TEST_F(ControlLoopTest, AQuestionToALoopThatEndsIsToldSoAtOnce) {
  absl::Status waiting;
  std::thread asker([&] { waiting = world_.loop.Ask([](const Autoscaler&) {}, absl::Hours(1)); });
  EXPECT_TRUE(world_.loop.Finish(world_.now).ok());
  asker.join();
  EXPECT_TRUE(absl::IsUnavailable(waiting)) << waiting;
}

TEST_F(ControlLoopTest, AQuestionIsAnsweredOnTheLoopsThread) {
  std::atomic<bool> stop{false};
  std::thread::id loop_thread;
  std::thread loop([&] {
    loop_thread = std::this_thread::get_id();
    while (!stop) {
      world_.loop.RunOnce(world_.now);
      world_.loop.Wait([&] { return world_.now; }, world_.now + absl::Milliseconds(50));
    }
  });
  std::thread::id asked_on;
  EXPECT_TRUE(
      world_.loop.Ask([&](const Autoscaler&) { asked_on = std::this_thread::get_id(); }, absl::Minutes(1)).ok());
  stop = true;
  world_.loop.Wake();
  loop.join();
  EXPECT_EQ(asked_on, loop_thread);
}

TEST_F(ControlLoopTest, AClockThatGoesBackDoesNotStopTheDecisions) {
  world_.Run(5);
  const uint64_t before = world_.loop.Latest()->sequence;
  const absl::Time at = world_.loop.Latest()->at;
  world_.now -= absl::Hours(1);
  world_.Run(5);
  EXPECT_GE(world_.loop.Latest()->sequence, before + 4);
  EXPECT_GE(world_.loop.Latest()->at, at);
}

TEST_F(ControlLoopTest, TheCoresTimeIsTheSameForThoseWhoGiveItTimes) {
  ManualClock wall(world_.now);
  const CoreClock clock(wall, world_.loop);
  EXPECT_EQ(clock.Now(), world_.now);
  world_.Run(5);
  const absl::Time at = world_.loop.Latest()->at;
  wall.Set(at - absl::Hours(2));
  EXPECT_EQ(clock.Now(), at) << "before the loop has seen that the clock was set back";
  world_.loop.RunOnce(wall.Now());
  wall.Advance(absl::Seconds(1));
  EXPECT_EQ(clock.Now(), at + absl::Seconds(1));
}

TEST_F(ControlLoopTest, AClockThatIsSetRightAgainMakesNoNodeLookSilent) {
  for (const char* id : {"node-1", "node-2", "node-3"}) world_.Add(id, 130);
  world_.Run(10);
  world_.now -= absl::Hours(1);
  world_.Run(10);
  const Decision before = *world_.loop.Latest();
  ASSERT_EQ(before.serving_count, 3);
  world_.now += absl::Hours(1);
  EXPECT_LE(world_.loop.CoreTime(world_.now), before.at + absl::Seconds(5)) << "for those who give it times";
  world_.loop.RunOnce(world_.now);  // before any node has spoken again
  EXPECT_EQ(world_.loop.Latest()->serving_count, 3);
  EXPECT_LE(world_.loop.Latest()->at, before.at + absl::Seconds(5));
  world_.Run(5);
  EXPECT_EQ(world_.loop.Latest()->serving_count, 3);
  EXPECT_LE(world_.loop.Latest()->at - world_.now, absl::Seconds(1)) << "and the core is ahead no more";
}

TEST_F(ControlLoopTest, ALongSleepOfAClockThatWasNeverSetBackIsTime) {
  world_.Run(5);
  world_.now += absl::Hours(1);
  world_.Run(1);
  EXPECT_EQ(world_.loop.Latest()->at, world_.now);
}

}  // namespace
}  // namespace headroom
