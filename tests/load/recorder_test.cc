#include "tests/load/recorder.h"

#include <set>

#include <gtest/gtest.h>

namespace headroom::load {
namespace {

constexpr absl::Duration kObjective = absl::Milliseconds(500);
constexpr absl::Duration kRun = absl::Seconds(60);

// A request that was due at `intended` and ended after `took`.
void Request(Recorder& recorder, absl::Duration intended, absl::Duration took, Failure failure = Failure::kNone) {
  recorder.Offered(intended, intended, 0);
  recorder.Finished({.intended = intended, .finished = intended + took, .failure = failure});
}

void FailAt(Recorder& recorder, double second) {
  Request(recorder, absl::Seconds(second), absl::ZeroDuration(), Failure::kTimeout);
}

TEST(Recorder, ReliefIsZeroWhereNothingFailed) {
  Recorder recorder(1, kObjective);
  Request(recorder, absl::Seconds(1), absl::Milliseconds(20));
  const Summary summary = recorder.Summarise(kRun);
  EXPECT_EQ(summary.relief, absl::ZeroDuration());
  EXPECT_EQ(summary.first_failure, std::nullopt);
}

TEST(Recorder, ReliefEndsAtTheStartOfTheFirstFreeSpanOfFiveSeconds) {
  Recorder recorder(1, kObjective);
  for (const double at : {10.0, 12.0, 16.9, 20.0, 25.0, 40.0}) FailAt(recorder, at);
  const Summary summary = recorder.Summarise(kRun);
  EXPECT_EQ(summary.first_failure, absl::Seconds(10));
  EXPECT_EQ(summary.relief, absl::Seconds(10));  // 20 to 25 is the first; that 40 failed again is another matter
}

TEST(Recorder, ReliefMayLieAtTheEndOfTheRun) {
  Recorder recorder(1, kObjective);
  for (const double at : {10.0, 14.0}) FailAt(recorder, at);
  EXPECT_EQ(recorder.Summarise(absl::Seconds(19)).relief, absl::Seconds(4));
  EXPECT_EQ(recorder.Summarise(absl::Seconds(18.9)).relief, std::nullopt);
}

TEST(Recorder, FailuresAreTimedWhenTheyHappenAndCountedWhereTheyWereDue) {
  Recorder recorder(2, kObjective);
  recorder.Offered(absl::Seconds(3.9), absl::Seconds(3.9), 0);
  recorder.Finished(
      {.intended = absl::Seconds(3.9), .finished = absl::Seconds(9), .attempts = 4, .failure = Failure::kReset});
  const Summary summary = recorder.Summarise(kRun);
  EXPECT_EQ(summary.first_failure, absl::Seconds(9));
  EXPECT_EQ(summary.seconds.at(3).figures.failed(), 1);
  EXPECT_EQ(summary.seconds.at(3).failures_seen, 0);
  EXPECT_EQ(summary.seconds.at(9).figures.failed(), 0);
  EXPECT_EQ(summary.seconds.at(9).failures_seen, 1);
  EXPECT_EQ(summary.phases[0].failed(), 1);
  EXPECT_EQ(summary.phases[0].attempts, 4);
  EXPECT_EQ(summary.phases[1].failed(), 0);
}

TEST(Recorder, ASecondMissesTheObjectiveByItsTailOrByOneFailure) {
  Recorder recorder(1, kObjective);
  // Second 0: one of 200 is slow, its p99 is well. Second 1: three of 200 are. Second 2: fast, with one failure.
  for (int i = 0; i < 200; ++i) Request(recorder, absl::Seconds(0.5), absl::Milliseconds(i < 1 ? 900 : 20));
  for (int i = 0; i < 200; ++i) Request(recorder, absl::Seconds(1.5), absl::Milliseconds(i < 3 ? 900 : 20));
  for (int i = 0; i < 200; ++i) Request(recorder, absl::Seconds(2.5), absl::Milliseconds(20));
  FailAt(recorder, 2.5);
  const Summary summary = recorder.Summarise(kRun);
  EXPECT_FALSE(summary.seconds[0].Misses(kObjective));
  EXPECT_TRUE(summary.seconds[1].Misses(kObjective));
  EXPECT_TRUE(summary.seconds[2].Misses(kObjective));
  EXPECT_EQ(summary.seconds_over_objective, 2);
  EXPECT_EQ(summary.total.over_250ms, 4);
}

TEST(Recorder, RatiosAreOfRequestsThatEnded) {
  Recorder recorder(1, kObjective);
  for (int i = 0; i < 3; ++i) Request(recorder, absl::Seconds(1), absl::Milliseconds(1));
  FailAt(recorder, 1);
  recorder.Offered(absl::Seconds(1), absl::Seconds(1), 0);
  const Summary summary = recorder.Summarise(absl::Seconds(2));
  EXPECT_EQ(summary.total.offered, 5);
  EXPECT_EQ(summary.unfinished, 1);
  EXPECT_DOUBLE_EQ(summary.total.FailedRatio(), 0.25);
}

TEST(Recorder, LatencyCountsFromTheIntendedTime) {
  Recorder recorder(1, kObjective);
  recorder.Offered(absl::Seconds(1), absl::Seconds(1) + absl::Milliseconds(50), 0);
  recorder.Finished({.intended = absl::Seconds(1), .finished = absl::Seconds(1) + absl::Milliseconds(80)});
  EXPECT_EQ(recorder.Summarise(kRun).total.latency.max(), absl::Milliseconds(80));
}

TEST(Recorder, ALateGeneratorVoidsTheRun) {
  Recorder recorder(1, kObjective);
  recorder.Offered(absl::Seconds(1), absl::Seconds(1) + absl::Milliseconds(100), 0);
  EXPECT_TRUE(recorder.Summarise(kRun).void_reasons.empty());
  recorder.Offered(absl::Seconds(1), absl::Seconds(1) + absl::Milliseconds(101), 0);
  const Summary summary = recorder.Summarise(kRun);
  EXPECT_EQ(summary.void_reasons.size(), 1u);
  EXPECT_EQ(summary.lag.max(), absl::Milliseconds(101));
}

TEST(Recorder, AttemptsAreCountedWhenTheyStart) {
  Recorder recorder(1, kObjective);
  recorder.AttemptStarted(absl::Seconds(1), 1);
  recorder.AttemptStarted(absl::Seconds(2), 2);
  recorder.AttemptStarted(absl::Seconds(2), 3);
  const Summary summary = recorder.Summarise(kRun);
  EXPECT_EQ(summary.seconds.at(1).attempts_started, 1);
  EXPECT_EQ(summary.seconds.at(1).retries_started, 0);
  EXPECT_EQ(summary.seconds.at(2).attempts_started, 2);
  EXPECT_EQ(summary.seconds.at(2).retries_started, 2);
  EXPECT_EQ(summary.incidents.attempts, 3);
  EXPECT_EQ(summary.incidents.retries, 2);
}

TEST(Recorder, EveryFailureHasItsOwnName) {
  std::set<absl::string_view> names;
  for (size_t i = 0; i < kFailures; ++i) names.insert(FailureName(static_cast<Failure>(i)));
  EXPECT_EQ(names.size(), kFailures);
}

}  // namespace
}  // namespace headroom::load
