#include "controller/runtime/recovery.h"

#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/wait.h>
#include <unistd.h>

#include "controller/runtime/records.h"
#include "controller/runtime/replay.h"
#include "controller/runtime/sqlite_journal.h"
#include "tests/controller/runtime/loop_world.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

using ::testing::Contains;

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() { policy_.nodes.min = policy_.nodes.max = 4; }

  std::unique_ptr<SqliteJournal> Open() {
    SqliteJournal::Options options;
    options.state_dir = dir_.path();
    absl::StatusOr<std::unique_ptr<SqliteJournal>> journal = SqliteJournal::Open(std::move(options));
    EXPECT_TRUE(journal.ok()) << journal.status();
    return *std::move(journal);
  }

  // Runs a controller with three calm nodes and a full one, and as many to launch as nodes.min asks for, for `seconds`;
  // returns the state of its core at the end.
  std::string RunController(SqliteJournal& journal, int seconds) {
    absl::StatusOr<Autoscaler> core = Recover(journal, policy_, now_);
    EXPECT_TRUE(core.ok()) << core.status();
    LoopWorld world(*std::move(core), journal, log_);
    world.now = now_;
    for (const char* id : {"a", "b", "c"}) world.Add(id, 60);
    world.Add("full", 190);
    world.Run(seconds);
    now_ = world.now;
    std::string state;
    std::thread loop([&] {
      while (state.empty()) world.loop.RunOnce(world.now);
    });
    EXPECT_TRUE(
        world.loop.Ask([&](const Autoscaler& asked) { state = EncodeState(asked.Save()); }, absl::Minutes(1)).ok());
    loop.join();
    EXPECT_TRUE(journal.Sync(absl::Minutes(1)).ok());
    return state;
  }

  TempDir dir_;
  Policy policy_ = LoopPolicy();
  std::vector<std::string> log_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

TEST_F(RecoveryTest, AnAbsurdTermOfOneNodeIsNotBelievedAfterARestartEither) {
  const auto journal = Open();
  Autoscaler core(policy_);
  NodeHello hello;
  hello.boot_id = "boot";
  hello.term_max_seen = 2 * kTermSeenMax;
  core.Observe(now_, NodeJoined{"a", hello});
  hello.term_max_seen = 41;
  core.Observe(now_, NodeJoined{"b", hello});
  journal->RecordSnapshot(now_, core);
  ASSERT_TRUE(journal->Sync(absl::Minutes(1)).ok());
  const absl::StatusOr<Autoscaler> recovered = Recover(*journal, policy_, now_);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_EQ(recovered->Save().term, 42);
}

TEST_F(RecoveryTest, AKilledControllerIsBackInTheStateThatItHad) {
  policy_.nodes.min = policy_.nodes.max = 5;
  const std::string state_file = dir_.path() + "/state-at-the-end";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto journal = Open();
    std::ofstream(state_file, std::ios::binary) << RunController(*journal, 90);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

  std::ifstream file(state_file, std::ios::binary);
  const std::string at_the_end((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_GT(at_the_end.size(), 1000u);
  const absl::StatusOr<Recovered> recovered = Open()->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  ASSERT_TRUE(recovered->snapshot.has_value());
  ASSERT_TRUE(recovered->complete);
  EXPECT_GT(recovered->since.size(), 10u) << "the last snapshot must not be all there is";
  Autoscaler core = Autoscaler::Load(recovered->snapshot->policy, recovered->snapshot->state);
  Replay(recovered->since, core);
  EXPECT_TRUE(EncodeState(core.Save()) == at_the_end);
}

TEST_F(RecoveryTest, EachStartHasATermAboveAllBefore) {
  for (int64_t term = 1; term <= 3; ++term) {
    const auto journal = Open();
    const absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
    ASSERT_TRUE(core.ok()) << core.status();
    EXPECT_EQ(core->Save().term, term);
  }
}

TEST_F(RecoveryTest, DecisionsGoOnWithTheNextNumber) {
  RunController(*Open(), 20);
  const auto journal = Open();
  const uint64_t last = journal->Recover()->sequence_max;
  ASSERT_GT(last, 10u);
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  EXPECT_EQ(core->Tick(now_ + absl::Seconds(1)).sequence, last + 1);
}

TEST_F(RecoveryTest, AnAbsenceOfTheControllerIsNobodysLoss) {
  RunController(*Open(), 30);
  now_ += absl::Minutes(10);
  const auto journal = Open();
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  const Decision decision = core->Tick(now_ + absl::Seconds(1));
  ASSERT_TRUE(core->fleet().nodes().contains("a"));
  for (const char* id : {"a", "b", "c", "full"}) {
    EXPECT_EQ(core->fleet().nodes().at(id).state, NodeState::kServing) << id;
    EXPECT_FALSE(core->fleet().nodes().at(id).connected) << id;
  }
  for (const Action& action : decision.actions) EXPECT_FALSE(ChangesMachines(action)) << ActionKind(action);
}

TEST_F(RecoveryTest, AMachineThatBootsWhileThereIsNoControllerIsNotTerminated) {
  policy_.nodes.min = policy_.nodes.max = 3;
  Autoscaler before(policy_);
  const auto launch = [&](const ActionId& id) { before.Observe(now_, ActionStarted{{id, 1, "", {}, LaunchNode{}}}); };
  launch("booting");
  ActionFinished done{"booting"};
  done.node = "machine";
  before.Observe(now_, done);
  launch("asked");
  ASSERT_TRUE(before.fleet().Find("machine")->listed);
  {
    const auto journal = Open();
    journal->RecordSnapshot(now_, before);
    ASSERT_TRUE(journal->Sync(absl::Minutes(1)).ok());
  }
  now_ += policy_.nodes.launch_timeout + absl::Minutes(1);
  absl::StatusOr<Autoscaler> core = Recover(*Open(), policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  const Decision decision = core->Tick(now_ + absl::Seconds(1));
  for (const Action& action : decision.actions) EXPECT_NE(ActionKind(action), "terminate");
  EXPECT_FALSE(core->fleet().Find("machine")->launch_failed);
  EXPECT_TRUE(core->fleet().in_flight().contains("asked"));
  EXPECT_EQ(core->fleet().launch_failures().in_a_row, 0);
  core->Tick(now_ + policy_.nodes.launch_timeout + absl::Seconds(2));
  EXPECT_TRUE(core->fleet().Find("machine")->launch_failed) << "its time goes on now";
}

// Reports may be left out of the journal, and the disk may have been full when it served.
TEST_F(RecoveryTest, ANodeThatServedUnrecordedIsNotTakenForOneThatNeverCame) {
  policy_.nodes.min = policy_.nodes.max = 3;
  Autoscaler before(policy_);
  before.Observe(now_, ActionStarted{{"launch", 1, "", {}, LaunchNode{}}});
  before.Observe(now_, ActionFinished{.id = "launch", .node = "machine"});
  NodeHello hello;
  hello.boot_id = "boot";
  before.Observe(now_, NodeJoined{"machine", hello});
  now_ += policy_.nodes.launch_timeout + absl::Minutes(1);
  const auto journal = Open();
  journal->RecordSnapshot(now_, before);
  ASSERT_TRUE(journal->Sync(absl::Minutes(1)).ok());
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  const Decision decision = core->Tick(now_ + absl::Seconds(1));
  for (const Action& action : decision.actions) EXPECT_NE(ActionKind(action), "terminate");
  EXPECT_FALSE(core->fleet().Find("machine")->launch_failed);
}

TEST_F(RecoveryTest, NothingIsLaunchedBeforeMachinesAreListedAgain) {
  policy_.nodes.min = policy_.nodes.max = 1;
  Autoscaler before(policy_);
  before.Observe(now_, MachinesListed{});
  const auto journal = Open();
  journal->RecordSnapshot(now_, before);
  ASSERT_TRUE(journal->Sync(absl::Minutes(1)).ok());
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  const auto kinds = [&](absl::Duration later) {
    std::vector<std::string> found;
    for (const Action& action : core->Tick(now_ + later).actions) found.emplace_back(ActionKind(action));
    return found;
  };
  const std::vector<std::string> first = kinds(absl::Seconds(1));
  EXPECT_THAT(first, Contains("list"));
  EXPECT_THAT(first, ::testing::Not(Contains("launch"))) << "the last process may have, and could not write it";
  core->Observe(now_ + absl::Seconds(2), MachinesListed{});
  EXPECT_THAT(kinds(absl::Seconds(3)), Contains("launch"));
}

TEST_F(RecoveryTest, AMachineActionWithoutAnOutcomeIsInFlightAndNotRepeated) {
  policy_.nodes.min = policy_.nodes.max = 5;
  RunController(*Open(), 30);
  ASSERT_THAT(log_, Contains("start launch"));
  const auto journal = Open();
  const absl::StatusOr<Recovered> recovered = journal->Recover();
  ASSERT_FALSE(recovered->open_intents.empty());
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  for (const Action& intent : recovered->open_intents) EXPECT_TRUE(core->fleet().in_flight().contains(intent.id));
  const Decision decision = core->Tick(now_ + absl::Seconds(1));
  for (const Action& action : decision.actions) EXPECT_FALSE(std::holds_alternative<LaunchNode>(action.body));
}

TEST_F(RecoveryTest, AnIntentWhoseEventWasNotWrittenIsInFlightToo) {
  {
    const auto journal = Open();
    const Action launch{"lost-event", 1, "", {}, LaunchNode{}};
    ASSERT_TRUE(journal->CommitIntents(now_, {launch}).ok());
  }
  absl::StatusOr<Autoscaler> core = Recover(*Open(), policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  EXPECT_TRUE(core->fleet().in_flight().contains("lost-event"));
}

TEST_F(RecoveryTest, AGapInTheRecordKeepsItsFactsAndTakesNoTicks) {
  {
    const auto journal = Open();
    RunController(*journal, 5);
    journal->RecordEvent(now_, HoldChanged{HoldDirection::kBoth, now_ + absl::Hours(1), "kept", "operator"});
    ASSERT_TRUE(journal->Sync(absl::Minutes(1)).ok());
  }
  {
    absl::StatusOr<std::unique_ptr<SqliteConnection>> file =
        SqliteConnection::Open(dir_.path() + "/journal.db", SqliteConnection::Access::kWrite);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Execute("UPDATE events SET body=x'00' WHERE id=(SELECT MAX(id) - 1 FROM events)").ok());
  }
  const auto journal = Open();
  const absl::Time last_tick = journal->Recover()->snapshot->state.scale.filled_at;
  ASSERT_NE(last_tick, absl::InfinitePast());
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, now_);
  ASSERT_TRUE(core.ok()) << core.status();
  EXPECT_EQ(core->Save().scale.filled_at, last_tick);
  ASSERT_EQ(core->Save().holds.size(), 1u);
  EXPECT_EQ(core->Save().holds[0].reason, "kept");
}

TEST_F(RecoveryTest, ARowThatStandsThereTwiceDoesNotKeepTheControllerFromStarting) {
  {
    const auto journal = Open();
    for (int part = 0; part < 3; ++part) RunController(*journal, 5);
  }
  {
    absl::StatusOr<std::unique_ptr<SqliteConnection>> file =
        SqliteConnection::Open(dir_.path() + "/journal.db", SqliteConnection::Access::kWrite);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)
                    ->Execute("UPDATE events SET (complete, body, checksum) = (SELECT complete, body, checksum FROM "
                              "events ORDER BY id LIMIT 1) WHERE id = (SELECT MAX(id) FROM events)")
                    .ok());
  }
  EXPECT_TRUE(Recover(*Open(), policy_, now_).ok());
}

TEST_F(RecoveryTest, BehindAClockThatWasSetBackTheCoresTimeDoesNotGoBack) {
  const auto journal = Open();
  RunController(*journal, 5);
  const absl::Time last = now_ + absl::Milliseconds(900);
  journal->RecordEvent(last, HoldChanged{HoldDirection::kBoth, now_ + absl::Hours(1), "kept", "operator"});
  ASSERT_TRUE(journal->Sync(absl::Minutes(1)).ok());
  const absl::Time wall = now_ - absl::Hours(1);
  absl::StatusOr<Autoscaler> core = Recover(*journal, policy_, wall);
  ASSERT_TRUE(core.ok()) << core.status();
  const LoopWorld world(*std::move(core), *journal, log_);
  EXPECT_GE(world.loop.CoreTime(wall), last);
}

}  // namespace
}  // namespace headroom
