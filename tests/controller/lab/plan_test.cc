#include "controller/lab/plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/lab/plan_report.h"

namespace headroom::lab {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// So many hours of one wave between 100 and 500, from a Monday on.
Trace Hours(int hours) {
  Trace trace{.name = "made</script>", .column = "value", .step = absl::Minutes(5)};
  for (int i = 0; i < 12 * hours; ++i) {
    const double part = i / (12.0 * hours);
    trace.samples.push_back({1'704'067'200 + 300 * i, 300 - 200 * std::cos(4 * std::numbers::pi * part)});
  }
  return trace;
}

PlanOptions Options(double per_node) {
  Policy policy;
  policy.nodes.max = 12;
  return {.per_node = per_node, .policies = {{"today", policy}}, .threads = 2};
}

TEST(PlanTest, RecommendsWhatTheDemandNeedsAndSaysWhatItCosts) {
  const auto plan = MakePlan({.demand = Hours(4)}, Options(50));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Recommendation& best = plan->recommended;
  EXPECT_GE(best.max * best.target, 10) << "the peak needs ten nodes in full";
  EXPECT_LE(best.max, 20);
  EXPECT_LT(best.run.unserved_ratio, 0.01);
  EXPECT_GT(best.limit_ceiling, 50);
  EXPECT_THAT(plan->policies, SizeIs(1));
  EXPECT_THAT(plan->rivals, Not(Contains(testing::Field(&PlanRun::over_optimum, testing::Lt(0.999)))));
  for (const PlanRun& run : plan->frontier) EXPECT_LE(best.run.cost_per_day, 1.001 * run.cost_per_day) << run.name;
  // Less room costs less and serves less.
  EXPECT_GT(plan->frontier.front().node_hours_per_day, plan->frontier.back().node_hours_per_day);
  EXPECT_LE(plan->frontier.front().unserved_ratio, plan->frontier.back().unserved_ratio);
  EXPECT_EQ(plan->demand_nodes.size(), plan->optimum.nodes.size());
}

TEST(PlanTest, WhatTheInputDoesNotTellIsSaid) {
  const auto plan = MakePlan({.demand = Hours(1)}, Options(0));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(plan->per_node_known);
  EXPECT_THAT(plan->notes, Contains(HasSubstr("NOT KNOWN")));
  EXPECT_THAT(plan->notes, Contains(HasSubstr("ONLY 0.8 hours were scored")));
  ASSERT_THAT(plan->limits, SizeIs(3));
  EXPECT_EQ(LimitSentence(plan->limits[0]),
            "connections: cannot tell: what one node carries of connections is not given");
  EXPECT_EQ(LimitSentence(plan->limits[1]), "throughput: cannot tell: the input does not tell throughput");
  EXPECT_EQ(plan->recommended.limit_ceiling, 0);
}

TEST(PlanTest, ALostZoneCostsServiceAndIsReplaced) {
  PlanOptions options = Options(50);
  const auto whole = MakePlan({.demand = Hours(3)}, options);
  options.what_if.zones = 3;
  const auto lossy = MakePlan({.demand = Hours(3)}, options);
  ASSERT_TRUE(whole.ok() && lossy.ok());
  EXPECT_GT(lossy->policies[0].unserved_ratio, whole->policies[0].unserved_ratio);
  EXPECT_GE(lossy->recommended.max, whole->recommended.max * 1.3);
  EXPECT_THAT(lossy->notes, Contains(HasSubstr("one of 3 zones is lost")));
  const auto& nodes = lossy->policies[0].nodes;
  const auto lowest = std::min_element(nodes.begin() + lossy->first_scored, nodes.end());
  EXPECT_GT(*std::max_element(lowest, nodes.end()), *lowest + 1) << "nobody came for those that were lost";
}

TEST(PlanTest, ALongBootNeedsMoreThanAShortOne) {
  PlanOptions options = Options(50);
  const auto quick = MakePlan({.demand = Hours(3)}, options);
  options.boot = absl::Minutes(10);
  const auto slow = MakePlan({.demand = Hours(3)}, options);
  ASSERT_TRUE(quick.ok() && slow.ok());
  EXPECT_GT(slow->recommended.run.cost_per_day, quick->recommended.run.cost_per_day);
}

TEST(PlanTest, ManyNodesAreSimulatedInGroups) {
  const auto plan = MakePlan({.demand = Hours(1)}, Options(0.5));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_GT(plan->group, 1);
  EXPECT_THAT(plan->notes, Contains(HasSubstr("are simulated as one")));
  EXPECT_GE(plan->recommended.max, 1000);
  // A mean demand of 600 whole nodes, not of groups.
  EXPECT_GT(plan->recommended.run.nodes_mean, 500);
  EXPECT_LT(plan->recommended.run.nodes_mean, 1500);
}

TEST(PlanTest, TheCampaignIsServed) {
  PlanOptions options = Options(50);
  options.policies.front().policy.nodes.max = 100;
  const absl::Time begin = absl::FromUnixSeconds(1'704'067'200);
  options.what_if.campaign = Campaign{3, begin + absl::Hours(2), begin + absl::Hours(3)};
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_GE(plan->recommended.max, 18) << "three times 300 to 500 over 50";
  EXPECT_LT(plan->policies[0].unserved_ratio, 0.2);
}

TEST(PlanTest, ATraceWithAWrongTimeIsRefusedBeforeItTakesTheMemory) {
  Trace trace = Hours(1);
  trace.samples.push_back({99'000'000'000, 1});
  const auto plan = MakePlan({.demand = trace}, Options(50));
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(plan.status().message(), HasSubstr("is one of its times wrong?"));
}

TEST(PlanReportTest, ThePageStandsAloneAndItsDataCannotEndIt) {
  const auto plan = MakePlan({.demand = Hours(2)}, Options(100));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::string page = PlanPage(*plan);
  EXPECT_THAT(page, HasSubstr("made\\u003c/script>"));
  EXPECT_FALSE(absl::StrContains(page, "HEADROOM_PLAN_DATA"));
  EXPECT_FALSE(absl::StrContains(page, "src="));
  EXPECT_FALSE(absl::StrContains(page, "https://"));
  EXPECT_TRUE(absl::EndsWith(page, "</html>\n"));
  const std::string json = PlanJson(*plan);
  for (const char* field :
       {"\"recommended\"", "\"frontier\"", "\"rivals\"", "\"optimum\"", "\"days_expected\"", "\"regret\""}) {
    EXPECT_THAT(json, HasSubstr(field));
  }
}

}  // namespace
}  // namespace headroom::lab
