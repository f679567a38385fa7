#include "controller/core/limits/law.h"

#include <random>

#include <gtest/gtest.h>

namespace headroom {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

LimitInputs Calm() {
  LimitInputs in;
  in.open_count = 60;
  in.active_count = 4;
  in.configured_count = 200;
  in.configured_idle_timeout = absl::Seconds(30);
  in.latency_p50 = absl::Milliseconds(20);
  in.latency_baseline = absl::Milliseconds(20);
  in.goodput_per_second = 100;
  return in;
}

LimitMemory At(int64_t limit) {
  LimitMemory memory;
  memory.limit_count = limit;
  return memory;
}

TEST(Law, WhatANodeSaidOnceIsEvidenceOnceAndForbidsRaisesAllTheTime) {
  LimitMemory memory = At(200);
  LimitInputs in = Calm();
  in.open_count = 190;
  in.latency_p50 = absl::Seconds(1);
  EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart).cause, LimitCause::kVetoLatency);
  in.health_is_new = false;
  for (int i = 1; i < 10; ++i) {
    const LimitAnswer answer = NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
    EXPECT_EQ(answer.limit_count, 200);
    EXPECT_EQ(answer.cause, LimitCause::kVetoLatency);
  }
  in.health_is_new = true;
  EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(10)).limit_count, 180);
}

TEST(Law, AnAnswerThatIsOverruledHasTheIdleTimeoutOfTheLimitThatCounts) {
  LimitMemory memory = At(200);
  LimitInputs in = Calm();
  in.open_count = 200;
  const LimitAnswer raised = NextLimit(LimitPolicy{}, in, memory, kStart);
  ASSERT_EQ(raised.idle_timeout, absl::Seconds(30));
  const LimitAnswer held = Overruled(LimitPolicy{}, in, raised, 200);
  EXPECT_EQ(held.limit_count, 200);
  EXPECT_EQ(held.idle_timeout, absl::Seconds(5));
  EXPECT_DOUBLE_EQ(held.utilization_ratio, 1);
}

struct Case {
  std::string name;
  std::function<void(LimitInputs&)> change;
  int64_t want;
  LimitCause want_cause;
};

class LawStep : public testing::TestWithParam<Case> {};

TEST_P(LawStep, Answers) {
  LimitInputs in = Calm();
  GetParam().change(in);
  LimitMemory memory = At(200);
  const LimitAnswer answer = NextLimit(LimitPolicy{}, in, memory, kStart);
  EXPECT_EQ(answer.limit_count, GetParam().want);
  EXPECT_EQ(LimitCauseName(answer.cause), LimitCauseName(GetParam().want_cause));
  EXPECT_EQ(memory.limit_count, answer.limit_count);
}

INSTANTIATE_TEST_SUITE_P(Table, LawStep,
                         testing::Values(Case{"calm_stays", [](LimitInputs&) {}, 200, LimitCause::kSteady},
                                         Case{"near_the_limit_raises_above_demand",
                                              [](LimitInputs& in) { in.open_count = 180; }, 225, LimitCause::kDemand},
                                         Case{"a_raise_is_at_least_a_tenth",
                                              [](LimitInputs& in) { in.open_count = 161; }, 220, LimitCause::kDemand},
                                         Case{"waiting_counts_as_demand",
                                              [](LimitInputs& in) {
                                                in.open_count = 200;
                                                in.waiting_count = 60;
                                              },
                                              325, LimitCause::kDemand},
                                         Case{"who_waits_beside_free_slots_waits_for_something_else",
                                              [](LimitInputs& in) { in.waiting_count = 50; }, 200, LimitCause::kSteady},
                                         Case{"at_most_doubled",
                                              [](LimitInputs& in) {
                                                in.open_count = 200;
                                                in.waiting_count = 900;
                                              },
                                              400, LimitCause::kDemand},
                                         Case{"a_slope_is_looked_ahead",
                                              [](LimitInputs& in) {
                                                in.open_count = 150;
                                                in.open_slope_per_second = 50;
                                              },
                                              313, LimitCause::kDemand},
                                         Case{"a_falling_slope_hides_nothing",
                                              [](LimitInputs& in) {
                                                in.open_count = 180;
                                                in.open_slope_per_second = -80;
                                              },
                                              225, LimitCause::kDemand},
                                         Case{"file_descriptors_bound",
                                              [](LimitInputs& in) {
                                                in.open_count = 200;
                                                in.waiting_count = 90;
                                                in.fd_count_max = 250;
                                              },
                                              250, LimitCause::kDemand},
                                         Case{"at_the_ceiling_it_says_so",
                                              [](LimitInputs& in) {
                                                in.open_count = 200;
                                                in.waiting_count = 90;
                                                in.memory_count_max = 200;
                                              },
                                              200, LimitCause::kCeiling},
                                         Case{"slow_node_is_not_raised",
                                              [](LimitInputs& in) {
                                                in.open_count = 200;
                                                in.waiting_count = 90;
                                                in.latency_p50 = absl::Milliseconds(90);
                                              },
                                              200, LimitCause::kVetoLatency},
                                         Case{"memory_stall_vetoes",
                                              [](LimitInputs& in) {
                                                in.open_count = 175;
                                                in.waiting_count = 9;
                                                in.memory_full_ratio = 0.02;
                                              },
                                              200, LimitCause::kVetoMemory},
                                         Case{"io_stall_vetoes",
                                              [](LimitInputs& in) {
                                                in.open_count = 175;
                                                in.waiting_count = 9;
                                                in.io_full_ratio = 0.3;
                                              },
                                              200, LimitCause::kVetoIo},
                                         Case{"no_gain_from_more_work_vetoes",
                                              [](LimitInputs& in) {
                                                in.open_count = 175;
                                                in.waiting_count = 9;
                                                in.work_throughput_correlation = -0.6;
                                              },
                                              200, LimitCause::kVetoPlateau},
                                         Case{"chance_in_an_even_load_vetoes_nothing",
                                              [](LimitInputs& in) {
                                                in.open_count = 175;
                                                in.waiting_count = 9;
                                                in.work_throughput_correlation = -0.2;
                                              },
                                              230, LimitCause::kDemand},
                                         Case{"unknown_health_does_not_veto",
                                              [](LimitInputs& in) {
                                                in.open_count = 180;
                                                in.latency_p50.reset();
                                                in.latency_baseline.reset();
                                              },
                                              225, LimitCause::kDemand}),
                         [](const auto& row) { return row.param.name; });

TEST(Law, TwoUnhealthyStepsAtAFullNodeCutButNeverBelowActiveWork) {
  LimitInputs in = Calm();
  in.open_count = 195;
  in.active_count = 190;
  in.latency_p50 = absl::Seconds(1);
  LimitMemory memory = At(200);
  EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart).cause, LimitCause::kVetoLatency);
  const LimitAnswer cut = NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(1));
  EXPECT_EQ(cut.cause, LimitCause::kCutUnhealthy);
  EXPECT_EQ(cut.limit_count, 198);  // active 190 + reserve 8
}

// Each applied grant makes its node speak at once: a stalling disk took a limit from 490 to 17 in 2.5 s.
TEST(Law, AReportThatOnlyConfirmsACutIsNoReasonForTheNext) {
  LimitInputs in = Calm();
  in.configured_count = 500;
  in.open_count = 480;
  in.active_count = 10;
  in.io_full_ratio = 0.25;
  LimitMemory memory = At(490);
  for (int i = 0; i < 50; ++i) NextLimit(LimitPolicy{}, in, memory, kStart + i * absl::Milliseconds(50));
  EXPECT_LT(memory.limit_count, 490);
  EXPECT_GE(memory.limit_count, 396);  // two cuts in 2.5 s
}

TEST(Law, AnUnhealthyButIdleNodeKeepsItsTestedSize) {
  LimitInputs in = Calm();
  in.latency_p50 = absl::Seconds(1);
  LimitMemory memory = At(200);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i)).limit_count, 200);
}

TEST(Law, DecayWaitsThenGoesBackToTheConfiguredLimitExactly) {
  LimitInputs in = Calm();
  in.open_count = 100;
  LimitMemory memory = At(600);
  LimitPolicy policy;
  policy.decay_after = absl::Seconds(60);
  policy.decay_half_life = absl::Seconds(30);
  absl::Time now = kStart;
  for (; now < kStart + absl::Seconds(60); now += absl::Seconds(1))
    EXPECT_EQ(NextLimit(policy, in, memory, now).limit_count, 600);
  int64_t last = 600;
  for (; now < kStart + absl::Seconds(240); now += absl::Seconds(1)) {
    const int64_t limit = NextLimit(policy, in, memory, now).limit_count;
    EXPECT_LE(limit, last);
    last = limit;
  }
  EXPECT_EQ(last, 200);
}

// 115 of 220 is above half of the limit, but the configured 200 carries it well.
TEST(Law, ALimitThatIsALittleTooHighGoesHomeToo) {
  LimitInputs in = Calm();
  in.open_count = in.open_peak_count = 115;
  LimitMemory memory = At(220);
  LimitPolicy policy;
  policy.decay_after = absl::Seconds(60);
  for (int i = 0; i < 600; ++i) NextLimit(policy, in, memory, kStart + absl::Seconds(i));
  EXPECT_EQ(memory.limit_count, 200);
}

TEST(Law, DecayStopsAboveTheRecentPeak) {
  LimitInputs in = Calm();
  in.open_count = 100;
  in.open_peak_count = 400;
  LimitMemory memory = At(900);
  LimitPolicy policy;
  policy.decay_after = absl::ZeroDuration();
  policy.decay_half_life = absl::Seconds(10);
  for (int i = 0; i < 300; ++i) NextLimit(policy, in, memory, kStart + absl::Seconds(i));
  EXPECT_EQ(memory.limit_count, 520);
}

TEST(Law, ARaiseThatLostGoodputIsRolledBackAndRememberedAsBad) {
  LimitInputs in = Calm();
  in.open_count = 190;
  LimitMemory memory = At(200);
  EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart).limit_count, 238);
  in.open_count = 230;
  in.goodput_per_second = 50;
  for (int i = 4; i < 6; ++i) NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
  // Raises may have followed the first one; what comes back is what was before it.
  EXPECT_EQ(memory.limit_count, 200);
  const LimitAnswer later = NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(8));
  EXPECT_EQ(CeilingName(later.bound_by), "bad");
}

// An operator's low limit has ended. What happens elsewhere in the next minute says nothing of a limit that the server
// was given by its owner; an hour at a third of it, with clients waiting, would be the outage itself.
TEST(Law, ANodeOnItsWayBackToItsConfiguredLimitIsNotHeldBelowItForAnHour) {
  LimitInputs in = Calm();
  in.open_count = in.open_peak_count = 60;
  LimitMemory memory = At(21);
  NextLimit(LimitPolicy{}, in, memory, kStart);
  in.goodput_per_second = 40;
  for (int i = 1; i < 30; ++i) {
    const LimitAnswer answer = NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
    EXPECT_NE(answer.cause, LimitCause::kRollBack) << i;
  }
  EXPECT_EQ(memory.limit_count, 200);
}

TEST(Law, ARaiseAcrossTheConfiguredLimitIsTakenBackToItAndNoFurther) {
  LimitInputs in = Calm();
  in.open_count = 150;
  in.waiting_count = 50;
  LimitMemory memory = At(150);
  ASSERT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart).limit_count, 250);
  in.open_count = 240;
  in.latency_p50 = absl::Milliseconds(90);
  NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(4));
  const LimitAnswer answer = NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(5));
  EXPECT_EQ(answer.cause, LimitCause::kRollBack);
  EXPECT_EQ(answer.limit_count, 200);
}

TEST(Law, WhatWasTriedAndBadIsNeverACeilingBelowTheConfiguredLimit) {
  LimitInputs in = Calm();
  in.open_count = 190;
  LimitMemory memory = At(100);
  memory.bad_count = 205;
  memory.bad_since = kStart;
  for (int i = 1; i < 10; ++i) NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
  EXPECT_EQ(memory.limit_count, 200);
}

TEST(Law, ARaiseInASlowSteadyLoadIsNotTakenBackByChance) {
  // Six long downloads a second, told over five: counts scatter by a fifth and more.
  std::mt19937_64 random(7);
  std::poisson_distribution<int> downloads(30);
  int taken_back = 0;
  for (int run = 0; run < 200; ++run) {
    LimitInputs in = Calm();
    in.open_count = 190;
    in.goodput_seconds = 5;
    in.goodput_per_second = downloads(random) / 5.0;
    LimitMemory memory = At(200);
    NextLimit(LimitPolicy{}, in, memory, kStart);
    in.open_count = 230;
    for (int i = 1; i < 57; ++i) {
      in.goodput_per_second = downloads(random) / 5.0;
      taken_back += NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i)).cause == LimitCause::kRollBack;
    }
  }
  EXPECT_LE(taken_back, 2) << "of 200 raises";
}

TEST(Law, ARaiseIsNotBlamedWhereClientsAskForLess) {
  LimitInputs in = Calm();
  in.open_count = 190;
  in.active_count = 10;
  LimitMemory memory = At(200);
  NextLimit(LimitPolicy{}, in, memory, kStart);
  in.open_count = 230;  // the surge is over, and its idle connections are still there
  in.active_count = 3;
  in.goodput_per_second = 30;
  for (int i = 1; i < 30; ++i) NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
  EXPECT_GE(memory.limit_count, 238);
  EXPECT_EQ(memory.bad_count, 0);
}

TEST(Law, ARaiseWhoseRoomIsNotUsedIsNotBlamed) {
  LimitInputs in = Calm();
  in.open_count = 190;
  LimitMemory memory = At(200);
  NextLimit(LimitPolicy{}, in, memory, kStart);
  in.open_count = 100;
  in.goodput_per_second = 10;
  for (int i = 1; i < 30; ++i) NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
  EXPECT_EQ(memory.limit_count, 238);
}

TEST(Law, IdleTimeoutShrinksOnlyWhenTheRaiseDoesNotSuffice) {
  LimitInputs in = Calm();
  in.open_count = 180;
  LimitMemory memory = At(200);
  EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart).idle_timeout, absl::Seconds(30));
  in.open_count = 200;
  in.waiting_count = 100;
  in.fd_count_max = 200;
  memory = At(200);
  EXPECT_EQ(NextLimit(LimitPolicy{}, in, memory, kStart).idle_timeout, absl::Seconds(5));
}

TEST(Law, ACutNodeIsRestoredToItsConfiguredLimitWhenHealthy) {
  LimitInputs in = Calm();
  LimitMemory memory = At(100);
  for (int i = 0; i < 10; ++i) NextLimit(LimitPolicy{}, in, memory, kStart + absl::Seconds(i));
  EXPECT_EQ(memory.limit_count, 200);
}

}  // namespace
}  // namespace headroom
