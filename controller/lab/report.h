#pragma once

#include <string>
#include <vector>

#include "controller/lab/compare.h"

namespace headroom::lab {

// A comparison over traces, and what of the input took no part.
struct Comparison {
  std::vector<TraceResult> traces;
  std::vector<std::string> skipped;  // one sentence each
};

// A policy over all traces of one table.
struct PolicySummary {
  std::string name;
  Standing standing = Standing::kRival;
  double cost_over_optimum = 0;     // geometric mean
  double cost_over_best_rival = 0;  // geometric mean
  double worst_over_best_rival = 0;
  int times_best = 0;  // of the rivals
};

struct Summary {
  std::vector<PolicySummary> policies;  // in the order of the tables
  // Traces with room: the optimum costs at most 0.85 of the best rival.
  int with_room = 0;
  // Where a policy of ours takes part.
  std::optional<double> ours_over_best_rival_with_room;  // geometric mean
  std::optional<double> ours_over_hpa_with_room;         // the same, over the cheaper of the two HPAs
  // Traces whose days are alike, and our actions there over those of the cheaper HPA.
  int daily = 0;
  std::optional<double> worst_actions_over_hpa;
};

inline constexpr double kRoomRatio = 0.85, kDailyAutocorrelation = 0.7;

Summary Summarise(const std::vector<TraceResult>& traces, Scores TraceResult::*table);

// traces[] = {name, policies[] = {name, setting, cost, cost_over_optimum, unserved_ratio, node_hours, actions, ...},
// optimum_lower_bound, best_rival, headroom_over_best_rival, gap_closed, lost_because, capped: the same under capped
// metrics}, summary, skipped[]. Every field is always there; null: there is no such figure.
std::string ToJson(const Comparison& comparison);

}  // namespace headroom::lab
