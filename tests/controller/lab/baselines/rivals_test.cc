#include "controller/lab/baselines/rivals.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/lab/baselines/cloud.h"
#include "controller/lab/baselines/database.h"
#include "controller/lab/baselines/simple.h"
#include "controller/lab/baselines/watermark.h"
#include "controller/lab/simulation.h"
#include "controller/lab/synthetic.h"
#include "controller/sim/random.h"
#include "tests/controller/lab/small_course.h"

namespace headroom::lab {
namespace {

TEST(SlidingTest, ItIsTheLargestOfTheNewestValues) {
  sim::Random random(5);
  for (const size_t capacity : {1u, 2u, 7u}) {
    SlidingMax sliding(capacity);
    std::vector<int> values;
    for (int i = 0; i < 200; ++i) {
      values.push_back(static_cast<int>(sim::Index(random, 20)));
      const auto first =
          values.size() > capacity ? values.end() - static_cast<std::ptrdiff_t>(capacity) : values.begin();
      ASSERT_EQ(sliding.Add(values.back()), *std::max_element(first, values.end())) << capacity << " at " << i;
    }
  }
}

TEST(AzureTest, ScaleInIsSkippedWhereItWouldScaleOutAgain) {
  EXPECT_EQ(AzureScaleIn(60, 3, 1, 80), 0) << "90 % would be left";
  EXPECT_EQ(AzureScaleIn(50, 3, 1, 80), 1) << "75 % would be left";
  EXPECT_EQ(AzureScaleIn(50, 10, 5, 80), 3) << "a smaller step passes";
}

TEST(BigtableTest, AChangeWaitsByItsWeight) {
  EXPECT_FALSE(BigtableMayApply(10, 12, 719));
  EXPECT_TRUE(BigtableMayApply(10, 12, 720));
  EXPECT_FALSE(BigtableMayApply(10, 8, 2879));
  EXPECT_TRUE(BigtableMayApply(10, 8, 2880));
}

TEST(BigtableTest, AStorageUseOfZeroHolds) {
  EXPECT_EQ(BigtableStorageNodes(10, 0), 10);
  EXPECT_EQ(BigtableStorageNodes(10, 0.35), 5);
}

TEST(BigtableTest, ItRemovesThreeInTenAtMost) {
  EXPECT_EQ(BigtableCpuNodes(10, 0.1, 0.7), 7);
  EXPECT_EQ(BigtableCpuNodes(3, 0.1, 0.7), 2);
  EXPECT_EQ(BigtableCpuNodes(10, 0.9, 0.7), 13);
}

TEST(BigtableTest, NothingHappensWithinTenMinutesOfAChange) {
  const Demand demand = DemandOf(Flat(5, 400));
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  BigtableAutoscaler rival({.target = 0.5, .hold_steps = BigtableAutoscaler::kHoldSteps});
  meter.AdvanceTo(120);
  EXPECT_EQ(rival.Decide(meter, {2, 2}), 10) << "a large change, an hour after the last";
  meter.AdvanceTo(120 + 114);
  EXPECT_EQ(rival.Decide(meter, {2, 2}), 2);
  meter.AdvanceTo(120 + 120);
  EXPECT_EQ(rival.Decide(meter, {2, 2}), 10);
}

TEST(SpannerTest, InsideTheMarginItStays) {
  EXPECT_EQ(SpannerLinear(10, 69, 65), 10);
  EXPECT_EQ(SpannerLinear(10, 71, 65), 11);
  EXPECT_EQ(SpannerLinear(10, 50, 65), 8);
}

TEST(WatermarkTest, BetweenTheMarksItStays) {
  EXPECT_EQ(WatermarkReplicas(10, {85, 80, 60}), 11);
  EXPECT_EQ(WatermarkReplicas(10, {80.5, 80, 60}), 10);
  EXPECT_EQ(WatermarkReplicas(10, {55, 80, 60}), 9);
}

// The answers of a rival whose wishes come true at once.
std::vector<int> CountsOf(Rival& rival, const Demand& demand, int nodes) {
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  std::vector<int> counts;
  for (int step = 0; step < demand.steps(); step += rival.period_steps()) {
    meter.AdvanceTo(step);
    nodes = rival.Decide(meter, {nodes, nodes});
    counts.push_back(nodes);
  }
  return counts;
}

TEST(AwsTest, ItGrowsAfterThreeMinutesAndShrinksAfterFifteen) {
  AwsTargetTracking rival({.target = 0.5, .hold_steps = AwsTargetTracking::kHoldSteps});
  const std::vector<int> counts = CountsOf(rival, DemandOf(Flat(2, 60) + Flat(4, 240) + Flat(2, 600)), 4);
  EXPECT_EQ(counts[5 + 3], 4) << "two points above the target";
  EXPECT_EQ(counts[5 + 4], 8) << "three, the newest a minute old";
  EXPECT_EQ(counts[25 + 15], 8);
  EXPECT_EQ(counts[25 + 16], 5) << "the smallest count that keeps it below the target";
}

TEST(MigTest, ItHoldsTheLargestOfTenMinutes) {
  GceMig rival({.target = 0.5, .hold_steps = GceMig::kHoldSteps});
  const std::vector<int> counts = CountsOf(rival, DemandOf(Flat(2, 60) + Flat(4, 60) + Flat(2, 400)), 4);
  EXPECT_EQ(counts[12], 8) << "a minute after the jump";
  EXPECT_EQ(counts[20 + 19], 8);
  EXPECT_EQ(counts[20 + 22], 4);
}

TEST(StaticTest, TheBestCountIsTheBestOfAll) {
  sim::Random random(9);
  std::vector<double> offered;
  for (int i = 0; i < 3000; ++i) offered.push_back(20 * sim::Uniform(random) * sim::Uniform(random));
  const Demand demand = DemandOf(offered);
  std::map<double, int> by_cost;
  for (int nodes = 1; nodes <= 25; ++nodes) {
    StaticCount rival({.nodes = nodes});
    by_cost[Simulate(demand, rival, {}).cost()] = nodes;
  }
  EXPECT_EQ(BestStaticNodes(demand), by_cost.begin()->second);
  EXPECT_GT(by_cost.begin()->second, 5);
}

TEST(RivalsTest, EveryRivalHoldsWhileNothingIsKnown) {
  Demand demand = DemandOf(Flat(0, 400));
  auto course = std::make_shared<Course>(*demand.course);
  course->known_before = Series<int32_t>(401);
  demand.course = course;
  for (const Contender& contender : Contenders()) {
    if (contender.name == "best_static") continue;
    const auto rival = contender.make({.target = 0.5, .hold_steps = contender.hold_steps_default});
    for (const int count : CountsOf(*rival, demand, 7)) ASSERT_EQ(count, 7) << contender.name;
  }
}

TEST(RivalsTest, EveryRivalFollowsDemandUpAndDown) {
  const Demand demand = DemandOf(Flat(5, 1000) + Flat(20, 2000) + Flat(5, 4000));
  for (const Contender& contender : Contenders()) {
    if (contender.name == "best_static") continue;
    const auto rival = contender.make({.target = 0.5, .hold_steps = contender.hold_steps_default});
    const std::vector<int> counts = CountsOf(*rival, demand, 10);
    const auto at = [&](int step) { return counts[static_cast<size_t>(step / rival->period_steps())]; };
    EXPECT_GE(at(2900), 30) << contender.name;
    EXPECT_LE(at(2900), 50) << contender.name;
    EXPECT_LE(at(6900), 20) << contender.name;
    EXPECT_GE(at(6900), 7) << contender.name;
  }
}

TEST(RivalsTest, TheGridOfSettingsIsThatOfTheTask) {
  std::set<std::string> names;
  for (const Contender& contender : Contenders()) {
    names.insert(contender.name);
    if (contender.name == "best_static") continue;
    const std::vector<Setting> settings = contender.settings(contender, {});
    EXPECT_EQ(settings.size() % 14, 0u) << contender.name;
    EXPECT_GE(settings.size(), 28u) << contender.name;
    EXPECT_NEAR(settings.front().target, 0.30, 1e-12);
    EXPECT_NEAR(settings.back().target, 0.95, 1e-12);
  }
  EXPECT_EQ(names.size(), 13u);
  EXPECT_EQ(Describe({.target = 0.7, .hold_steps = 60}), "target 0.70, hold 300 s");
  EXPECT_EQ(Describe({.nodes = 12}), "12 nodes");
}

// Two days of a diurnal curve, a value a minute.
Demand Diurnal(uint64_t seed) {
  Trace trace{.name = "diurnal", .column = "v", .step = absl::Minutes(1)};
  for (int minute = 0; minute < 2 * 1440; ++minute) {
    trace.samples.push_back({int64_t{minute} * 60, 1000 - 600 * std::cos(2 * std::numbers::pi * minute / 1440)});
  }
  return MakeDemand(*MakeCourse(trace), seed);
}

TEST(RivalsTest, ASlopeTellsNoMoreThanTheLastValue) {
  const Demand demand = Diurnal(1);
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  double last_error = 0, slope_error = 0;
  constexpr int kLead = 36;
  for (int step = 100; step + kLead < demand.steps(); ++step) {
    meter.AdvanceTo(step);
    const double truth = demand.offered[step + kLead];
    last_error += std::abs(ForecastDemand(Forecast::kLastValue, meter) - truth);
    slope_error += std::abs(ForecastDemand(Forecast::kSlope, meter) - truth);
  }
  EXPECT_GT(slope_error, last_error);
}

double TunedCost(const std::string& name, const Demand& demand) {
  double best = HUGE_VAL;
  for (const Contender& contender : Contenders()) {
    if (contender.name != name) continue;
    for (const Setting& setting : contender.settings(contender, {})) {
      best = std::min(best, Simulate(demand, *contender.make(setting), {}).cost());
    }
  }
  return best;
}

TEST(RivalsTest, SlopeExtrapolationDoesNotBeatLastValueOnAnySeedOrShapeThatMovesSmoothly) {
  for (const uint64_t seed : kSeeds) {
    std::vector<Demand> demands = {Diurnal(seed)};
    for (const char* shape : {"diurnal", "campaign", "bursty", "noisy"}) {
      const auto trace = MakeTrace({.shape = shape, .length = absl::Hours(24), .seed = seed});
      demands.push_back(MakeDemand(*MakeCourse(*trace), seed));
    }
    for (const Demand& demand : demands) {
      const double slope = TunedCost("slope_extrapolation", demand), last = TunedCost("last_value", demand);
      EXPECT_TRUE(std::isfinite(last));
      EXPECT_GE(slope, last) << demand.course->name << " seed " << seed;
    }
  }
}

}  // namespace
}  // namespace headroom::lab
