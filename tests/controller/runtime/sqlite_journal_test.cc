#include "controller/runtime/sqlite_journal.h"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/mount.h>
#include <sys/resource.h>

#include "controller/runtime/records.h"
#include "tests/controller/runtime/loop_world.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kLong = absl::Minutes(1);
const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

std::shared_ptr<const Decision> MakeDecision(uint64_t sequence, int desired) {
  auto decision = std::make_shared<Decision>();
  decision->sequence = sequence;
  decision->at = kStart + absl::Seconds(static_cast<int64_t>(sequence));
  decision->desired_count = desired;
  return decision;
}

std::shared_ptr<const Decision> MakeActingDecision(uint64_t sequence) {
  auto decision = std::make_shared<Decision>(*MakeDecision(sequence, 100));
  decision->actions.push_back({absl::StrCat("action-", sequence), 1, "", {}, LaunchNode{}});
  return decision;
}

Action Launch(const ActionId& id) {
  return {id, 3, "", MakeReason(ReasonCode::kLaunchForDemand, 3, "connections"), LaunchNode{"zone-a"}};
}

Event Fact(int number) {
  return HoldChanged{HoldDirection::kUp, kStart, absl::StrCat("fact ", number), "operator"};
}

Event Report(uint64_t sequence) {
  NodeReported reported{"node", {}};
  reported.report.boot_id = "boot";
  reported.report.sequence = sequence;
  return reported;
}

class SqliteJournalTest : public ::testing::Test {
 protected:
  SqliteJournal::Options Options() const {
    SqliteJournal::Options options;
    options.state_dir = dir_.path() + "/state";
    return options;
  }
  std::string File() const { return dir_.path() + "/state/journal.db"; }

  std::unique_ptr<SqliteJournal> Open() { return Open(Options()); }
  static std::unique_ptr<SqliteJournal> Open(SqliteJournal::Options options) {
    absl::StatusOr<std::unique_ptr<SqliteJournal>> journal = SqliteJournal::Open(std::move(options));
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  // Changes the file behind the journal's back.
  void Damage(const std::string& sql) {
    absl::StatusOr<std::unique_ptr<SqliteConnection>> file =
        SqliteConnection::Open(File(), SqliteConnection::Access::kWrite);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Execute(sql).ok());
  }

  TempDir dir_;
};

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

TEST_F(SqliteJournalTest, TheNewestSnapshotIsUsedAndTwoAreKept) {
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
    EXPECT_EQ(*(*file)->Number("SELECT n FROM counted"), 2);
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
  if (mount(dir_.path().c_str(), dir_.path().c_str(), "", MS_BIND, nullptr) != 0) GTEST_SKIP() << "needs mount()";
  const int read_only = mount("", dir_.path().c_str(), "", MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
  const absl::Status status = SqliteJournal::Open(Options()).status();
  umount(dir_.path().c_str());
  if (read_only != 0) GTEST_SKIP() << "needs a remount";
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

// Fills `journal` until it says that it is full; gives up after a while.
absl::Status FillUp(SqliteJournal& journal) {
  absl::Status status;
  for (uint64_t i = 1; i < 2000 && status.ok(); ++i) {
    auto decision = std::make_shared<Decision>(*MakeDecision(i, 1));
    decision->alarms.push_back(
        MakeReason(ReasonCode::kAlarmJournal, std::string(10'000, static_cast<char>('a' + i % 20))));
    journal.RecordTick(kStart, decision);
    status = journal.Sync(kLong);
  }
  return status;
}

TEST_F(SqliteJournalTest, AFullFileIsResourceExhaustedAndSaysWhatToDo) {
  SqliteJournal::Options options = Options();
  options.bounds.file_bytes_max = 400'000;
  const auto journal = Open(options);
  const absl::Status status = FillUp(*journal);
  EXPECT_EQ(status,
            absl::ResourceExhaustedError(absl::StrCat("state directory ", options.state_dir,
                                                      " is full: free space; shrinking is stopped until then")));
  EXPECT_EQ(journal->Commit().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(journal->CommitIntents(kStart, {Launch("x")}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(journal->FindDecision(1).ok()) << "reading goes on";
}

TEST_F(SqliteJournalTest, AFullDiskHealsByItselfAndLosesNothing) {
  TempDir disk;
  if (mount("tmpfs", disk.path().c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "needs mount()";
  SqliteJournal::Options options;
  options.state_dir = disk.path() + "/state";
  std::ofstream(disk.path() + "/ballast") << std::string(400'000, 'x');
  auto journal = Open(options);
  const absl::Status full = FillUp(*journal);
  journal->RecordEvent(kStart, Fact(42));
  const absl::Status still_full = journal->CommitIntents(kStart, {Launch("while-full")});
  std::filesystem::remove(disk.path() + "/ballast");
  const absl::Status healed = journal->Sync(kLong);
  journal.reset();
  const absl::StatusOr<Recovered> recovered = Open(options)->Recover();
  EXPECT_EQ(umount2(disk.path().c_str(), MNT_DETACH), 0);

  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  EXPECT_EQ(still_full.code(), absl::StatusCode::kResourceExhausted) << still_full;
  EXPECT_TRUE(healed.ok()) << healed;
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_TRUE(recovered->complete);
  EXPECT_TRUE(recovered->since.back().event.has_value());
  EXPECT_THAT(recovered->open_intents, SizeIs(1));
}

// The same where nothing can be mounted: the process may not write beyond a size.
TEST_F(SqliteJournalTest, AWriteErrorHealsByItselfAndLosesNothing) {
  const auto journal = Open();
  journal->RecordEvent(kStart, Fact(1));
  ASSERT_TRUE(journal->Sync(kLong).ok());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit tight{std::filesystem::file_size(File() + "-wal") + 20'000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const absl::Status failed = FillUp(*journal);
  journal->RecordEvent(kStart, Fact(2));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_FALSE(failed.ok());
  EXPECT_THAT(std::string(failed.message()), HasSubstr("shrinking is stopped"));
  EXPECT_TRUE(journal->Sync(kLong).ok());
  const absl::StatusOr<Recovered> recovered = journal->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_TRUE(recovered->complete);
  EXPECT_EQ(std::get<HoldChanged>(*recovered->since.back().event).reason, "fact 2");
}

TEST_F(SqliteJournalTest, ADiskThatHangsDoesNotHoldUpLimits) {
  absl::Notification answer;
  std::atomic<bool> hang{false};
  SqliteJournal::Options options = Options();
  options.before_write = [&] {
    if (hang) answer.WaitForNotification();
  };
  const auto journal = Open(options);
  std::vector<std::string> log;
  LoopWorld world{Autoscaler(LoopPolicy()), *journal, log};
  world.Run(3);
  hang = true;
  world.Add("full", 195);
  world.Run(5);  // would never return if it waited for the disk
  EXPECT_THAT(log, ::testing::Contains("start grant_limits"));
  EXPECT_EQ(journal->CommitIntents(kStart, {Launch("x")}).code(), absl::StatusCode::kUnavailable);
  answer.Notify();
  EXPECT_TRUE(journal->Sync(kLong).ok());
}

TEST_F(SqliteJournalTest, WhatIsRecordedWhileACommitIsUnderWayIsNotLeftForALaterTick) {
  absl::Notification answer;
  std::atomic<int> writes{0};
  SqliteJournal::Options options = Options();
  options.before_write = [&] {
    if (++writes == 1) answer.WaitForNotification();
  };
  const auto journal = Open(options);
  const auto written = [&](int count) {
    for (const absl::Time end = absl::Now() + kLong; absl::Now() < end && writes < count;) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return writes >= count;
  };
  journal->RecordEvent(kStart, Fact(1));
  ASSERT_TRUE(journal->Commit().ok());
  ASSERT_TRUE(written(1));
  journal->RecordEvent(kStart, Fact(2));
  ASSERT_TRUE(journal->Commit().ok());
  ASSERT_TRUE(journal->Commit().ok());
  answer.Notify();
  EXPECT_TRUE(written(2));
}

TEST_F(SqliteJournalTest, ATermIsNotWaitedForAtADiskThatHangs) {
  absl::Notification answer;
  SqliteJournal::Options options = Options();
  options.before_write = [&] { answer.WaitForNotification(); };
  const auto journal = Open(options);
  const absl::Duration patience = absl::Milliseconds(50);
  EXPECT_TRUE(absl::IsUnavailable(journal->WriteTerm(7, patience)));
  absl::SleepFor(patience);  // the disk has now been silent for longer than that
  const absl::Time began = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(journal->WriteTerm(7, patience)));
  EXPECT_TRUE(absl::IsUnavailable(journal->WriteTerm(7, patience)));
  EXPECT_LT(absl::Now() - began, 2 * patience);
  answer.Notify();
  EXPECT_TRUE(journal->WriteTerm(7, kLong).ok());
}

TEST_F(SqliteJournalTest, LargeDecisionsThatWaitForADeadDiskAreBoundedInBytes) {
  absl::Notification answer;
  SqliteJournal::Options options = Options();
  options.before_write = [&] { answer.WaitForNotification(); };
  const auto journal = Open(options);
  constexpr size_t kDecisions = 300;
  std::weak_ptr<const Decision> oldest;
  for (size_t i = 1; i <= kDecisions; ++i) {
    auto decision = std::make_shared<Decision>(*MakeDecision(i, static_cast<int>(i)));
    decision->limits.resize(SqliteJournal::kDecisionsBytesMax / 100 / sizeof(LimitDecision));
    if (i == 1) oldest = decision;
    journal->RecordTick(kStart, std::move(decision));
  }
  EXPECT_TRUE(oldest.expired());
  answer.Notify();
  ASSERT_TRUE(journal->Sync(kLong).ok());
  const absl::StatusOr<std::vector<JournalEntry>> entries = journal->Decisions({.count = kDecisions});
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_THAT(*entries, SizeIs(::testing::AllOf(::testing::Ge(50u), ::testing::Le(100u))));
  EXPECT_EQ(entries->front().decision.sequence, kDecisions);
}

TEST_F(SqliteJournalTest, RenewalsDoNotWaitForADeadDisk) {
  absl::Notification answer;
  SqliteJournal::Options options = Options();
  options.before_write = [&] { answer.WaitForNotification(); };
  const auto journal = Open(options);
  auto decision = std::make_shared<Decision>(*MakeActingDecision(1));
  decision->actions.push_back({"renewal", 1, "a", {}, GrantLimits{.renewal = true}});
  const std::weak_ptr<const Decision> whole = decision;
  journal->RecordTick(kStart, std::move(decision));
  EXPECT_TRUE(whole.expired());
  answer.Notify();
  ASSERT_TRUE(journal->Sync(kLong).ok());
  EXPECT_THAT(journal->FindDecision(1)->decision.actions, SizeIs(1));
}

TEST_F(SqliteJournalTest, WhatADeadDiskLeavesInMemoryIsBounded) {
  absl::Notification answer;
  SqliteJournal::Options options = Options();
  options.before_write = [&] { answer.WaitForNotification(); };
  {
    const auto journal = Open(options);
    for (size_t i = 0; i < SqliteJournal::kRecordsMax + 1000; ++i) {
      journal->RecordTick(kStart, MakeDecision(i + 1, static_cast<int>(i)));
    }
    journal->RecordEvent(kStart, Fact(1));
    answer.Notify();
    ASSERT_TRUE(journal->Sync(kLong).ok());
  }
  const absl::StatusOr<Recovered> recovered = Open()->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->complete);
  EXPECT_LE(recovered->since.size(), 1001u);
  EXPECT_TRUE(std::holds_alternative<HoldChanged>(*recovered->since.back().event));
}

}  // namespace
}  // namespace headroom
