#include "controller/sim/control_faults.h"

#include <vector>

#include "gtest/gtest.h"

#include "controller/sim/crash_journal.h"

namespace headroom::sim {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

Event Report(uint64_t sequence) {
  NodeReported reported{.node = "a"};
  reported.report.boot_id = "boot";
  reported.report.sequence = sequence;
  return reported;
}

TEST(ControlFaults, ChangeNothingUntilTheyAreSet) {
  ControlFaults faults(1);
  for (uint64_t i = 1; i <= 100; ++i) faults.Take(kStart, Report(i));
  const std::vector<Event> due = faults.Due(kStart);
  ASSERT_EQ(due.size(), 100U);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(std::get<NodeReported>(due[i]).report.sequence, i + 1);
  const ControlFaults::Call call = faults.CallProvider({.body = LaunchNode{}});
  EXPECT_TRUE(call.refused.ok());
  EXPECT_TRUE(call.until_told.has_value());
  EXPECT_TRUE(faults.OrderArrives());
}

TEST(ControlFaults, LoseDelayRepeatAndForgeReports) {
  ControlFaults faults(1);
  faults.Set(
      {.report_lost_ratio = 0.3, .report_late_ratio = 0.3, .report_twice_ratio = 0.3, .report_forged_ratio = 0.3});
  for (uint64_t i = 1; i <= 1000; ++i) faults.Take(kStart, Report(i));
  const size_t at_once = faults.Due(kStart).size();
  const std::vector<Event> late = faults.Due(kStart + absl::Seconds(20));
  EXPECT_GT(at_once, 500U);
  EXPECT_GT(late.size(), 200U);
  EXPECT_NE(at_once + late.size(), 1000U);
  EXPECT_EQ(faults.next_due(), absl::InfiniteFuture());
}

TEST(ControlFaults, AForgedReportIsNeverOfTheNodesOwnProcess) {
  ControlFaults faults(1);
  faults.Set({.report_lost_ratio = 1, .report_forged_ratio = 1});
  for (uint64_t i = 1; i <= 100; ++i) faults.Take(kStart, Report(i));
  const std::vector<Event> due = faults.Due(kStart);
  ASSERT_EQ(due.size(), 100U);
  for (const Event& event : due) {
    const auto& forged = std::get<NodeReported>(event);
    EXPECT_TRUE(forged.node != "a" || forged.report.boot_id != "boot");
  }
}

TEST(ControlFaults, AHelloThatIsLateIsDroppedByTheEndOfItsStream) {
  ControlFaults faults(1);
  faults.Set({.hello_late_ratio = 1});
  faults.Take(kStart, NodeJoined{.node = "a"});
  faults.Take(kStart + absl::Milliseconds(1), NodeLeft{.node = "a"});
  const std::vector<Event> due = faults.Due(kStart + absl::Minutes(1));
  ASSERT_EQ(due.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<NodeLeft>(due[0]));
}

TEST(ControlFaults, AnAnswerThatIsLostBelongsToADeedThatWasDone) {
  ControlFaults faults(1);
  faults.Set({.call_refused_ratio = 0.3, .stock_out_ratio = 0.3, .answer_lost_ratio = 0.3});
  int refused = 0, untold = 0;
  for (int i = 0; i < 1000; ++i) {
    const ControlFaults::Call call = faults.CallProvider({.body = LaunchNode{}});
    refused += call.refused.ok() ? 0 : 1;
    untold += call.until_told.has_value() ? 0 : 1;
    EXPECT_TRUE(call.refused.ok() || call.until_told.has_value());
  }
  EXPECT_GT(refused, 300);
  EXPECT_GT(untold, 50);
}

class CrashJournalTest : public ::testing::Test {
 protected:
  // Hold `reason`, recorded and committed so often.
  void Record(const std::string& reason, int commits) {
    journal_.RecordEvent(kStart, HoldChanged{HoldDirection::kBoth, absl::InfiniteFuture(), reason, "operator"});
    for (int i = 0; i < commits; ++i) health_ = journal_.Commit();
  }
  size_t Recovered() {
    const absl::StatusOr<headroom::Recovered> recovered = journal_.Recover();
    EXPECT_TRUE(recovered.ok()) << recovered.status();
    return recovered->since.size();
  }

  CrashJournal journal_;
  absl::Status health_;
};

TEST_F(CrashJournalTest, ForgetsWhatWasOnlyQueued) {
  Record("written", 2);
  Record("queued", 0);
  journal_.Crash(CrashJournal::Landed::kYes);
  EXPECT_EQ(Recovered(), 1U);
}

TEST_F(CrashJournalTest, MayOrMayNotHaveWrittenTheCommitThatBegan) {
  for (const auto landed : {CrashJournal::Landed::kNo, CrashJournal::Landed::kYes}) {
    const size_t before = Recovered();
    Record("being written", 1);
    journal_.Crash(landed);
    EXPECT_EQ(Recovered() - before, landed == CrashJournal::Landed::kYes ? 1U : 0U);
  }
}

TEST_F(CrashJournalTest, KeepsWhatItCouldNotWriteUntilTheDiskHeals) {
  journal_.Fail(absl::ResourceExhaustedError("full"));
  Record("kept", 3);
  EXPECT_FALSE(health_.ok());
  EXPECT_EQ(Recovered(), 0U);
  journal_.Fail(absl::OkStatus());
  ASSERT_TRUE(journal_.Sync(absl::Seconds(1)).ok());
  EXPECT_EQ(Recovered(), 1U);
}

TEST_F(CrashJournalTest, AnIntentIsOnDiskAtOnceAndOpenUntilItsOutcome) {
  const Action launch{.id = "launch", .term = 1, .body = LaunchNode{}};
  ASSERT_TRUE(journal_.CommitIntents(kStart, {launch}).ok());
  journal_.Crash(CrashJournal::Landed::kNo);
  EXPECT_EQ(journal_.Recover()->open_intents.size(), 1U);
  journal_.RecordEvent(kStart, ActionFinished{.id = "launch"});
  ASSERT_TRUE(journal_.Sync(absl::Seconds(1)).ok());
  EXPECT_TRUE(journal_.Recover()->open_intents.empty());
}

TEST_F(CrashJournalTest, ASnapshotTakesThePlaceOfWhatWasBeforeIt) {
  Record("before", 1);
  journal_.RecordSnapshot(kStart, Autoscaler(Policy()));
  Record("after", 2);
  EXPECT_EQ(Recovered(), 1U);
  EXPECT_TRUE(journal_.Recover()->snapshot.has_value());
}

}  // namespace
}  // namespace headroom::sim
