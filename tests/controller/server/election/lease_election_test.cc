#include "controller/server/election/lease_election.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

// A lease in memory that can be unreachable, or answer nothing to a write that it has made.
class MemoryLease final : public LeaseStore {
 public:
  absl::StatusOr<LeaseRecord> Read(absl::Duration) override {
    ++reads;
    if (unreachable) return absl::UnavailableError("no route");
    if (!record.has_value()) return absl::NotFoundError("no lease");
    return *record;
  }
  absl::StatusOr<LeaseRecord> Write(const LeaseRecord& wanted, absl::Duration) override {
    if (unreachable) return absl::UnavailableError("no route");
    const std::string version = record.has_value() ? record->version : "";
    if (wanted.version != version) return absl::AbortedError("the object has been modified");
    record = wanted;
    record->version = absl::StrCat(++writes);
    if (loses_answers) return absl::DeadlineExceededError("no answer");
    return *record;
  }
  std::optional<LeaseRecord> record;
  bool unreachable = false, loses_answers = false;
  int writes = 0, reads = 0;
};

class LeaseElectionTest : public ::testing::Test {
 protected:
  std::unique_ptr<LeaseElection> Candidate(const std::string& identity, LeaseTiming timing = {},
                                           absl::Duration clock_ahead = {}) {
    return std::make_unique<LeaseElection>(
        lease_, LeaseElection::Options{.identity = identity,
                                       .timing = timing,
                                       .seed = std::hash<std::string>()(identity),
                                       .steady = [this] { return now_; },
                                       .wall = [this, clock_ahead] { return absl::UnixEpoch() + now_ + clock_ahead; }});
  }
  void Pass(absl::Duration time) { now_ += time; }

  MemoryLease lease_;
  absl::Duration now_ = absl::Hours(1);
};

TEST_F(LeaseElectionTest, TheFirstOneLeadsAndStaysLeader) {
  const auto a = Candidate("a"), b = Candidate("b");
  EXPECT_TRUE(a->Round().leads);
  for (int i = 0; i < 100; ++i) {
    Pass(absl::Seconds(2));
    EXPECT_TRUE(a->Round().leads);
    const auto other = b->Round();
    EXPECT_FALSE(other.leads);
    EXPECT_EQ(other.holder, "a");
  }
  EXPECT_EQ(lease_.record->transitions, 0);
  EXPECT_EQ(lease_.record->acquired_at, absl::UnixEpoch() + absl::Hours(1));
}

TEST_F(LeaseElectionTest, ALeaderThatFallsSilentIsFollowedAfterItsOwnDuration) {
  const auto a = Candidate("a", {.duration = absl::Seconds(30)}), b = Candidate("b");
  ASSERT_TRUE(a->Round().leads);
  ASSERT_FALSE(b->Round().leads);
  Pass(absl::Seconds(29));
  EXPECT_FALSE(b->Round().leads) << "the record says thirty seconds, whatever b would have said";
  Pass(absl::Seconds(1));
  const auto now = b->Round();
  EXPECT_TRUE(now.leads);
  EXPECT_EQ(now.number, 1);
}

TEST_F(LeaseElectionTest, ExpiryCountsFromWhenTheChangeWasSeen) {
  const auto a = Candidate("a"), b = Candidate("b");
  ASSERT_TRUE(a->Round().leads);
  Pass(absl::Seconds(14));
  ASSERT_FALSE(b->Round().leads) << "seen for the first time";
  Pass(absl::Seconds(14));
  EXPECT_FALSE(b->Round().leads) << "whatever its times say";
  Pass(absl::Seconds(1));
  EXPECT_TRUE(b->Round().leads);
}

TEST_F(LeaseElectionTest, ClocksNeedNotAgree) {
  const auto a = Candidate("a"), b = Candidate("b", {}, absl::Hours(-9)), c = Candidate("c", {}, absl::Hours(9));
  ASSERT_TRUE(a->Round().leads);
  for (int i = 0; i < 20; ++i) {
    Pass(absl::Seconds(2));
    EXPECT_TRUE(a->Round().leads);
    EXPECT_FALSE(b->Round().leads);
    EXPECT_FALSE(c->Round().leads);
  }
}

TEST_F(LeaseElectionTest, ALeaderThatCannotRenewStopsBeforeAnotherBegins) {
  const auto a = Candidate("a");
  ASSERT_TRUE(a->Round().leads);
  lease_.unreachable = true;
  Pass(absl::Seconds(9));
  const auto still = a->Round();
  EXPECT_TRUE(still.leads);
  EXPECT_EQ(still.good_until - now_, absl::Seconds(6));
  EXPECT_EQ(still.trouble.code(), absl::StatusCode::kUnavailable);
  Pass(absl::Seconds(1));
  EXPECT_FALSE(a->Round().leads);
}

TEST_F(LeaseElectionTest, AWriteWhoseAnswerWasLostIsStillOurs) {
  const auto a = Candidate("a");
  lease_.loses_answers = true;
  EXPECT_FALSE(a->Round().leads) << "it does not know";
  lease_.loses_answers = false;
  Pass(absl::Seconds(3));
  EXPECT_TRUE(a->Round().leads);
  EXPECT_EQ(lease_.record->transitions, 0) << "it was its own all the time";
}

TEST_F(LeaseElectionTest, ALeaseThatWasGivenBackIsTakenAtOnce) {
  const auto a = Candidate("a"), b = Candidate("b");
  ASSERT_TRUE(a->Round().leads);
  ASSERT_FALSE(b->Round().leads);
  ASSERT_TRUE(a->Release().ok());
  EXPECT_EQ(lease_.record->holder, "");
  EXPECT_TRUE(b->Round().leads);
  EXPECT_EQ(lease_.record->transitions, 1);
  EXPECT_TRUE(a->Release().ok()) << "it is not a's any more";
  EXPECT_EQ(lease_.record->holder, "b");
  EXPECT_FALSE(a->Round().leads);
}

TEST_F(LeaseElectionTest, ALeaseThatSomebodyTouchedIsGivenBackAllTheSame) {
  const auto a = Candidate("a");
  ASSERT_TRUE(a->Round().leads);
  lease_.record->version = "touched";
  EXPECT_TRUE(a->Release().ok());
  EXPECT_EQ(lease_.record->holder, "");
}

TEST_F(LeaseElectionTest, ALeaderThatWasOvertakenKnowsAtItsNextRound) {
  const auto a = Candidate("a"), b = Candidate("b");
  ASSERT_TRUE(a->Round().leads);
  ASSERT_FALSE(b->Round().leads);
  Pass(absl::Seconds(15));  // a's process was stopped
  ASSERT_TRUE(b->Round().leads);
  EXPECT_FALSE(a->Round().leads);
}

TEST_F(LeaseElectionTest, ADeletedLeaseIsMadeAnewByItsLeader) {
  const auto a = Candidate("a"), b = Candidate("b");
  ASSERT_TRUE(a->Round().leads);
  lease_.record.reset();
  Pass(absl::Seconds(2));
  EXPECT_TRUE(a->Round().leads);
  EXPECT_FALSE(b->Round().leads);
}

TEST_F(LeaseElectionTest, CandidatesComeBetweenOneAndTwoPointTwoRetries) {
  const auto a = Candidate("a"), b = Candidate("b");
  ASSERT_EQ(a->Round().pause, absl::Seconds(2));
  for (int i = 0; i < 50; ++i) {
    const absl::Duration pause = b->Round().pause;
    EXPECT_GE(pause, absl::Seconds(2));
    EXPECT_LE(pause, absl::Seconds(4.4));
  }
}

TEST_F(LeaseElectionTest, TimingThatCannotHoldIsRefused) {
  EXPECT_TRUE(CheckTiming({}).ok());
  EXPECT_FALSE(CheckTiming({.renew_deadline = absl::Seconds(15)}).ok());
  EXPECT_FALSE(CheckTiming({.retry = absl::Seconds(9)}).ok());
  EXPECT_FALSE(CheckTiming({.retry = absl::ZeroDuration()}).ok());
}

// Many candidates whose network comes and goes, whose answers are lost, and that stop for a while: never do two of them
// hold that they lead.
TEST_F(LeaseElectionTest, WhateverHappensThereAreNeverTwoLeaders) {
  struct Process {
    std::unique_ptr<LeaseElection> election;
    absl::Duration next, good_until;
    bool leads = false;
  };
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto chance = [&random](double p) { return std::bernoulli_distribution(p)(random); };
    lease_ = MemoryLease();
    std::vector<Process> processes(3);
    for (size_t i = 0; i < processes.size(); ++i)
      processes[i] = {.election = Candidate(absl::StrCat("candidate-", i, "-", seed)), .next = now_};
    int changes = 0;
    std::string last;
    for (int step = 0; step < 2000; ++step) {
      Pass(absl::Milliseconds(100));
      for (Process& process : processes) {
        if (now_ < process.next) continue;
        lease_.unreachable = chance(0.3);
        lease_.loses_answers = chance(0.1);
        const auto standing = process.election->Round();
        process.leads = standing.leads;
        process.good_until = standing.good_until;
        process.next = now_ + (chance(0.02) ? absl::Seconds(40) : standing.pause);
        if (standing.leads && standing.holder != last) ++changes;
        if (standing.leads) last = standing.holder;
      }
      const auto leaders = std::count_if(processes.begin(), processes.end(), [this](const Process& process) {
        return process.leads && now_ < process.good_until;
      });
      ASSERT_LE(leaders, 1) << "seed " << seed;
    }
    EXPECT_GT(changes, 0) << "seed " << seed;
  }
}

}  // namespace
}  // namespace headroom
