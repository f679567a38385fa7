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
#include "controller/runtime/sqlite_journal.h"
#include "tests/controller/runtime/journal_fixture.h"
#include "tests/controller/runtime/loop_world.h"

namespace headroom {
namespace {

// The disk under the journal is full, fails or hangs.

using ::testing::HasSubstr;
using ::testing::SizeIs;

class JournalDiskTest : public SqliteJournalTest {};

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

TEST_F(JournalDiskTest, AFullFileIsResourceExhaustedAndSaysWhatToDo) {
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

TEST_F(JournalDiskTest, AFullDiskHealsByItselfAndLosesNothing) {
  TempDir disk;
  if (mount("tmpfs", disk.path().c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "NOT TESTED: a full disk needs mount()";
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
TEST_F(JournalDiskTest, AWriteErrorHealsByItselfAndLosesNothing) {
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

TEST_F(JournalDiskTest, ADiskThatHangsDoesNotHoldUpLimits) {
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

TEST_F(JournalDiskTest, WhatIsRecordedWhileACommitIsUnderWayIsNotLeftForALaterTick) {
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

TEST_F(JournalDiskTest, ATermIsNotWaitedForAtADiskThatHangs) {
  absl::Notification answer;
  SqliteJournal::Options options = Options();
  options.before_write = [&] { answer.WaitForNotification(); };
  const auto journal = Open(options);
  const absl::Duration patience = absl::Seconds(1);  // what a busy machine takes for two calls that do not wait
  EXPECT_TRUE(absl::IsUnavailable(journal->WriteTerm(7, patience)));
  absl::SleepFor(patience);  // the disk has now been silent for longer than that
  const absl::Time began = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(journal->WriteTerm(7, patience)));
  EXPECT_TRUE(absl::IsUnavailable(journal->WriteTerm(7, patience)));
  EXPECT_LT(absl::Now() - began, 2 * patience);
  answer.Notify();
  EXPECT_TRUE(journal->WriteTerm(7, kLong).ok());
}

TEST_F(JournalDiskTest, LargeDecisionsThatWaitForADeadDiskAreBoundedInBytes) {
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

TEST_F(JournalDiskTest, RenewalsDoNotWaitForADeadDisk) {
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

TEST_F(JournalDiskTest, WhatADeadDiskLeavesInMemoryIsBounded) {
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
