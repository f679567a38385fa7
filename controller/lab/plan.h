#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/policy.h"
#include "controller/lab/outlook.h"
#include "controller/lab/task.h"
#include "controller/lab/trace.h"
#include "controller/lab/what_if.h"

// The plan: what a cluster will need, what Headroom would do with it, and what else could be done. Every figure of ours
// comes out of the production core in closed loop (lab/headroom.h) on the given demand; there is no second set of
// rules.
//
// The loop runs on the last days of the demand, of which the first 20 % is history, under the rules of task.h (noise of
// 5 %, a node paid from its launch), with the boot time that was asked for. Cost is node-hours + 100 x unserved
// node-hours. Where more than kSimulatedMax nodes would be needed, groups of nodes are simulated as one, and it is
// said.

namespace headroom::lab {

inline constexpr int kSimulatedMax = 150;
inline constexpr int kPastMax = 2000;

struct PlanPolicy {
  std::string name;  // a file, or "defaults"
  Policy policy;
};

struct PlanInput {
  Trace demand;                     // connections, or whatever per_node is in
  std::optional<Trace> throughput;  // bytes a second
  std::optional<Trace> stored;      // bytes
};

struct PlanOptions {
  double per_node = 0;                                       // demand that one node carries well; 0: not known
  double bytes_per_second_per_node = 0, bytes_per_node = 0;  // 0: not known
  std::vector<PlanPolicy> policies;  // at least one; the first is what recommendations start from
  bool has_max = true;               // the policies' max is the operator's, not a stand-in
  WhatIf what_if;
  absl::Duration boot = absl::Minutes(2);
  int days = 7;  // of the past that the loop runs on, at most
  int threads = 1;
  std::function<void(int done, int all)> progress = [](int, int) {};
};

// One run: of ours, of a rival, of the optimum.
struct PlanRun {
  std::string name;
  std::string setting;
  double node_hours_per_day = 0;
  double unserved_ratio = 0;
  double short_minutes_per_day = 0;  // time with demand that nobody serves
  double longest_short_minutes = 0;
  double cost_per_day = 0;
  double over_optimum = 0;  // cost, as a ratio
  double actions_per_day = 0;
  double nodes_mean = 0, nodes_peak = 0;  // of what could serve
  double position_peak = 0;               // the most that a node was asked for, over what it carries well
  std::vector<float> nodes;               // what could serve, a step each; where it is drawn
};

// A limit of the whole cluster and when it is reached, at the operator's max and at the recommended one (where there is
// no operator's max the two are the same).
struct PlanLimit {
  std::string name;                   // "connections", "throughput", "bytes stored"
  double per_node = 0, capacity = 0;  // 0: not known
  double target = 1;                  // the share of per_node that is to be used; of demand the recommended one
  double least = 0, peak = 0;         // use in the days that are planned on; of what is stored least is the newest
  int nodes = 0, recommended_nodes = 0;
  Break until, recommended_until;
  std::optional<Outlook> outlook;  // nothing: not given
  std::string cannot_tell;         // why nothing can be said; empty: something can
};

struct Recommendation {
  int min = 1, max = 1;
  double target = 0.7;
  double per_node = 0;               // 0: not known
  double limit_ceiling = 0;          // connections of one node
  PlanRun run;                       // under it
  std::vector<std::string> reasons;  // a sentence each
};

struct PlanReport {
  std::string name;                // of the demand
  std::vector<std::string> notes;  // repairs of the input, what-ifs, what cannot be told
  double per_node = 0;             // in the demand's unit
  bool per_node_known = false;
  int group = 1;  // real nodes to a simulated one
  double scored_days = 0;
  absl::Duration boot;
  std::vector<PlanLimit> limits;  // the first is the demand's
  std::vector<PlanRun> policies;  // as given, in their order
  Recommendation recommended;
  std::vector<PlanRun> frontier;  // ours over target
  std::vector<PlanRun> rivals;    // each at its best setting in hindsight
  PlanRun optimum;
  std::vector<Band> past;  // the demand as given: least, mean and highest of at most kPastMax stretches
  // The closed loop's demand in nodes, a step each, from loop_start on; -1: not known.
  absl::Time loop_start;
  int first_scored = 0;
  std::vector<float> demand_nodes;
};

// FAILED_PRECONDITION / OUT_OF_RANGE: there is nothing to plan for, or the what-if cannot be imagined; says what to do.
absl::StatusOr<PlanReport> MakePlan(const PlanInput& input, const PlanOptions& options);

}  // namespace headroom::lab
