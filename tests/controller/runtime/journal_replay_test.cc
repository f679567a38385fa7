#include "controller/runtime/journal_replay.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sqlite3.h>
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/runtime/differences.h"
#include "controller/runtime/recovery.h"
#include "controller/runtime/sqlite_journal.h"
#include "controller/sim/interval_model.h"
#include "controller/sim/runner.h"
#include "tests/controller/runtime/loop_world.h"

namespace headroom {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A cluster whose traffic rises and falls, and the journal of the loop that drove it.
class JournalReplayTest : public ::testing::Test {
 protected:
  JournalReplayTest() : folder_(absl::StrCat(testing::TempDir(), "journal_replay_", getpid())) {
    std::filesystem::remove_all(folder_);
  }
  ~JournalReplayTest() override { std::filesystem::remove_all(folder_); }

  static sim::Scenario Campaign() {
    sim::Scenario scenario;
    scenario.policy.mode = Mode::kLive;
    scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
    scenario.policy.limits.law.ceiling_count = 2000;
    scenario.cluster.initial_count = 3;
    scenario.cluster.settings.phases = {
        {.duration = absl::Minutes(3), .requests_per_second = 450, .clients = 150},
        {.duration = absl::Minutes(3), .requests_per_second = 1350, .clients = 750},
    };
    return scenario;
  }
  void Record(absl::Duration length) { Record(Campaign(), length); }
  void Record(sim::Scenario scenario, absl::Duration length) {
    auto journal = SqliteJournal::Open({.state_dir = folder_});
    ASSERT_TRUE(journal.ok()) << journal.status();
    scenario.journal = journal->get();
    sim::SimRunner run(scenario, std::make_unique<sim::IntervalModel>(scenario.cluster.settings));
    Go(run, **journal, run.start() + length);
  }
  // Virtual time is quicker than the disk, and what waits for it is bounded: the disk sets the pace.
  static void Go(sim::SimRunner& run, SqliteJournal& journal, absl::Time until) {
    while (run.now() < until) {
      run.RunUntil(std::min(until, run.now() + absl::Seconds(20)));
      ASSERT_TRUE(journal.Sync(absl::Seconds(60)).ok());
    }
  }
  absl::StatusOr<JournalReplay> Replay(const ReplayOptions& options = {}) const {
    HR_ASSIGN_OR_RETURN(const auto journal, JournalFile::Open(folder_));
    return ReplayJournal(*journal, options);
  }
  void Damage(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(absl::StrCat(folder_, "/journal.db").c_str(), &database), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(database);
  }
  std::string Bytes() const {
    std::ifstream file(folder_ + "/journal.db", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const std::string folder_;
};

TEST_F(JournalReplayTest, MakesEveryDecisionAgainFromTheVeryFirstSnapshot) {
  Record(absl::Minutes(10));
  const std::string before = Bytes();
  const auto replay = Replay();
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->first.has_value()) << replay->first->fields[0];
  EXPECT_GE(replay->ticks, 590) << "the first of three snapshots was kept";
  EXPECT_EQ(replay->compared, replay->ticks);
  EXPECT_THAT(replay->notes, IsEmpty());
  EXPECT_TRUE(Bytes() == before) << "the file was touched";
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/journal.db-shm"));
}

TEST_F(JournalReplayTest, GoesOnOverARestartOfTheController) {
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  for (int process = 0; process < 3; ++process) {  // each is killed
    const auto journal = SqliteJournal::Open({.state_dir = folder_});
    ASSERT_TRUE(journal.ok()) << journal.status();
    absl::StatusOr<Autoscaler> core = Recover(**journal, LoopPolicy(), now);
    ASSERT_TRUE(core.ok()) << core.status();
    std::vector<std::string> log;
    LoopWorld world(*std::move(core), **journal, log);
    world.now = now;
    for (const char* node : {"a", "b", "full"}) world.Add(node, node[0] == 'f' ? 190 : 60);
    for (int part = 0; part < 9; ++part) {
      world.Run(10);
      ASSERT_TRUE((*journal)->Sync(absl::Minutes(1)).ok());
    }
    now = world.now + absl::Minutes(1);
  }
  const auto replay = Replay();
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->first.has_value()) << replay->first->fields[0];
  EXPECT_EQ(replay->restarts, 2);
  EXPECT_GT(replay->compared, 200);
}

TEST_F(JournalReplayTest, TakesADecisionThatIsNotKeptForNoDifference) {
  Record(absl::Minutes(2));
  Damage("DELETE FROM decisions WHERE sequence = (SELECT MAX(sequence) FROM decisions)");
  auto replay = Replay();
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->first.has_value());
  EXPECT_GT(replay->not_kept, 0);
}

// Decisions of one release, facts as another would have met them: the node count of a policy that was not in force.
TEST_F(JournalReplayTest, ShowsTheFirstDecisionThatDiffersFieldByField) {
  Record(absl::Minutes(5));
  const std::string facts = folder_ + "_facts";
  std::filesystem::rename(folder_, facts);
  sim::Scenario other = Campaign();
  other.policy.nodes.max = 4;
  Record(other, absl::Minutes(5));
  Damage(absl::StrCat("ATTACH '", facts,
                      "/journal.db' AS facts; DELETE FROM events; DELETE FROM snapshots; "
                      "INSERT INTO events SELECT * FROM facts.events; "
                      "INSERT INTO snapshots SELECT * FROM facts.snapshots"));
  std::filesystem::remove_all(facts);
  const auto replay = Replay();
  ASSERT_TRUE(replay.ok()) << replay.status();
  ASSERT_TRUE(replay->first.has_value());
  EXPECT_GT(replay->first->sequence, 10u);
  EXPECT_THAT(replay->first->fields, Contains(HasSubstr(", now ")));
  EXPECT_LE(replay->first->fields.size(), kDifferencesMax);
}

TEST_F(JournalReplayTest, TellsDamagedEventsAndGoesOnAtTheNextSnapshot) {
  Record(absl::Minutes(4));
  Damage("UPDATE events SET body = x'00' WHERE id = (SELECT MIN(id) + MAX(id) FROM events) / 4");
  const auto replay = Replay();
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->first.has_value());
  EXPECT_THAT(replay->notes, Contains(HasSubstr(" are damaged: nothing is compared until the next snapshot")));
  EXPECT_GT(replay->compared, 30);
}

TEST_F(JournalReplayTest, ARowThatStandsThereTwiceIsToldAndEndsNoProgram) {
  Record(absl::Minutes(4));
  Damage(
      "UPDATE events SET (complete, body, checksum) = (SELECT complete, body, checksum FROM events ORDER BY id LIMIT "
      "1) "
      "WHERE id = (SELECT MAX(id) / 2 FROM events)");
  const auto replay = Replay();
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->first.has_value());
  EXPECT_EQ(replay->damaged, 1);
  EXPECT_THAT(replay->notes, Contains(HasSubstr("are out of order")));
  EXPECT_GT(replay->compared, 30);
}

TEST_F(JournalReplayTest, TellsWhereAnotherPolicyDecidesOtherwise) {
  Record(absl::Minutes(6));
  ReplayOptions options;
  options.other = Campaign().policy;
  auto same = Replay(options);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->ticks_nodes_differ, 0);
  options.other->nodes.max = 4;
  options.other->limits.law.ceiling_count = 300;
  const auto replay = Replay(options);
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_GT(replay->ticks_nodes_differ, 0);
  ASSERT_THAT(replay->divergences, Not(IsEmpty()));
  EXPECT_GT(replay->ticks_limits_differ, 0);
}

TEST_F(JournalReplayTest, RefusesWhatIsNoWholeJournal) {
  const auto code = [](const std::string& path) { return JournalFile::Open(path).status().code(); };
  EXPECT_EQ(code(folder_), absl::StatusCode::kNotFound);
  Record(absl::Minutes(2));
  const std::string path = folder_ + "/cut.db", bytes = Bytes();
  std::ofstream(path, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  EXPECT_EQ(code(path), absl::StatusCode::kDataLoss);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << "";
  EXPECT_EQ(code(path), absl::StatusCode::kDataLoss);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << std::string(10'000, 'x');
  EXPECT_EQ(code(path), absl::StatusCode::kDataLoss);
  Damage("PRAGMA user_version=99");
  EXPECT_THAT(JournalFile::Open(folder_).status().message(), HasSubstr("newer release"));
  Damage("PRAGMA application_id=7");
  EXPECT_EQ(code(folder_), absl::StatusCode::kFailedPrecondition);
}

TEST_F(JournalReplayTest, ReadsOneMomentOfAJournalThatIsBeingWritten) {
  auto journal = SqliteJournal::Open({.state_dir = folder_});
  ASSERT_TRUE(journal.ok()) << journal.status();
  sim::Scenario scenario = Campaign();
  scenario.journal = journal->get();
  sim::SimRunner run(scenario, std::make_unique<sim::IntervalModel>(scenario.cluster.settings));
  Go(run, **journal, run.start() + absl::Minutes(2));
  const auto file = JournalFile::Open(folder_);
  ASSERT_TRUE(file.ok()) << file.status();
  Go(run, **journal, run.start() + absl::Minutes(4));
  const auto newest = (*journal)->Decisions({.count = 1});
  ASSERT_TRUE(newest.ok() && newest->size() == 1);
  EXPECT_EQ((*file)->FindDecision(newest->front().sequence_last).status().code(), absl::StatusCode::kNotFound);
  const auto replay = ReplayJournal(**file, {});
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->first.has_value());
  EXPECT_LE(replay->to, run.start() + absl::Minutes(2));
  EXPECT_GT(replay->compared, 100);
}

}  // namespace
}  // namespace headroom
