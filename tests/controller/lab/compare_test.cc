#include "controller/lab/compare.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/lab/baselines/simple.h"
#include "controller/lab/report.h"
#include "controller/lab/synthetic.h"
#include "tests/controller/lab/small_course.h"

namespace headroom::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const Course> DayOf(const std::string& shape) {
  const auto trace = MakeTrace({.shape = shape, .length = absl::Hours(36)});
  EXPECT_TRUE(trace.ok()) << trace.status();
  return *MakeCourse(*trace);
}

// Every policy with few settings, that the test is quick.
std::vector<Contender> Few() {
  std::vector<Contender> contenders = Contenders();
  for (Contender& contender : contenders) {
    if (contender.name == "best_static") continue;
    contender.settings = [](const Contender& self, const std::vector<Demand>&) {
      return std::vector<Setting>{{.target = 0.5, .hold_steps = self.hold_steps_default},
                                  {.target = 0.8, .hold_steps = self.hold_steps_default}};
    };
  }
  return contenders;
}

TEST(CompareTest, NobodyIsCheaperThanTheOptimum) {
  for (const char* shape : {"diurnal", "step"}) {
    const TraceResult result = CompareOn(DayOf(shape), Few(), {});
    const double optimum = result.offered.Of(kOptimumName).cost;
    EXPECT_LE(result.optimum_bound, optimum);
    EXPECT_GE(result.optimum_bound, 0.95 * optimum) << "what several ramping nodes could spare is little";
    for (const Scores& scores : {result.offered, result.capped}) {
      ASSERT_EQ(scores.policies.size(), Contenders().size() + 1);
      EXPECT_EQ(scores.policies.front().name, kOptimumName);
      for (const PolicyResult& policy : scores.policies) {
        EXPECT_GE(policy.cost_over_optimum, 1 - 1e-9) << shape << " " << policy.name;
        EXPECT_TRUE(std::isfinite(policy.cost)) << policy.name;
      }
      EXPECT_LT(scores.Of(scores.best_rival).cost_over_optimum, 3) << shape;
    }
  }
}

TEST(CompareTest, TheSettingOfLowestCostIsTaken) {
  const auto course = DayOf("diurnal");
  const TraceResult result = CompareOn(course, Few(), {});
  const PolicyResult& chosen = result.offered.Of("kpa");
  double best = HUGE_VAL;
  for (const double target : {0.5, 0.8}) {
    double cost = 0;
    for (const uint64_t seed : kSeeds) {
      const Demand demand = MakeDemand(course, seed);
      for (const Contender& contender : Contenders()) {
        if (contender.name == "kpa") cost += Simulate(demand, *contender.make({.target = target}), {}).cost() / 3;
      }
    }
    best = std::min(best, cost);
  }
  EXPECT_NEAR(chosen.cost, best, 1e-9 * best);
}

TEST(CompareTest, ACappedMetricNeverShowsWhatIsNotServed) {
  const TraceResult result = CompareOn(DayOf("bursty"), Few(), {});
  EXPECT_GT(result.capped.Of("hpa_legacy").cost, result.offered.Of("hpa_legacy").cost);
  EXPECT_EQ(result.capped.Of("best_static").cost, result.offered.Of("best_static").cost);
}

TEST(CompareTest, ThreadsChangeNothingAndProgressEndsAtTheEnd) {
  const auto course = DayOf("noisy");
  Progress last;
  const CompareOptions alone{.threads = 1, .progress = [&last](const Progress& progress) { last = progress; }};
  const TraceResult one = CompareOn(course, Few(), alone), three = CompareOn(course, Few(), {.threads = 3});
  EXPECT_EQ(ToJson({.traces = {one}}), ToJson({.traces = {three}}));
  EXPECT_GT(last.runs, 50);
  EXPECT_EQ(last.runs_done, last.runs);
}

TEST(CompareTest, APolicyOfOursComesFirstAndIsJudgedAgainstTheBestRival) {
  std::vector<Contender> contenders = Few();
  contenders.push_back(
      {.name = "headroom",
       .standing = Standing::kOurs,
       .make = [](const Setting& setting) { return std::make_unique<ForecastCount>(Forecast::kLastValue, setting); },
       .settings = [](const Contender&,
                      const std::vector<Demand>&) { return std::vector<Setting>{{.target = 0.95, .hold_steps = 0}}; }});
  const TraceResult result = CompareOn(DayOf("diurnal"), contenders, {});
  EXPECT_EQ(result.offered.policies[0].name, "headroom");
  const PolicyResult &raised = result.offered.policies[1], &optimum = result.offered.policies[2];
  EXPECT_EQ(raised.name, "headroom_with_limits");
  EXPECT_EQ(raised.node_hours, result.offered.policies[0].node_hours);
  EXPECT_LT(raised.unserved_ratio, result.offered.policies[0].unserved_ratio);
  EXPECT_GT(*raised.above_safe_ratio, 0);
  EXPECT_EQ(optimum.name, kOptimumName);
  EXPECT_NE(result.offered.best_rival, "headroom");
  EXPECT_NE(result.offered.best_rival, "last_value") << "a reference is no rival";
  const double best = result.offered.Of(result.offered.best_rival).cost, ours = result.offered.policies[0].cost;
  EXPECT_NEAR(*result.offered.ours_over_best_rival, ours / best, 1e-12);
  EXPECT_NEAR(*result.offered.gap_closed, (best - ours) / (best - optimum.cost), 1e-12);
  const std::string json = ToJson({.traces = {result}});
  EXPECT_THAT(json, HasSubstr("\"headroom_over_best_rival\": "));
  EXPECT_THAT(json, HasSubstr("\"gap_closed\": "));
  EXPECT_EQ(result.offered.lost_because.empty(), ours <= best);
}

TEST(CompareTest, ATraceThatIsLostSaysByHowMuchAndWhy) {
  std::vector<Contender> contenders = Few();
  contenders.push_back(
      {.name = "headroom",
       .standing = Standing::kOurs,
       .make = [](const Setting& setting) { return std::make_unique<ForecastCount>(Forecast::kLastValue, setting); },
       .settings = [](const Contender&,
                      const std::vector<Demand>&) { return std::vector<Setting>{{.target = 0.3, .hold_steps = 60}}; }});
  const Scores scores = CompareOn(DayOf("diurnal"), contenders, {}).offered;
  EXPECT_THAT(scores.lost_because, HasSubstr(scores.best_rival));
  EXPECT_THAT(scores.lost_because, HasSubstr("; mostly in node-hours."));
}

TEST(CompareTest, WithoutAPolicyOfOursNothingIsSaidOfIt) {
  const std::string json = ToJson({.traces = {CompareOn(DayOf("step"), Few(), {})}, .skipped = {"a \"b\""}});
  EXPECT_THAT(json, Not(HasSubstr("\"name\": \"headroom")));
  for (const char* field : {"headroom_over_best_rival", "gap_closed", "lost_because", "headroom_over_hpa_with_room",
                            "headroom_over_best_rival_with_room", "worst_actions_over_hpa_on_daily"}) {
    EXPECT_THAT(json, HasSubstr(absl::StrCat("\"", field, "\": null"))) << "never absent";
  }
  EXPECT_THAT(json, HasSubstr("\"best_rival\": \""));
  EXPECT_THAT(json, HasSubstr("\"skipped\": [\"a \\\"b\\\"\"]"));
}

TEST(CompareTest, ADiurnalCourseIsLikeItselfADayLater) {
  const auto trace = MakeTrace({.shape = "diurnal", .length = absl::Hours(72)});
  ASSERT_TRUE(trace.ok());
  EXPECT_GT(CompareOn(*MakeCourse(*trace), Few(), {}).day_autocorrelation, 0.9);
}

// Real traces: HEADROOM_TRACES names their folder.
TEST(CompareTest, OnRealTracesNobodyIsCheaperThanTheOptimum) {
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
    const TraceResult result = CompareOn(*course, Few(), {.threads = 2});
    for (const PolicyResult& policy : result.offered.policies) {
      EXPECT_GE(policy.cost_over_optimum, 1 - 1e-9) << file << " " << policy.name;
    }
  }
  EXPECT_GT(scored, 0);
}

}  // namespace
}  // namespace headroom::lab
