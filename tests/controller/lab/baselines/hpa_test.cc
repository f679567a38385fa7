#include "controller/lab/baselines/hpa.h"

#include "gtest/gtest.h"

#include "tests/controller/lab/small_course.h"

namespace headroom::lab {
namespace {

TEST(HpaTest, UnreadyAndMissingPodsDampGrowth) {
  // 10 pods of 1000m, target 70 %: 8 use 7600m, 1 is pending, 1 has no metric. 95 % wants 11, refilled it is 76 %.
  const HpaPods pods{.ready = 8, .usage_millis = 7600, .unready = 1, .missing = 1};
  EXPECT_EQ(HpaResourceReplicas(pods, 70, 10), 10);
}

TEST(HpaTest, ARatioOfExactlyTheToleranceStays) {
  const HpaPods pods{.ready = 3, .usage_millis = 3 * 779};  // 77.9 % is 77
  EXPECT_EQ(HpaResourceReplicas(pods, 70, 3), 3);
  EXPECT_EQ(HpaResourceReplicas({.ready = 3, .usage_millis = 3 * 780}, 70, 3), 4);
}

TEST(HpaTest, MissingPodsCountAsFullWhenItShrinks) {
  EXPECT_EQ(HpaResourceReplicas({.ready = 8, .usage_millis = 8 * 200}, 70, 10), 3);
  EXPECT_EQ(HpaResourceReplicas({.ready = 8, .usage_millis = 8 * 200, .missing = 2}, 70, 10), 6);
}

TEST(HpaTest, WithoutAReadyPodThereIsNoProposal) {
  EXPECT_EQ(HpaResourceReplicas({.ready = 0, .unready = 2}, 70, 2), std::nullopt);
}

TEST(HpaTest, TheFirstSyncsOfTheTwoPathsDiffer) {
  const HpaBounds bounds{.min = 1, .max = 100};
  EXPECT_EQ(HpaLegacyLimit(100, 1, bounds), 4);
  EXPECT_EQ(HpaBehaviorLimit(100, 1, bounds), 5);
  EXPECT_EQ(HpaLegacyLimit(100, 3, bounds), 6);
  EXPECT_EQ(HpaBehaviorLimit(100, 3, bounds), 7);
}

TEST(HpaTest, BehaviorShrinksNoFurtherThanTheLargestOfItsWindow) {
  Hpa hpa(HpaKind::kBehavior, {.hold_steps = kHpaHoldSteps}, Hpa::kPipeline);
  for (const int recommendation : {9, 7, 5}) hpa.Sync(recommendation, 9);
  EXPECT_EQ(hpa.Sync(4, 9), 9);
  for (int sync = 0; sync < 16; ++sync) EXPECT_EQ(hpa.Sync(4, 9), 9);
  EXPECT_EQ(hpa.Sync(4, 9), 7) << "the nine is older than 300 s";
}

TEST(HpaTest, LegacyHoldsTheLargestRecommendationToo) {
  Hpa hpa(HpaKind::kLegacy, {.hold_steps = 0}, Hpa::kPipeline);
  EXPECT_EQ(hpa.Sync(9, 9), 9);
  EXPECT_EQ(hpa.Sync(4, 9), 4) << "without a hold time only the newest counts";
}

TEST(HpaTest, AFailedMetricStopsShrinkingAndNotGrowth) {
  EXPECT_EQ(HpaCombine({3, std::nullopt}, 5), std::nullopt);
  EXPECT_EQ(HpaCombine({8, std::nullopt}, 5), 8);
  EXPECT_EQ(HpaCombine({3, 4}, 5), 4);
  EXPECT_EQ(HpaCombine({std::nullopt}, 5), std::nullopt);
}

TEST(HpaTest, AnExternalMetricIsSharedByAllPods) {
  EXPECT_EQ(HpaExternalReplicas(7.7, 0.7, 10), 10) << "within 10 %";
  EXPECT_EQ(HpaExternalReplicas(7.8, 0.7, 10), 12);
  EXPECT_EQ(HpaExternalReplicas(6.2, 0.7, 10), 9);
}

TEST(HpaTest, ItActsOnAMetricThatIsTenSecondsOldAtLeast) {
  // A jump at step 10 (50 s): the pipeline refreshes at 60 s what was at 40..50 s, and at 90 s what was at 70..80 s.
  const Demand demand = DemandOf(Flat(2, 10) + Flat(8, 40));
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  Hpa hpa(HpaKind::kLegacy, {.target = 1}, Hpa::kPipeline);
  for (int step = 3; step < 18; step += 3) {
    meter.AdvanceTo(step);
    EXPECT_EQ(hpa.Decide(meter, {2, 2}), 2) << step;
  }
  meter.AdvanceTo(18);
  EXPECT_EQ(hpa.Decide(meter, {2, 2}), 4);
}

TEST(KedaTest, AnInactiveTriggerEndsAtZeroInOneStep) {
  const Demand demand = DemandOf(Flat(5, 12) + Flat(0, 120));
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  Keda to_zero({.target = 1, .hold_steps = kHpaHoldSteps}, 0), to_one({.target = 1, .hold_steps = kHpaHoldSteps}, 1);
  int zero_step = 0;
  for (int step = 0; step <= 90 && zero_step == 0; step += 3) {
    meter.AdvanceTo(step);
    if (to_zero.Decide(meter, {5, 5}) == 0) zero_step = step;
    EXPECT_GE(to_one.Decide(meter, {5, 5}), 1);
  }
  EXPECT_EQ(zero_step, 12 + 60) << "300 s after the last sight of activity";
}

}  // namespace
}  // namespace headroom::lab
