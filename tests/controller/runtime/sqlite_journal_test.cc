#include "controller/runtime/sqlite_journal.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/mount.h>

#include "controller/runtime/records.h"
#include "tests/controller/runtime/journal_fixture.h"
#include "tests/controller/runtime/loop_world.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(SqliteJournalTest, AFreshJournalRemembersNothing) {
  const auto journal = Open();
  const absl::StatusOr<Recovered> recovered = journal->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->snapshot.has_value());
  EXPECT_THAT(recovered->since, IsEmpty());
  EXPECT_TRUE(recovered->complete);
  EXPECT_EQ(recovered->term_max, 0);
  EXPECT_EQ(recovered->sequence_max, 0u);
  EXPECT_THAT(recovered->open_intents, IsEmpty());
  EXPECT_THAT(recovered->notes, IsEmpty());
}

TEST_F(SqliteJournalTest, WhatWasCommittedIsThereAfterAReopen) {
  {
    const auto journal = Open();
    ASSERT_TRUE(journal->WriteTerm(7, kLong).ok());
    journal->RecordEvent(kStart, Fact(1));
    Autoscaler core(LoopPolicy());
    core.Observe(kStart, TermChanged{7});
    journal->RecordSnapshot(kStart + absl::Seconds(1), core);
    journal->RecordEvent(kStart + absl::Seconds(2), Fact(2));
    journal->RecordTick(kStart + absl::Seconds(3), MakeDecision(5, 1));
    ASSERT_TRUE(journal->CommitIntents(kStart, {Launch("open"), Launch("ended")}).ok());
    journal->RecordEvent(kStart + absl::Seconds(4), ActionFinished{.id = "ended"});
    ASSERT_TRUE(journal->Sync(kLong).ok());
  }
  const auto journal = Open();
  const absl::StatusOr<Recovered> recovered = journal->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  ASSERT_TRUE(recovered->snapshot.has_value());
  EXPECT_EQ(recovered->snapshot->at, kStart + absl::Seconds(1));
  EXPECT_EQ(recovered->snapshot->state.term, 7);
  EXPECT_EQ(recovered->snapshot->policy.nodes.max, LoopPolicy().nodes.max);
  ASSERT_THAT(recovered->since, SizeIs(3));
  EXPECT_EQ(std::get<HoldChanged>(*recovered->since[0].event).reason, "fact 2");
  EXPECT_FALSE(recovered->since[1].event.has_value());
  EXPECT_EQ(recovered->since[1].at, kStart + absl::Seconds(3));
  EXPECT_TRUE(std::holds_alternative<ActionFinished>(*recovered->since[2].event));
  EXPECT_TRUE(recovered->complete);
  EXPECT_EQ(recovered->term_max, 7);
  EXPECT_EQ(recovered->sequence_max, 5u);
  ASSERT_THAT(recovered->open_intents, SizeIs(1));
  EXPECT_EQ(recovered->open_intents[0].id, "open");
}

TEST_F(SqliteJournalTest, ASecondDaemonOnTheSameDirectoryGetsOneClearSentence) {
  const auto journal = Open();
  const absl::Status second = SqliteJournal::Open(Options()).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()),
              HasSubstr(absl::StrCat("is in use by another headroomd (process ", getpid(), ")")));
}

TEST_F(SqliteJournalTest, ADecisionThatSaysTheSameExtendsTheRowOfTheOneBefore) {
  const auto journal = Open();
  for (uint64_t i = 1; i <= 10; ++i) journal->RecordTick(kStart, MakeDecision(i, 3));
  journal->RecordTick(kStart, MakeDecision(11, 4));
  ASSERT_TRUE(journal->Sync(kLong).ok());
  const absl::StatusOr<std::vector<JournalEntry>> entries = journal->Decisions({});
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_THAT(*entries, SizeIs(2));
  EXPECT_EQ((*entries)[0].decision.sequence, 11u);
  EXPECT_EQ((*entries)[1].decision.sequence, 1u);
  EXPECT_EQ((*entries)[1].sequence_last, 10u);
  EXPECT_EQ((*entries)[1].until, kStart + absl::Seconds(10));
  EXPECT_EQ(journal->FindDecision(6)->decision.sequence, 1u);
  EXPECT_EQ(journal->FindDecision(11)->decision.desired_count, 4);
  EXPECT_EQ(journal->FindDecision(12).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SqliteJournalTest, DecisionsArePagedNewestFirstAndFiltered) {
  const auto journal = Open();
  for (uint64_t i = 1; i <= 20; ++i) {
    journal->RecordTick(kStart, i % 5 == 0 ? MakeActingDecision(i) : MakeDecision(i, static_cast<int>(i)));
  }
  ASSERT_TRUE(journal->Sync(kLong).ok());
  const auto sequences = [&](const Journal::Page& page) {
    std::vector<uint64_t> found;
    const absl::StatusOr<std::vector<JournalEntry>> entries = journal->Decisions(page);
    EXPECT_TRUE(entries.ok()) << entries.status();
    for (const JournalEntry& entry : *entries) found.push_back(entry.decision.sequence);
    return found;
  };
  EXPECT_THAT(sequences({.count = 3}), ElementsAre(20u, 19u, 18u));
  EXPECT_THAT(sequences({.before_sequence = 18, .count = 2}), ElementsAre(17u, 16u));
  EXPECT_THAT(sequences({.only_acting = true}), ElementsAre(20u, 15u, 10u, 5u));
  EXPECT_THAT(sequences({.since = kStart + absl::Seconds(19)}), ElementsAre(20u, 19u));
}

TEST_F(SqliteJournalTest, ADecisionThatOnlyChangesTheDiagnosisIsPartOfTheHistory) {
  const auto journal = Open();
  const auto diagnose = [&](uint64_t sequence, Cause cause) {
    auto decision = std::make_shared<Decision>(*MakeDecision(sequence, static_cast<int>(sequence)));
    decision->diagnosis.cause = cause;
    journal->RecordTick(decision->at, decision);
  };
  diagnose(1, Cause::kNone);
  diagnose(2, Cause::kSurge);
  diagnose(3, Cause::kSurge);
  diagnose(4, Cause::kNone);
  ASSERT_TRUE(journal->Sync(kLong).ok());
  const absl::StatusOr<std::vector<JournalEntry>> entries = journal->Decisions({.only_acting = true});
  ASSERT_THAT(entries.value(), SizeIs(2));
  EXPECT_EQ((*entries)[0].decision.sequence, 4u);
  EXPECT_EQ((*entries)[1].decision.sequence, 2u);
}

TEST_F(SqliteJournalTest, WhatWasDamagedAndLeftOutIsSaid) {
  {
    const auto journal = Open();
    journal->RecordEvent(kStart, Fact(1));
    ASSERT_TRUE(journal->Sync(kLong).ok());
  }
  Damage("UPDATE events SET body=x'00'");
  std::vector<std::string> said;
  SqliteJournal::Options options = Options();
  options.say = [&said](absl::string_view text) { said.emplace_back(text); };
  ASSERT_TRUE(Open(options)->Recover().ok());
  EXPECT_THAT(said, ElementsAre(HasSubstr("events 1 are damaged")));
}

TEST_F(SqliteJournalTest, ADamagedDecisionDoesNotEndTheHistory) {
  const auto journal = Open();
  for (uint64_t i = 1; i <= 9; ++i) journal->RecordTick(kStart, MakeDecision(i, static_cast<int>(i)));
  ASSERT_TRUE(journal->Sync(kLong).ok());
  Damage("UPDATE decisions SET body=x'00' WHERE sequence=8");
  const absl::StatusOr<std::vector<JournalEntry>> entries = journal->Decisions({.count = 3});
  ASSERT_THAT(entries.value(), SizeIs(3));
  EXPECT_EQ(entries->back().decision.sequence, 6u);
}

TEST_F(SqliteJournalTest, TheNewestSnapshotIsUsedAndTwoAreKeptBesideTheFirst) {
  {
    const auto journal = Open();
    Autoscaler core(LoopPolicy());
    for (int i = 1; i <= 4; ++i) {
      journal->RecordSnapshot(kStart + absl::Seconds(i), core);
      ASSERT_TRUE(journal->Sync(kLong).ok());
    }
  }
  Damage("CREATE TABLE counted AS SELECT COUNT(*) AS n FROM snapshots");
  {
    absl::StatusOr<std::unique_ptr<SqliteConnection>> file =
        SqliteConnection::Open(File(), SqliteConnection::Access::kRead);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(*(*file)->Number("SELECT n FROM counted"), 3);
  }
  EXPECT_EQ(Open()->Recover()->snapshot->at, kStart + absl::Seconds(4));
}

TEST_F(SqliteJournalTest, ADamagedSnapshotFallsBackToTheOneBeforeAndItsEvents) {
  {
    const auto journal = Open();
    Autoscaler core(LoopPolicy());
    for (int i = 1; i <= 2; ++i) {
      journal->RecordSnapshot(kStart + absl::Seconds(i), core);
      journal->RecordEvent(kStart, Fact(i));
      ASSERT_TRUE(journal->Sync(kLong).ok());
    }
  }
  Damage("UPDATE snapshots SET state=zeroblob(LENGTH(state)) WHERE id=2");
  const absl::StatusOr<Recovered> recovered = Open()->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  ASSERT_TRUE(recovered->snapshot.has_value());
  EXPECT_EQ(recovered->snapshot->at, kStart + absl::Seconds(1));
  EXPECT_THAT(recovered->since, SizeIs(2));
  EXPECT_TRUE(recovered->complete);
  EXPECT_THAT(recovered->notes, ElementsAre(HasSubstr("snapshot 2 is damaged")));
}

TEST_F(SqliteJournalTest, ADamagedRowOfEventsIsLeftOutAndSaid) {
  {
    const auto journal = Open();
    for (int i = 1; i <= 3; ++i) {
      journal->RecordEvent(kStart, Fact(i));
      ASSERT_TRUE(journal->Sync(kLong).ok());
    }
  }
  Damage("UPDATE events SET body=CAST(SUBSTR(body, 1, LENGTH(body) - 1) || x'7f' AS BLOB) WHERE id=2");
  const absl::StatusOr<Recovered> recovered = Open()->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_THAT(recovered->since, SizeIs(2));
  EXPECT_FALSE(recovered->complete);
  EXPECT_THAT(recovered->notes, ElementsAre(HasSubstr("events 2 are damaged")));
}

TEST_F(SqliteJournalTest, ADamagedDecisionHidesItselfAndNoOther) {
  const auto journal = Open();
  for (int i = 1; i <= 3; ++i) journal->RecordTick(kStart, MakeDecision(static_cast<uint64_t>(i), i));
  ASSERT_TRUE(journal->Sync(kLong).ok());
  Damage("UPDATE decisions SET until_nanos=0 WHERE sequence=2");
  EXPECT_EQ(journal->FindDecision(2).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(*journal->Decisions({}), SizeIs(2));
}

TEST_F(SqliteJournalTest, AFileThatIsNoDatabaseIsDataLoss) {
  std::filesystem::create_directories(dir_.path() + "/state");
  std::ofstream(File()) << std::string(8192, 'x');
  EXPECT_EQ(SqliteJournal::Open(Options()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteJournalTest, AJournalOfANewerReleaseIsNotTouched) {
  { Open(); }
  Damage("PRAGMA user_version=99");
  const absl::Status status = SqliteJournal::Open(Options()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer release (schema 99)"));
}

TEST_F(SqliteJournalTest, ADirectoryThatCannotBeMadeIsToldWithItsPath) {
  std::ofstream(dir_.path() + "/file") << "in the way";
  SqliteJournal::Options options;
  options.state_dir = dir_.path() + "/file/state";
  const absl::Status status = SqliteJournal::Open(std::move(options)).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("/file/state"));
}

TEST_F(SqliteJournalTest, AReadOnlyDirectoryIsPermissionDenied) {
  { Open(); }
  if (mount(dir_.path().c_str(), dir_.path().c_str(), "", MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "NOT TESTED: a read-only disk needs mount()";
  const int read_only = mount("", dir_.path().c_str(), "", MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
  const absl::Status status = SqliteJournal::Open(Options()).status();
  umount(dir_.path().c_str());
  if (read_only != 0) GTEST_SKIP() << "NOT TESTED: a read-only disk needs a remount";
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("Read-only file system"));
}

TEST_F(SqliteJournalTest, EventsAreBoundedInBytesAndTheGapIsKnown) {
  SqliteJournal::Options options = Options();
  options.bounds.events_bytes_max = 50'000;
  {
    const auto journal = Open(options);
    for (int i = 0; i < 100; ++i) {
      journal->RecordEvent(kStart, Fact(i));
      ASSERT_TRUE(journal->Sync(kLong).ok());
    }
  }
  const absl::StatusOr<Recovered> recovered = Open(options)->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->complete);
  ASSERT_FALSE(recovered->since.empty());
  EXPECT_LT(recovered->since.size(), 90u);
  EXPECT_EQ(std::get<HoldChanged>(*recovered->since.back().event).reason, "fact 99");
}

TEST_F(SqliteJournalTest, DecisionsThatDidNothingGoBeforeThoseThatActed) {
  SqliteJournal::Options options = Options();
  options.bounds.decisions_bytes_max = 20'000;
  const auto journal = Open(options);
  journal->RecordTick(kStart, MakeActingDecision(1));
  for (uint64_t i = 2; i <= 100; ++i) journal->RecordTick(kStart, MakeDecision(i, static_cast<int>(i)));
  ASSERT_TRUE(journal->Sync(kLong).ok());
  EXPECT_TRUE(journal->FindDecision(1).ok());
  EXPECT_EQ(journal->FindDecision(2).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(journal->FindDecision(100).ok());
}

TEST_F(SqliteJournalTest, TooManyReportsAreLeftOutWhichIsSaidOnceAndOtherFactsStay) {
  std::vector<std::string> said;
  SqliteJournal::Options options = Options();
  options.report_bytes_per_second_max = 10'000;
  options.say = [&](absl::string_view line) { said.emplace_back(line); };
  {
    const auto journal = Open(options);
    for (uint64_t i = 1; i <= 1000; ++i) journal->RecordEvent(kStart, Report(i));
    journal->RecordEvent(kStart, Fact(1));
    ASSERT_TRUE(journal->Sync(kLong).ok());
  }
  EXPECT_THAT(said, ElementsAre(HasSubstr("reports exceed 10000 bytes a second")));
  const absl::StatusOr<Recovered> recovered = Open(options)->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->complete);
  EXPECT_LT(recovered->since.size(), 200u);
  EXPECT_TRUE(std::holds_alternative<HoldChanged>(*recovered->since.back().event));
}

TEST_F(SqliteJournalTest, CalmReportsAreAllRecorded) {
  {
    const auto journal = Open();
    for (uint64_t i = 1; i <= 500; ++i) journal->RecordEvent(kStart + absl::Milliseconds(10) * i, Report(i));
    ASSERT_TRUE(journal->Sync(kLong).ok());
  }
  const absl::StatusOr<Recovered> recovered = Open()->Recover();
  EXPECT_TRUE(recovered->complete);
  EXPECT_THAT(recovered->since, SizeIs(500));
}

}  // namespace
}  // namespace headroom
