#include "controller/lab/headroom.h"

#include <gtest/gtest.h>

#include "controller/core/calendar/calendar.h"
#include "controller/core/calendar/calendar_text.h"
#include "controller/lab/simulation.h"
#include "controller/lab/synthetic.h"
#include "tests/controller/lab/small_course.h"

namespace headroom::lab {
namespace {

// Three days of a synthetic trace.
Demand Synthetic(const std::string& shape) {
  const auto trace = MakeTrace({.shape = shape, .length = absl::Hours(72)});
  EXPECT_TRUE(trace.ok()) << trace.status();
  const auto course = MakeCourse(*trace);
  EXPECT_TRUE(course.ok()) << course.status();
  return MakeDemand(*course, kSeeds[0]);
}

TEST(HeadroomTest, ServesADayForLessThanTheBestFixedNumberOfNodes) {
  const Demand demand = Synthetic("diurnal");
  Headroom headroom{Policy()};
  const Outcome ours = Simulate(demand, headroom, {});
  EXPECT_LT(ours.unserved_ratio(), 0.01);
  double best_static = 1e300;
  for (int count = kNodesMin; count <= 30; ++count) {
    class Fixed final : public Rival {
     public:
      explicit Fixed(int count) : count_(count) {}
      int period_steps() const override { return 12; }
      int Decide(const Meter&, const Nodes&) override { return count_; }

     private:
      const int count_;
    } fixed(count);
    best_static = std::min(best_static, Simulate(demand, fixed, {}).cost());
  }
  EXPECT_LT(ours.cost(), best_static);
}

TEST(HeadroomTest, DecidesTheSameTwice) {
  const Demand demand = Synthetic("bursty");
  Headroom first{Policy()}, second{Policy()};
  const Outcome a = Simulate(demand, first, {}), b = Simulate(demand, second, {});
  EXPECT_EQ(a.cost(), b.cost());
  EXPECT_EQ(a.actions, b.actions);
  EXPECT_GT(a.actions, 0);
}

TEST(HeadroomTest, ASurgeIsFollowedAndComesBack) {
  const Demand demand = DemandOf(Flat(4, 1440) + Flat(12, 720) + Flat(4, 2880));
  Headroom headroom{Policy()};
  const Outcome outcome = Simulate(demand, headroom, {.record = Record::kSupply});
  EXPECT_GE(outcome.supply[1440 + 200], 12) << "within a quarter of an hour";
  EXPECT_LT(outcome.supply.back(), 6);
}

// Its metric ends where all slots are taken, which is beyond what a node carries at target.
TEST(HeadroomTest, AMetricThatEndsAtAHundredPercentDoesNotBlindIt) {
  const Demand demand = DemandOf(Flat(4, 1440) + Flat(12, 1440));
  Headroom headroom{Policy()};
  EXPECT_NEAR(headroom.metric_max(), 1 / Policy().connections.target_ratio, 1e-9);
  const Outcome outcome = Simulate(demand, headroom, {.sight = Sight::kCapped, .record = Record::kSupply});
  EXPECT_GE(outcome.supply[1440 + 360], 12) << "within half an hour";
}

TEST(HeadroomTest, TheCalendarIsReadByTheClockOfTheTrace) {
  Demand demand = DemandOf(Flat(4, 4 * 720));
  auto course = std::make_shared<Course>(*demand.course);
  course->start_unix_seconds = 1'795'770'000;  // 2026-11-27 09:00
  demand.course = std::move(course);
  Policy policy;
  const CalendarEntry entry =
      *EntryOf({*ReadCalendarTime("2026-11-27 11:00"), *ReadCalendarTime("2026-11-27 12:00"), *ReadOffset("UTC")});
  policy.calendar = {entry};
  policy.calendar.front().name = "campaign", policy.calendar.front().node_count = 20;
  Headroom headroom{policy};
  const Outcome outcome = Simulate(demand, headroom, {.record = Record::kSupply});
  EXPECT_LT(outcome.supply[720], 10) << "at ten";
  EXPECT_GE(outcome.supply[2 * 720 + 1], 20) << "at eleven";
}

}  // namespace
}  // namespace headroom::lab
