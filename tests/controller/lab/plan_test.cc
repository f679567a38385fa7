#include "controller/lab/plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/lab/plan_limits.h"
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

TEST(PlanInputs, AFewRowsAreNoPlan) {
  Trace trace = Hours(1);
  trace.samples.resize(4);
  const auto plan = MakePlan({.demand = trace}, Options(50));
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr("a day is needed to plan from"));
}

Trace Times(double factor, Trace trace) {
  for (TraceSample& sample : trace.samples) sample.value *= factor;
  return trace;
}

// No cluster has so many nodes: one of the numbers is in another unit.
TEST(PlanInputs, NumbersThatNoClusterHasAreRefusedWithWhatToDo) {
  struct Case {
    double factor, per_node;
    std::string said;
  };
  for (const Case& one : std::vector<Case>{
           {1e305, 5, "give both in a unit in which they are between 1e-30 and 1e+30"},
           {1e305, 0, "give both in a unit in which they are between 1e-30 and 1e+30"},
           {1e-322, 0, "give both in a unit in which they are between 1e-30 and 1e+30"},
           {1, 1e-300, "give both in a unit in which they are between 1e-30 and 1e+30"},
           {1, 1e-9,
            "made</script>: connections would need more nodes than can be planned for (100000): give what one"},
           {1e12, 500, "in the unit of the trace"}}) {
    const auto plan = MakePlan({.demand = Times(one.factor, Hours(4))}, Options(one.per_node));
    EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition) << one.factor << " / " << one.per_node;
    EXPECT_THAT(std::string(plan.status().message()), HasSubstr(one.said));
  }
}

TEST(PlanTest, RecommendsWhatTheDemandNeedsAndSaysWhatItCosts) {
  PlanOptions options = Options(50);
  int runs_done = 0, runs = 0;
  options.progress = [&](int done, int all) { runs_done = done, runs = all; };
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_LE(runs_done, runs);
  EXPECT_GE(runs_done, runs - 3) << "the rivals and the optimum are runs, too; minima that are the same are one";
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
  options.has_max = false;
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
  options.has_max = false;
  const absl::Time begin = absl::FromUnixSeconds(1'704'067'200);
  options.what_if.campaign = Campaign{3, begin + absl::Hours(2), begin + absl::Hours(3)};
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_GE(plan->recommended.max, 18) << "three times 300 to 500 over 50";
  EXPECT_LT(plan->policies[0].unserved_ratio, 0.2);
}

// So many days of one value, an hour each.
Trace Days(int days, double value) {
  Trace trace{.name = "made", .column = "value", .step = absl::Hours(1)};
  for (int hour = 0; hour < 24 * days; ++hour) trace.samples.push_back({1'704'067'200 + 3600 * hour, value});
  return trace;
}

TEST(PlanTest, NodesThatStoreMoreThanConnectionsNeedAreAskedForAndKept) {
  PlanOptions options = Options(50);
  options.policies.front().policy.stored.target_ratio = 0.8;
  options.bytes_per_node = 1e12;
  const auto plan = MakePlan({.demand = Hours(4), .stored = Days(3, 40e12)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->recommended.min, 50) << "40 TB at 0.8 TB a node never leave";
  EXPECT_GE(plan->recommended.max, 50);
  EXPECT_THAT(plan->recommended.reasons, Contains(HasSubstr("min 50 is what bytes stored asks for")));
  const PlanLimit& stored = plan->limits[2];
  EXPECT_EQ(stored.nodes, 12);
  EXPECT_EQ(stored.until.expected_days, 0) << "the operator's 12 nodes are full";
  EXPECT_EQ(stored.recommended_nodes, plan->recommended.max);
  EXPECT_FALSE(stored.recommended_until.expected_days.has_value());
  EXPECT_THAT(LimitSentence(stored), HasSubstr("; those of the recommended 50 nodes are not reached"));
}

TEST(PlanInputs, BytesInAnotherUnitThanTheNodesAreRefused) {
  PlanOptions options = Options(50);
  options.bytes_per_node = 4;  // TB
  const auto plan = MakePlan({.demand = Hours(4), .stored = Days(3, 40e12)}, options);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr("bytes stored would need more nodes than can be"));
}

TEST(PlanInputs, GrowthWithoutEndIsRefusedByItsTime) {
  PlanOptions options = Options(50);
  options.has_max = false;
  options.what_if.growth_per_day = 9;
  options.what_if.ahead = absl::Hours(24 * 10);
  EXPECT_THAT(std::string(MakePlan({.demand = Days(4, 500)}, options).status().message()),
              HasSubstr("choose less --growth, a smaller --multiply or a shorter --ahead"));
  Trace grown = Days(20, 500);
  for (size_t hour = 0; hour < grown.samples.size(); ++hour) {
    grown.samples[hour].value *= std::pow(1.3, static_cast<double>(hour / 24));
  }
  options.what_if = {.ahead = absl::Hours(24 * 30)};
  EXPECT_THAT(std::string(MakePlan({.demand = grown}, options).status().message()),
              HasSubstr("connections would need more nodes within 30 days than can be planned for (100000): choose a "
                        "shorter --ahead"));
}

TEST(PlanTest, ThroughputThatNeedsMoreThanConnectionsRaisesTheMaxAndACampaignWithIt) {
  PlanOptions options = Options(50);
  options.has_max = false;
  options.bytes_per_second_per_node = 100e6;
  const PlanInput input{.demand = Hours(4), .throughput = Days(1, 2.1e9)};
  const auto usual = MakePlan(input, options);
  const absl::Time begin = absl::FromUnixSeconds(1'704'067'200);
  options.what_if.campaign = Campaign{3, begin + absl::Hours(1), begin + absl::Hours(3)};
  const auto campaign = MakePlan(input, options);
  ASSERT_TRUE(usual.ok() && campaign.ok()) << usual.status() << campaign.status();
  EXPECT_EQ(usual->recommended.max, 30) << "2.1 GB/s at 70 MB/s a node";
  EXPECT_EQ(campaign->recommended.max, 90);
  EXPECT_THAT(campaign->recommended.reasons, Contains(HasSubstr("max 90 is what throughput asks for")));
}

TEST(PlanTest, OneNodeThatIsEnoughIsAskedForBySomething) {
  PlanOptions options = Options(1000);
  options.has_max = false;
  const auto plan = MakePlan({.demand = Hours(1)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->recommended.reasons, Contains(HasSubstr("max 1 is what connections asks for")));
}

TEST(PlanTest, WhereThePastTellsLessThanThePlanIsToHoldTheOperatorsMaxStays) {
  PlanOptions options = Options(50);
  options.policies.front().policy.nodes.max = 80;
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->recommended.max, 80);
  EXPECT_THAT(plan->recommended.reasons, Contains(HasSubstr("the past is too short to look ahead")));
  EXPECT_THAT(plan->recommended.reasons, Not(Contains(HasSubstr("outlook's P95"))));
}

TEST(PlanTest, TheMaxHoldsOnlyForTheDaysThatAllLimitsTell) {
  PlanOptions options = Options(50);
  options.has_max = false;
  options.bytes_per_node = 1e12;
  const auto limits = LimitsOf({.demand = Days(20, 500), .stored = Days(3, 40e12)}, options);
  const auto told = static_cast<int>(limits[2].outlook->peaks.size());
  ASSERT_GT(told, 0);
  ASSERT_LT(told, std::ssize(limits[0].outlook->peaks));
  const NodeBounds bounds = BoundsOf(limits, options, {.peak = 500, .per_node = 50, .target = 1});
  EXPECT_EQ(bounds.told_days, told);
  EXPECT_EQ(bounds.most, 40);
  EXPECT_EQ(bounds.most_of, "bytes stored");
  options.has_max = true, options.policies.front().policy.nodes.max = 44;
  EXPECT_EQ(BoundsOf(limits, options, {.peak = 500, .per_node = 50, .target = 1}).most, 44);
  options.what_if.ahead = absl::Hours(24);
  EXPECT_EQ(BoundsOf(limits, options, {.peak = 500, .per_node = 50, .target = 1}).most, 40);
}

TEST(PlanTest, ThePolicysOwnFloorsHold) {
  PlanOptions options = Options(50);
  NodePolicy& nodes = options.policies.front().policy.nodes;
  nodes.min = 3, nodes.data_floor = 40, nodes.max = 60;
  options.policies.front().policy.calendar = {{.name = "sale", .node_count = 70}};
  options.what_if.ahead = absl::ZeroDuration();
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->recommended.min, 40);
  EXPECT_EQ(plan->recommended.max, 70) << "as many as the calendar names";
  EXPECT_THAT(plan->recommended.reasons, Contains(HasSubstr("the policy's data_floor")));
}

TEST(PlanTest, TheCalendarBringsItsConnectionsAtItsTime) {
  PlanOptions options = Options(50);
  Policy& policy = options.policies.front().policy;
  policy.nodes.max = 80;
  policy.connections.per_node_count = 50;
  const int64_t begin = 1'704'067'200 / 60 + 120;  // two hours after the beginning
  policy.calendar = {{.name = "sale", .start_minute = begin, .length_minutes = 60, .connection_count = 1500}};
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::vector<float>& nodes = plan->policies[0].nodes;
  EXPECT_GE(nodes[2 * 720 + 12], 30) << "1500 connections of 50 a node";
  EXPECT_LT(*std::max_element(nodes.begin() + 720, nodes.begin() + 2 * 720 - 240), 30);
}

TEST(PlanTest, APolicyThatTakesNodesForMoreThanTheyCarryLeavesDemandUnserved) {
  PlanOptions options = Options(50);
  options.policies.front().policy.nodes.max = 60;
  options.policies.push_back(options.policies.front());
  options.policies[0].policy.connections.per_node_count = 50;
  options.policies[1].policy.connections.per_node_count = 150;
  options.policies[1].policy.nodes.lead_time = absl::Minutes(7);
  const auto plan = MakePlan({.demand = Hours(4)}, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_GT(plan->policies[1].unserved_ratio, plan->policies[0].unserved_ratio + 0.1);
  EXPECT_LT(plan->policies[1].nodes_mean, plan->policies[0].nodes_mean);
  EXPECT_THAT(plan->notes, Contains(HasSubstr("its lead_time of 7m is not used")));
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
