#include "controller/lab/simulation.h"

#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "gtest/gtest.h"

#include "controller/lab/elasticity.h"
#include "tests/controller/lab/small_course.h"

namespace headroom::lab {
namespace {

// Wants what a function of the step says.
class Wants final : public Rival {
 public:
  explicit Wants(std::function<int(int)> count, Victims victims = Victims::kYoungest)
      : count_(std::move(count)), victims_(victims) {}
  int period_steps() const override { return 1; }
  int Decide(const Meter& meter, const Nodes&) override { return count_(meter.now()); }
  Victims victims() const override { return victims_; }

 private:
  const std::function<int(int)> count_;
  const Victims victims_;
};

Outcome RunWants(const Demand& demand, std::function<int(int)> count, Victims victims = Victims::kYoungest) {
  Wants rival(std::move(count), victims);
  return Simulate(demand, rival, {.record = Record::kSupply});
}

double Steps(double hours) {
  return hours / kHoursPerStep;
}

TEST(SimulationTest, ACountThatNeverChangesCostsItsHours) {
  const Outcome outcome = RunWants(DemandOf(Flat(3, 720)), [](int) { return 3; });
  EXPECT_NEAR(outcome.node_hours, 3, 1e-9);
  EXPECT_EQ(outcome.unserved_hours, 0);
  EXPECT_NEAR(outcome.offered_hours, 3, 1e-9);
  EXPECT_EQ(outcome.actions, 0);
  EXPECT_NEAR(outcome.cost(), 3, 1e-9);
}

TEST(SimulationTest, AnUnservedNodeHourCostsAHundred) {
  const Outcome outcome = RunWants(DemandOf(Flat(3, 1) + Flat(4, 719)), [](int) { return 3; });
  EXPECT_NEAR(Steps(outcome.unserved_hours), 719, 1e-6);
  EXPECT_NEAR(outcome.cost(), 3 + 100 * 719 / 720.0, 1e-6);
}

TEST(SimulationTest, NodesThatAreLostServeAndCostNoMoreAndAreWantedAnew) {
  Demand demand = DemandOf(Flat(3, 400));
  auto course = std::make_shared<Course>(*demand.course);
  course->terms.losses = {{.step = 100, .ratio = 0.34}};
  demand.course = std::move(course);
  const Outcome kept = RunWants(demand, [](int step) { return step < 100 ? 3 : 1; });
  EXPECT_EQ(kept.supply[99], 3);
  EXPECT_EQ(kept.supply[100], 1) << "a third of three, rounded up, is two";
  EXPECT_NEAR(Steps(kept.node_hours), 3 * 100 + 300, 1e-6);
  const Outcome anew = RunWants(demand, [](int) { return 3; });
  EXPECT_EQ(anew.supply[100], 1);
  EXPECT_EQ(anew.supply[399], 3);
}

TEST(SimulationTest, ANodeBootsForTwoMinutesAndRampsForOne) {
  const Outcome outcome = RunWants(DemandOf(Flat(1, 200)), [](int step) { return step < 10 ? 1 : 2; });
  EXPECT_EQ(outcome.supply[9], 1);
  EXPECT_EQ(outcome.supply[10 + 23], 1);
  EXPECT_FLOAT_EQ(outcome.supply[10 + 24], 1 + 0.5f / 12);
  EXPECT_FLOAT_EQ(outcome.supply[10 + 35], 1 + 11.5f / 12);
  EXPECT_EQ(outcome.supply[10 + 36], 2);
  EXPECT_NEAR(Steps(outcome.node_hours), 200 + 190, 1e-6) << "paid from its launch";
  EXPECT_EQ(outcome.actions, 1);
}

TEST(SimulationTest, ANodeIsPaidForTenMinutesAtLeast) {
  const Demand demand = DemandOf(Flat(1, 500));
  const Outcome brief = RunWants(demand, [](int step) { return step >= 100 && step < 130 ? 2 : 1; });
  EXPECT_NEAR(Steps(brief.node_hours), 500 + 120, 1e-6);
  const Outcome longer = RunWants(demand, [](int step) { return step >= 100 && step < 300 ? 2 : 1; });
  EXPECT_NEAR(Steps(longer.node_hours), 500 + 200, 1e-6);
  const Outcome at_the_end = RunWants(demand, [](int step) { return step >= 450 && step < 460 ? 2 : 1; });
  EXPECT_NEAR(Steps(at_the_end.node_hours), 500 + 50, 1e-6) << "what comes after the end counts for nobody";
}

TEST(SimulationTest, TheYoungestLeavesFirstUnlessThePolicySaysOtherwise) {
  const Demand demand = DemandOf(Flat(2, 200));
  const auto count = [](int step) { return step >= 100 && step < 150 ? 3 : 2; };
  EXPECT_EQ(RunWants(demand, count).supply[155], 2);
  EXPECT_NEAR(Steps(RunWants(demand, count).node_hours), 400 + 100, 1e-6) << "it is paid until the end";
  EXPECT_NEAR(Steps(RunWants(demand, count, Victims::kOldest).node_hours), 400 + 50, 1e-6);
}

TEST(SimulationTest, OneThatIsPaidOutLeavesBeforeTheYoungestWhereThePolicySaysSo) {
  const Demand demand = DemandOf(Flat(2, 400));
  const auto brief = [](int step) { return step >= 100 && step < 150 ? 3 : 2; };
  const Outcome old = RunWants(demand, brief, Victims::kPaidOut);
  EXPECT_NEAR(Steps(old.node_hours), 800 + 50, 1e-6) << "of those that were there one leaves, at no cost";
  EXPECT_FLOAT_EQ(old.supply[155], 2);
  const auto none_is_old = [](int step) { return step < 100 ? 1 : step < 110 ? 3 : step < 120 ? 2 : 1; };
  EXPECT_NEAR(Steps(RunWants(demand, none_is_old, Victims::kPaidOut).node_hours), 400 + 20 + 10 + 100, 1e-6)
      << "the first one to leave is paid out, the second one is not";
}

TEST(SimulationTest, ABootingNodeLeavesBeforeOneThatServes) {
  const Outcome outcome = RunWants(DemandOf(Flat(2, 100)), [](int step) { return step >= 50 && step < 60 ? 5 : 2; });
  EXPECT_EQ(outcome.unserved_hours, 0);
}

TEST(SimulationTest, TheCountStaysWithinOneAndTwoHundred) {
  EXPECT_NEAR(Steps(RunWants(DemandOf(Flat(1, 100)), [](int) { return -7; }).node_hours), 100, 1e-6);
  EXPECT_NEAR(Steps(RunWants(DemandOf(Flat(1, 1000)), [](int) { return 1000; }).node_hours), 200'000, 1e-3);
}

TEST(SimulationTest, HistoryAndGapsCountForNothing) {
  Demand demand = DemandOf(Flat(5, 1000));
  auto course = std::make_shared<Course>(*demand.course);
  course->first_scored = 200;
  int scored = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool gap = i >= 400 && i < 600;
    if (gap) demand.offered[i] = 0;
    scored += i >= 200 && !gap ? 1 : 0;
    course->scored_before[i + 1] = scored;
  }
  demand.course = course;
  const Outcome outcome = RunWants(demand, [](int step) {
    return step < 150 ? 1 : step < 450 ? 4 : step < 550 ? 9 : 4;
  });
  EXPECT_NEAR(Steps(outcome.offered_hours), 600 * 5, 1e-6);
  EXPECT_NEAR(Steps(outcome.unserved_hours), 600, 1e-6) << "one node short";
  EXPECT_NEAR(Steps(outcome.node_hours), 600 * 4, 1e-6) << "nodes launched in the gap and gone before its end are free";
  EXPECT_EQ(outcome.actions, 0) << "all changes were in history or in the gap";
}

// Notes what it was shown.
class Watcher final : public Rival {
 public:
  int period_steps() const override { return 3; }
  int Decide(const Meter& meter, const Nodes& nodes) override {
    last = meter.Mean(meter.now() - 1, meter.now());
    seen_nodes = nodes;
    return 2;
  }
  double last = 0;
  Nodes seen_nodes;
};

TEST(SimulationTest, AMeterShowsThePastAndACappedOneNoMoreThanTheNodesCanDo) {
  const Demand demand = DemandOf(Flat(2, 50) + Flat(7, 50));
  Watcher offered, capped;
  Simulate(demand, offered, {.sight = Sight::kOffered});
  Simulate(demand, capped, {.sight = Sight::kCapped});
  EXPECT_EQ(offered.last, 7);
  EXPECT_EQ(capped.last, 2);
  EXPECT_EQ(offered.seen_nodes.present, 2);
  EXPECT_EQ(offered.seen_nodes.ready, 2);
}

TEST(SimulationDeathTest, NobodySeesTheFuture) {
  const Demand demand = DemandOf(Flat(1, 10));
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  meter.AdvanceTo(5);
  EXPECT_EQ(meter.Mean(4, 5), 1);
  EXPECT_TRUE(std::isnan(meter.Mean(-3, 0))) << "before the start nothing is known";
  EXPECT_DEATH(meter.Mean(5, 6), "HR_CHECK failed");
}

TEST(SimulationTest, ASensorShowsItsWindowLateAndNowAndThen) {
  std::vector<double> rising;
  for (int i = 0; i < 100; ++i) rising.push_back(i);
  const Demand demand = DemandOf(rising);
  Meter meter(demand.sum_before.data(), demand.course->known_before.data());
  const Sensor sensor{.window_steps = 2, .refresh_steps = 6, .delay_steps = 2};
  meter.AdvanceTo(35);  // refreshed at 30, of steps 26 and 27
  EXPECT_EQ(sensor.Read(meter), 26.5);
}

TEST(ElasticityTest, ShortageAndExcessAreMeasured) {
  const Demand demand = DemandOf(Flat(4, 100) + Flat(2, 100));
  Wants rival([](int) { return 3; });
  Outcome outcome = Simulate(demand, rival, {.record = Record::kSupply});
  const Elasticity elasticity = MeasureElasticity(demand, outcome);
  // The first step starts with 4 nodes that are at once 3.
  EXPECT_NEAR(elasticity.accuracy_under_percent, 99 * 0.25 / 200 * 100, 1e-6);
  EXPECT_NEAR(elasticity.accuracy_over_percent, 100 * 0.5 / 200 * 100, 1e-6);
  EXPECT_NEAR(elasticity.timeshare_under_percent, 49.5, 1e-6);
  EXPECT_NEAR(elasticity.timeshare_over_percent, 50, 1e-6);
  EXPECT_NEAR(elasticity.instability_percent, 0.5, 1e-6) << "demand fell once and supply did not";
  EXPECT_NEAR(elasticity.jitter_per_hour, -1 / (200 * kHoursPerStep), 1e-6);
  EXPECT_NEAR(*ElasticSpeedup(elasticity, elasticity), 1, 1e-9);
}

}  // namespace
}  // namespace headroom::lab
