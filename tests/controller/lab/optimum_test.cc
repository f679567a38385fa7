#include "controller/lab/optimum.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "gtest/gtest.h"

#include "controller/lab/simulation.h"
#include "controller/sim/random.h"
#include "tests/controller/lab/small_course.h"

namespace headroom::lab {
namespace {

// The cost of one level by its on/off times, bit by bit, in the plainest way.
double LevelCost(const std::vector<double>& slice, uint32_t on, const NodeLaw& law, bool present) {
  const int steps = static_cast<int>(slice.size());
  double cost = 0;
  int launched = present ? -1000 : 0;
  bool is_on = present;
  for (int step = 0; step < steps; ++step) {
    const bool wants = (on >> step & 1) != 0;
    if (wants && !is_on) launched = step;
    if (!wants && is_on) cost += std::max(0, std::min(launched + law.paid_steps_min, steps) - step);
    is_on = wants;
    const double capacity = is_on ? law.Capacity(step - launched) : 0;
    cost += (is_on ? 1 : 0) + kShortagePrice * std::max(0.0, slice[step] - capacity);
  }
  return cost;
}

double BestLevelCost(const std::vector<double>& slice, const NodeLaw& law, bool present) {
  double best = std::numeric_limits<double>::infinity();
  for (uint32_t on = 0; on < 1u << slice.size(); ++on) best = std::min(best, LevelCost(slice, on, law, present));
  return best;
}

std::vector<double> RandomDemand(sim::Random& random, int steps, int peak) {
  std::vector<double> demand;
  while (static_cast<int>(demand.size()) < steps) {
    // Plateaus, so that nodes are worth having; some a whole number, some tiny, so that shortage is worth bearing.
    const double level = sim::Index(random, 3) == 0 ? 1.01 : peak * sim::Uniform(random);
    const int length = 1 + static_cast<int>(sim::Index(random, 5));
    for (int i = 0; i < length && static_cast<int>(demand.size()) < steps; ++i) demand.push_back(level);
  }
  return demand;
}

TEST(OptimumTest, EachLevelIsExactByBruteForce) {
  sim::Random random(7);
  for (int round = 0; round < 60; ++round) {
    const NodeLaw law{.boot_steps = round % 3, .ramp_steps = round % 4, .paid_steps_min = 3 + round % 3};
    const std::vector<double> offered = RandomDemand(random, 13, 3);
    const Demand demand = DemandOf(offered);
    const int initial = InitialNodes(demand);
    double best = 13;  // the first node is always there
    for (int level = 2; level <= 3; ++level) {
      std::vector<double> slice;
      for (const double value : offered) slice.push_back(std::clamp(value - (level - 1), 0.0, 1.0));
      best += BestLevelCost(slice, law, level <= initial);
    }
    EXPECT_NEAR(FindOptimum(demand, law).cost_steps, best, 1e-6) << "round " << round;
  }
}

// The cost of a whole run of counts, the youngest leaving first, all nodes serving together.
double CrewCost(const std::vector<double>& offered, const std::vector<int>& counts, const NodeLaw& law, int initial) {
  const int steps = static_cast<int>(offered.size());
  std::vector<int> launches(initial, -1000);
  double cost = 0;
  for (int step = 0; step < steps; ++step) {
    while (static_cast<int>(launches.size()) > counts[step]) {
      cost += std::max(0, std::min(launches.back() + law.paid_steps_min, steps) - step);
      launches.pop_back();
    }
    launches.resize(counts[step], step);
    double capacity = 0;
    for (const int launch : launches) capacity += law.Capacity(step - launch);
    cost += counts[step] + kShortagePrice * std::max(0.0, offered[step] - capacity);
  }
  return cost;
}

double BestCrewCost(const std::vector<double>& offered, const NodeLaw& law, int initial) {
  const int steps = static_cast<int>(offered.size());
  std::vector<int> counts(steps, 1);
  double best = std::numeric_limits<double>::infinity();
  for (int place = 0; place < steps;) {
    best = std::min(best, CrewCost(offered, counts, law, initial));
    for (place = 0; place < steps && counts[place] == 3; ++place) counts[place] = 1;
    if (place < steps) ++counts[place];
  }
  return best;
}

TEST(OptimumTest, NoSequenceOfCountsIsCheaperByBruteForce) {
  sim::Random random(11);
  int equal = 0, rounds = 24;
  for (int round = 0; round < rounds; ++round) {
    const NodeLaw law{.boot_steps = round % 3, .ramp_steps = 0, .paid_steps_min = 2 + round % 3};
    const std::vector<double> offered = RandomDemand(random, 9, 3);
    const Demand demand = DemandOf(offered);
    const double optimum = FindOptimum(demand, law).cost_steps;
    const double best = BestCrewCost(offered, law, InitialNodes(demand));
    EXPECT_LE(optimum, best + 1e-6) << "round " << round;
    equal += optimum > best - 1e-6 ? 1 : 0;
  }
  EXPECT_GE(equal, rounds * 3 / 4) << "the bound is not tight";
}

// Several that ramp together may spare some of what each is charged for alone: hence the bound.
TEST(OptimumTest, NoSequenceOfCountsIsCheaperThanTheRampFreeBound) {
  sim::Random random(13);
  for (int round = 0; round < 12; ++round) {
    const std::vector<double> offered = RandomDemand(random, 9, 3);
    Demand demand = DemandOf(offered);
    auto course = std::make_shared<Course>(*demand.course);
    course->terms.law = {.boot_steps = 2, .ramp_steps = 3, .paid_steps_min = 5};
    demand.course = course;
    const double best = BestCrewCost(offered, course->terms.law, InitialNodes(demand)), bound = RampFreeBound(demand);
    EXPECT_LE(bound, best + 1e-6) << "round " << round;
    EXPECT_GT(bound, 0.3 * best) << "round " << round;
  }
}

TEST(OptimumTest, ThePlanComesToItsCostOrLessWhenItIsRun) {
  sim::Random random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<double> offered;
    for (const double value : RandomDemand(random, 60, 9)) offered = offered + Flat(value, 25);
    const Demand demand = DemandOf(offered);
    const Plan plan = FindOptimum(demand);
    Schedule schedule(plan);
    const double run = Simulate(demand, schedule, {}).cost() / kHoursPerStep;
    EXPECT_LE(run, plan.cost_steps + 1e-6);
    EXPECT_GE(run, 0.9 * RampFreeBound(demand));
    EXPECT_LE(RampFreeBound(demand), plan.cost_steps + 1e-6);
  }
}

// Real traces: HEADROOM_TRACES names their folder.
TEST(OptimumTest, OnRealTracesTheRampIsAllThatIsLeftOut) {
  const char* folder = std::getenv("HEADROOM_TRACES");
  if (folder == nullptr) GTEST_SKIP() << "HEADROOM_TRACES names no folder of traces";
  const auto traces = FindTraces(folder);
  ASSERT_TRUE(traces.ok()) << traces.status();
  int scored = 0;
  for (const std::string& file : traces->files) {
    const auto trace = ReadTrace(file);
    ASSERT_TRUE(trace.ok()) << trace.status();
    const auto course = MakeCourse(*trace);
    if (!course.ok()) continue;
    ++scored;
    const Demand demand = MakeDemand(*course, 1);
    const Plan plan = FindOptimum(demand);
    Schedule schedule(plan);
    const double run = Simulate(demand, schedule, {}).cost() / kHoursPerStep, bound = RampFreeBound(demand);
    EXPECT_LE(run, plan.cost_steps * (1 + 1e-9)) << file;
    EXPECT_LE(run, 1.05 * bound) << file;
  }
  EXPECT_GT(scored, 0);
}

TEST(OptimumTest, ItLaunchesBeforeTheDemandComesAndStaysWhileThatIsCheaper) {
  const Demand demand = DemandOf(Flat(1, 300) + Flat(3, 300) + Flat(1, 50) + Flat(3, 300) + Flat(1, 300));
  const Plan plan = FindOptimum(demand);
  EXPECT_EQ(plan.nodes[300 - 36], 3) << "boot and ramp end as the demand comes";
  EXPECT_EQ(plan.nodes[300 - 37], 1);
  EXPECT_EQ(plan.nodes[625], 3) << "50 steps between are cheaper than another 10 minutes";
  EXPECT_EQ(plan.nodes[950], 1);
  Schedule schedule(plan);
  EXPECT_EQ(Simulate(demand, schedule, {}).unserved_hours, 0);
}

TEST(OptimumTest, AMomentOfNeedIsNotWorthTenMinutes) {
  // 0.5 nodes short for 2 steps cost 100 node-steps; a node costs 120.
  const Demand demand = DemandOf(Flat(1, 300) + Flat(1.5, 2) + Flat(1, 300));
  const Plan plan = FindOptimum(demand);
  EXPECT_EQ(*std::max_element(plan.nodes.begin(), plan.nodes.end()), 1);
  EXPECT_NEAR(plan.cost_steps, 602 + 100, 1e-6);
}

}  // namespace
}  // namespace headroom::lab
