#include "controller/runtime/shared_journal.h"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/runtime/memory_journal.h"
#include "controller/runtime/records.h"
#include "controller/runtime/sqlite_journal.h"
#include "tests/controller/core/world.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(20);

// What several stores of one name hold together.
struct Shelf {
  std::mutex mutex;
  std::optional<std::string> bytes;
  int version = 0, saves = 0;
  absl::Status fails;
  absl::Duration delay;
};

class MemoryState final : public StateStore {
 public:
  explicit MemoryState(Shelf& shelf) : shelf_(shelf) {}
  std::string name() const override { return "shelf"; }
  absl::StatusOr<std::string> Load(absl::Duration) override {
    const std::lock_guard lock(shelf_.mutex);
    seen_ = shelf_.version;
    if (!shelf_.fails.ok()) return shelf_.fails;
    if (!shelf_.bytes.has_value()) return absl::NotFoundError("empty");
    return *shelf_.bytes;
  }
  absl::Status Save(absl::string_view bytes, absl::Duration) override {
    absl::SleepFor(shelf_.delay);
    const std::lock_guard lock(shelf_.mutex);
    if (!shelf_.fails.ok()) return shelf_.fails;
    if (seen_ != shelf_.version) return absl::AbortedError("it has changed");
    shelf_.bytes = std::string(bytes);
    seen_ = ++shelf_.version;
    ++shelf_.saves;
    return absl::OkStatus();
  }

 private:
  Shelf& shelf_;
  int seen_ = 0;
};

// A machine that has a snapshot of its own.
class WithSnapshot final : public Journal {
 public:
  explicit WithSnapshot(Snapshot snapshot) { recovered_.snapshot = std::move(snapshot); }
  absl::StatusOr<Recovered> Recover() override { return recovered_; }
  absl::Status WriteTerm(int64_t, absl::Duration) override { return absl::OkStatus(); }
  void RecordEvent(absl::Time, Event&&) override {}
  void RecordTick(absl::Time, std::shared_ptr<const Decision>) override {}
  void RecordSnapshot(absl::Time, const Autoscaler&) override {}
  absl::Status CommitIntents(absl::Time, const std::vector<Action>&) override { return absl::OkStatus(); }
  absl::Status Commit() override { return absl::OkStatus(); }
  absl::Status Sync(absl::Duration) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page&) const override { return absl::NotFoundError(""); }
  absl::StatusOr<JournalEntry> FindDecision(uint64_t) const override { return absl::NotFoundError(""); }

 private:
  Recovered recovered_;
};

class SharedJournalTest : public ::testing::Test {
 protected:
  std::unique_ptr<SharedJournal> Open(SharedJournal::Options options = {}) {
    auto local = std::make_unique<MemoryJournal>(1000);
    local_ = local.get();
    return std::make_unique<SharedJournal>(std::move(local), std::make_unique<MemoryState>(shelf_), std::move(options));
  }
  SharedState Saved() {
    const std::lock_guard lock(shelf_.mutex);
    return *UnpackShared(*shelf_.bytes);
  }
  static Event Hold() { return HoldChanged{.reason = "campaign", .actor = "op"}; }
  static Action Launch(const std::string& id) { return {.id = id, .term = 7, .body = LaunchNode{}}; }

  Shelf shelf_;
  MemoryJournal* local_ = nullptr;
  World world_{LivePolicy()};
};

TEST_F(SharedJournalTest, ASuccessorElsewhereGoesOnWithSnapshotFactsAndIntents) {
  {
    const auto journal = Open();
    ASSERT_TRUE(journal->Recover().ok());
    ASSERT_TRUE(journal->WriteTerm(7, kPatience).ok());
    world_.AddNode("a");
    world_.Run(absl::Seconds(5));
    journal->RecordSnapshot(world_.now, world_.core);
    journal->RecordEvent(world_.now, Hold());
    journal->RecordEvent(world_.now, NodeReported{.node = "a"});
    ASSERT_TRUE(journal->CommitIntents(world_.now, {Launch("l-1"), Launch("l-2")}).ok());
    journal->RecordEvent(world_.now, ActionFinished{.id = "l-1"});
    ASSERT_TRUE(journal->Sync(kPatience).ok());
  }
  const auto successor = Open({.term_min = 3});
  const auto recovered = successor->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_EQ(recovered->term_max, 7);
  ASSERT_TRUE(recovered->snapshot.has_value());
  EXPECT_NE(recovered->snapshot->state.fleet.Find("a"), nullptr);
  EXPECT_THAT(recovered->since, SizeIs(2)) << "the hold and the outcome; a node reports anew";
  ASSERT_THAT(recovered->open_intents, SizeIs(1));
  EXPECT_EQ(recovered->open_intents[0].id, "l-2");
  EXPECT_FALSE(recovered->complete);
}

// A state that is too large for the store, held against the most that it takes.
class TooLargeTest : public SharedJournalTest {
 protected:
  // Leads once, with a fleet, what was learned of it and a hold, and leaves an intent and a fact.
  void Lead(int64_t term, size_t bytes_max) {
    const auto journal = Open({.bytes_max = bytes_max});
    ASSERT_TRUE(journal->Recover().ok());
    ASSERT_TRUE(journal->WriteTerm(term, kPatience).ok());
    journal->RecordSnapshot(world_.now, world_.core);
    EXPECT_TRUE(journal->CommitIntents(world_.now, {Launch("l-1")}).ok());
    journal->RecordEvent(world_.now, ActionFinished{.id = "l-0"});
    sync_ = journal->Sync(kPatience);
    commit_ = journal->Commit();
  }
  void Grow() {
    for (int i = 0; i < 30; ++i) world_.AddNode(absl::StrCat("node-", i));
    world_.core.Observe(world_.now, HoldChanged{.direction = HoldDirection::kDown,
                                                .until = world_.now + absl::Hours(5),
                                                .reason = "campaign",
                                                .actor = "op"});
    world_.Run(absl::Minutes(3));
  }
  static size_t PackedSize(const State& state) {
    return PackShared({.policy = EncodePolicy(LivePolicy()), .state = EncodeState(state)}).size();
  }
  absl::Status sync_, commit_;
};

TEST_F(TooLargeTest, WhatDoesNotFitIsLeftOutAndTermIntentsAndFactsAreKept) {
  Grow();
  State fleet;
  fleet.fleet = world_.core.fleet();
  const size_t without_learned = PackedSize(fleet) + 1'000, without_fleet = 4'000;
  ASSERT_GT(PackedSize(world_.core.Save()), without_learned);
  ASSERT_GT(PackedSize(fleet), without_fleet);
  for (const size_t bytes_max : {without_learned, without_fleet}) {
    Lead(7, bytes_max);
    const auto recovered = Open()->Recover();
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    EXPECT_EQ(recovered->term_max, 7);
    EXPECT_THAT(recovered->open_intents, SizeIs(1));
    EXPECT_THAT(recovered->since, SizeIs(1));
    ASSERT_TRUE(recovered->snapshot.has_value());
    const State& state = recovered->snapshot->state;
    EXPECT_THAT(state.holds, SizeIs(1)) << "an operator's word";
    EXPECT_EQ(state.fleet.nodes().size(), bytes_max == without_learned ? 30 : 0);
    shelf_.bytes.reset();
  }
}

TEST_F(TooLargeTest, ItIsSaidForAsLongAsItIsSo) {
  Grow();
  Lead(7, 4'000);
  EXPECT_TRUE(absl::IsResourceExhausted(commit_)) << commit_;
  EXPECT_THAT(std::string(commit_.message()), HasSubstr("split the cluster"));
  EXPECT_TRUE(sync_.ok()) << sync_;
  shelf_.bytes.reset();
  Lead(8, StateStore::kBytesMax);
  EXPECT_TRUE(commit_.ok()) << commit_;
}

TEST_F(TooLargeTest, TheMachineThatLedLastStartsAgain) {
  Grow();
  auto local = std::make_unique<WithSnapshot>(Snapshot{world_.now, world_.core.policy(), world_.core.Save()});
  SharedJournal again(std::move(local), std::make_unique<MemoryState>(shelf_), {.bytes_max = 4'000});
  ASSERT_TRUE(again.Recover().ok());
  EXPECT_TRUE(again.WriteTerm(8, kPatience).ok());
  EXPECT_EQ(Saved().term, 8);
}

TEST_F(TooLargeTest, ATermThatDoesNotFitAloneIsNotUsed) {
  const auto journal = Open({.bytes_max = 10});
  ASSERT_TRUE(journal->Recover().ok());
  EXPECT_TRUE(absl::IsResourceExhausted(journal->WriteTerm(8, kPatience)));
}

TEST_F(SharedJournalTest, TermsAreAboveTheElectionsNumber) {
  const auto recovered = Open({.term_min = 41})->Recover();
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->term_max, 41);
}

TEST_F(SharedJournalTest, WhoeverWasTheLastToLeadGoesOnWithItsOwnJournal) {
  {
    const auto before = Open();
    ASSERT_TRUE(before->Recover().ok());
    ASSERT_TRUE(before->WriteTerm(7, kPatience).ok());
  }
  auto local = std::make_unique<MemoryJournal>(1000);
  ASSERT_TRUE(local->WriteTerm(7, kPatience).ok());
  local->RecordEvent(world_.now, NodeReported{.node = "a"});
  SharedJournal again(std::move(local), std::make_unique<MemoryState>(shelf_), {});
  const auto recovered = again.Recover();
  ASSERT_TRUE(recovered.ok());
  EXPECT_TRUE(recovered->complete);
  EXPECT_THAT(recovered->since, SizeIs(1));
}

TEST_F(SharedJournalTest, ATermThatTheStoreDoesNotTakeIsNotUsed) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Recover().ok());
  shelf_.fails = absl::UnavailableError("no route");
  const absl::Status written = journal->WriteTerm(7, kPatience);
  EXPECT_EQ(written.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(written.message()), HasSubstr("shelf: no route"));
}

TEST_F(SharedJournalTest, AnIntentWaitsForASlowStoreForHalfASecondAndIsNotCommittedThen) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Recover().ok());
  shelf_.delay = absl::Seconds(3);
  const absl::Time began = absl::Now();
  EXPECT_EQ(journal->CommitIntents(world_.now, {Launch("l")}).code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - began, absl::Seconds(2));
}

TEST_F(SharedJournalTest, WhatAnotherTouchedIsWrittenOverByWhoeverLeadsStill) {
  int asked = 0;
  const auto journal = Open({.still_leads = [&] { return ++asked, true; }});
  ASSERT_TRUE(journal->Recover().ok());
  ASSERT_TRUE(journal->WriteTerm(7, kPatience).ok());
  {
    const std::lock_guard lock(shelf_.mutex);
    ++shelf_.version;
  }
  EXPECT_TRUE(journal->Sync(kPatience).ok());
  EXPECT_EQ(asked, 1);
}

TEST_F(SharedJournalTest, WhoeverDoesNotLeadAnyMoreWritesNothing) {
  const auto journal = Open({.still_leads = [] { return false; }});
  ASSERT_TRUE(journal->Recover().ok());
  ASSERT_TRUE(journal->WriteTerm(7, kPatience).ok());
  {
    const std::lock_guard lock(shelf_.mutex);
    ++shelf_.version;
  }
  const int saves = shelf_.saves;
  EXPECT_EQ(journal->Sync(kPatience).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(shelf_.saves, saves);
  journal->RecordEvent(world_.now, Hold());
  EXPECT_FALSE(journal->Commit().ok()) << "a journal that fails stops shrinking";
}

TEST_F(SharedJournalTest, AHigherTermInTheStoreIsNeverWrittenOver) {
  const auto journal = Open({.still_leads = [] { return true; }});
  ASSERT_TRUE(journal->Recover().ok());
  ASSERT_TRUE(journal->WriteTerm(7, kPatience).ok());
  {
    const std::lock_guard lock(shelf_.mutex);
    shelf_.bytes = PackShared({.term = 9});
    ++shelf_.version;
  }
  const absl::Status saved = journal->Sync(kPatience);
  EXPECT_EQ(saved.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(saved.message()), HasSubstr("term 9"));
  EXPECT_EQ(Saved().term, 9);
}

TEST_F(SharedJournalTest, ABrokenStateIsToldAndCostsNothingElse) {
  shelf_.bytes = "headroom state 1 term 12 sequence 90 bytes 100\nnonsense";
  std::string told;
  const auto recovered = Open({.say = [&told](absl::string_view text) { told = std::string(text); }})->Recover();
  ASSERT_TRUE(recovered.ok());
  EXPECT_FALSE(recovered->snapshot.has_value());
  EXPECT_THAT(told, HasSubstr("shelf: the saved state is broken"));
  EXPECT_EQ(recovered->term_max, 12) << "a term is never used twice, whatever else is lost";
}

// The local journals are real here: what they hold outlives them.
class SharedSqliteTest : public SharedJournalTest {
 protected:
  SharedSqliteTest() {
    char folder[] = "/tmp/headroom-shared-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~SharedSqliteTest() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<SharedJournal> On(const std::string& machine) {
    auto local = SqliteJournal::Open({.state_dir = folder_ + "/" + machine});
    EXPECT_TRUE(local.ok()) << local.status();
    return std::make_unique<SharedJournal>(*std::move(local), std::make_unique<MemoryState>(shelf_),
                                           SharedJournal::Options{});
  }
  // A leadership with this term on a machine, whose fleet has this node.
  void Lead(const std::string& machine, int64_t term, const std::string& node,
            const std::function<void(SharedJournal&)>& besides = nullptr) {
    const auto journal = On(machine);
    ASSERT_TRUE(journal->Recover().ok());
    ASSERT_TRUE(journal->WriteTerm(term, kPatience).ok());
    World world(LivePolicy());
    world.AddNode(node);
    world.Run(absl::Seconds(5));
    journal->RecordSnapshot(world.now, world.core);
    if (besides) besides(*journal);
    ASSERT_TRUE(journal->Sync(kPatience).ok());
  }
  static std::string NodeIn(const absl::StatusOr<Recovered>& recovered) {
    if (!recovered.ok() || !recovered->snapshot) return "no snapshot";
    return recovered->snapshot->state.fleet.nodes().begin()->first;
  }
  std::string folder_;
};

TEST_F(SharedSqliteTest, OneThatDiesBeforeItsFirstSnapshotTakesTheOthersStateAgain) {
  Lead("a", 5, "old");
  Lead("b", 8, "new");
  {
    const auto journal = On("a");
    EXPECT_EQ(NodeIn(journal->Recover()), "new");
    ASSERT_TRUE(journal->WriteTerm(9, kPatience).ok());
  }
  const auto recovered = On("a")->Recover();
  EXPECT_EQ(NodeIn(recovered), "new") << "not what it had itself, days ago";
  EXPECT_EQ(recovered->term_max, 9);
}

TEST_F(SharedSqliteTest, WhatIsSavedBeforeTheFirstSnapshotLosesNothing) {
  Lead("a", 5, "files", [this](SharedJournal& journal) { journal.RecordEvent(world_.now, Hold()); });
  {
    const auto again = On("a");
    ASSERT_TRUE(again->Recover().ok());
    ASSERT_TRUE(again->WriteTerm(6, kPatience).ok());
  }
  const auto recovered = On("b")->Recover();
  EXPECT_EQ(NodeIn(recovered), "files");
  EXPECT_THAT(recovered->since, SizeIs(1)) << "the hold";
}

TEST_F(SharedSqliteTest, AnIntentOfLongAgoDoesNotComeBackAsAFact) {
  Lead("a", 5, "files",
       [this](SharedJournal& journal) { ASSERT_TRUE(journal.CommitIntents(world_.now, {Launch("l-5")}).ok()); });
  Lead("b", 8, "files",
       [this](SharedJournal& journal) { journal.RecordEvent(world_.now, ActionFinished{.id = "l-5"}); });
  Lead("a", 9, "files");
  const auto recovered = On("a")->Recover();
  ASSERT_TRUE(recovered.ok());
  EXPECT_THAT(recovered->open_intents, IsEmpty());
}

TEST_F(SharedJournalTest, AnOperatorsWordIsKeptWhereFactsAreTooMany) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Recover().ok());
  for (size_t i = 0; i < SharedJournal::kSinceMax + 5; ++i) {
    journal->RecordEvent(world_.now, ActionFinished{.id = absl::StrCat("l-", i)});
  }
  journal->RecordEvent(world_.now, Hold());
  ASSERT_TRUE(journal->Sync(kPatience).ok());
  const std::vector<Recorded> since = Saved().since;
  EXPECT_THAT(since, SizeIs(SharedJournal::kSinceMax));
  EXPECT_TRUE(std::holds_alternative<HoldChanged>(*since.back().event));
}

TEST_F(SharedJournalTest, ASnapshotOfAQuietMinuteIsNotSaved) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Recover().ok());
  ASSERT_TRUE(journal->WriteTerm(7, kPatience).ok());
  const auto saved_at = [&](absl::Time at) {
    journal->RecordSnapshot(at, world_.core);
    EXPECT_TRUE(journal->Sync(kPatience).ok());
    return Saved().at;
  };
  const absl::Time begin = world_.now;
  EXPECT_EQ(saved_at(begin), begin) << "a leader's first";
  EXPECT_EQ(saved_at(begin + absl::Minutes(1)), begin);
  EXPECT_EQ(saved_at(begin + absl::Minutes(9)), begin);
  EXPECT_EQ(saved_at(begin + absl::Minutes(10)), begin + absl::Minutes(10));
  journal->RecordEvent(begin + absl::Minutes(10), Hold());
  EXPECT_EQ(saved_at(begin + absl::Minutes(11)), begin + absl::Minutes(11)) << "something happened";
  EXPECT_THAT(Saved().since, IsEmpty());
  journal->RecordLastSnapshot(begin + absl::Minutes(12), world_.core);
  EXPECT_TRUE(journal->Sync(kPatience).ok());
  EXPECT_EQ(Saved().at, begin + absl::Minutes(12)) << "a successor begins with it";
}

TEST_F(SharedJournalTest, ATermThatIsSavedByNowIsNotSavedAgain) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Recover().ok());
  shelf_.delay = absl::Seconds(1);
  EXPECT_FALSE(journal->WriteTerm(7, absl::ZeroDuration()).ok());
  ASSERT_TRUE(journal->Sync(kPatience).ok());
  const int saves = shelf_.saves;
  EXPECT_TRUE(journal->WriteTerm(7, absl::ZeroDuration()).ok()) << "it came late, and is there";
  EXPECT_EQ(shelf_.saves, saves);
}

TEST_F(SharedJournalTest, AStoreThatCannotBeReadIsNotTakenForAnEmptyOne) {
  shelf_.fails = absl::UnavailableError("no route");
  EXPECT_EQ(Open()->Recover().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(SharedJournalTest, FactsAreSavedWithinASecondOrSoAndReportsNever) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Recover().ok());
  ASSERT_TRUE(journal->WriteTerm(7, kPatience).ok());
  for (int i = 0; i < 100; ++i) journal->RecordEvent(world_.now, NodeReported{.node = "a"});
  EXPECT_TRUE(journal->Commit().ok());
  EXPECT_THAT(Saved().since, IsEmpty());
  journal->RecordEvent(world_.now, Hold());
  EXPECT_TRUE(journal->Commit().ok());
  const absl::Time end = absl::Now() + kPatience;
  while (Saved().since.empty() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_THAT(Saved().since, SizeIs(1));
}

}  // namespace
}  // namespace headroom
