#include "controller/lab/report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "controller/base/json_string.h"
#include "controller/lab/json.h"

namespace headroom::lab {
namespace {

absl::string_view StandingName(Standing standing) {
  return standing == Standing::kOurs ? "ours" : standing == Standing::kRival ? "rival" : "reference";
}

std::string Json(const PolicyResult& policy) {
  const Elasticity& elasticity = policy.elasticity;
  return Object({Field("name", JsonString(policy.name)), Field("standing", JsonString(StandingName(policy.standing))),
                 Field("setting", JsonString(policy.setting)), Field("cost", policy.cost),
                 Field("cost_over_optimum", policy.cost_over_optimum), Field("unserved_ratio", policy.unserved_ratio),
                 Field("node_hours", policy.node_hours), Field("actions", policy.actions),
                 Field("accuracy_under_percent", elasticity.accuracy_under_percent),
                 Field("accuracy_over_percent", elasticity.accuracy_over_percent),
                 Field("timeshare_under_percent", elasticity.timeshare_under_percent),
                 Field("timeshare_over_percent", elasticity.timeshare_over_percent),
                 Field("instability_percent", elasticity.instability_percent),
                 Field("jitter_per_hour", elasticity.jitter_per_hour),
                 Field("elastic_speedup", policy.elastic_speedup.value_or(NAN)),
                 Field("above_safe_ratio", policy.above_safe_ratio.value_or(NAN))});
}

std::vector<std::string> Fields(const Scores& scores) {
  std::vector<std::string> fields = {
      Field("policies", Array(scores.policies, ",\n   ", [](const PolicyResult& policy) { return Json(policy); })),
      Field("best_rival", JsonString(scores.best_rival))};
  fields.push_back(Field("headroom_over_best_rival", scores.ours_over_best_rival.value_or(NAN)));
  fields.push_back(Field("gap_closed", scores.gap_closed.value_or(NAN)));
  fields.push_back(Field("lost_because", scores.lost_because.empty() ? "null" : JsonString(scores.lost_because)));
  return fields;
}

std::string Json(const TraceResult& trace) {
  std::vector<std::string> fields = {
      Field("name", JsonString(trace.name)),
      Field("scored_hours", trace.scored_hours),
      Field("mean_nodes", trace.mean_nodes),
      Field("peak_nodes", trace.peak_nodes),
      Field("day_autocorrelation", trace.day_autocorrelation),
      Field("optimum_lower_bound", trace.optimum_bound),
      Field("notes", Array(trace.notes, ", ", [](const std::string& note) { return JsonString(note); }))};
  for (std::string& field : Fields(trace.offered)) fields.push_back(std::move(field));
  fields.push_back(Field("capped", Object(Fields(trace.capped))));
  return Object(fields);
}

std::string Json(const PolicySummary& policy) {
  return Object({Field("name", JsonString(policy.name)), Field("standing", JsonString(StandingName(policy.standing))),
                 Field("cost_over_optimum", policy.cost_over_optimum),
                 Field("cost_over_best_rival", policy.cost_over_best_rival),
                 Field("worst_over_best_rival", policy.worst_over_best_rival), Field("times_best", policy.times_best)});
}

std::vector<std::string> Fields(const Summary& summary) {
  std::vector<std::string> fields = {
      Field("traces_with_room", summary.with_room),
      Field("policies", Array(summary.policies, ",\n   ", [](const PolicySummary& policy) { return Json(policy); }))};
  fields.push_back(Field("headroom_over_best_rival_with_room", summary.ours_over_best_rival_with_room.value_or(NAN)));
  fields.push_back(Field("headroom_over_hpa_with_room", summary.ours_over_hpa_with_room.value_or(NAN)));
  fields.push_back(Field("daily_traces", summary.daily));
  fields.push_back(Field("worst_actions_over_hpa_on_daily", summary.worst_actions_over_hpa.value_or(NAN)));
  return fields;
}

std::string SummaryJson(const std::vector<TraceResult>& traces) {
  std::vector<std::string> fields = {Field("traces", static_cast<double>(traces.size()))};
  for (std::string& field : Fields(Summarise(traces, &TraceResult::offered))) fields.push_back(std::move(field));
  fields.push_back(Field("capped", Object(Fields(Summarise(traces, &TraceResult::capped)))));
  return Object(fields);
}

PolicySummary SummariseOne(const std::vector<TraceResult>& traces, Scores TraceResult::*table,
                           const PolicyResult& one) {
  PolicySummary summary{.name = one.name, .standing = one.standing};
  double over_optimum = 0, over_best = 0;
  for (const TraceResult& trace : traces) {
    const Scores& scores = trace.*table;
    const PolicyResult& policy = scores.Of(one.name);
    const double ratio = policy.cost / scores.Of(scores.best_rival).cost;
    over_optimum += std::log(policy.cost_over_optimum), over_best += std::log(ratio);
    summary.worst_over_best_rival = std::max(summary.worst_over_best_rival, ratio);
    summary.times_best += scores.best_rival == one.name ? 1 : 0;
  }
  summary.cost_over_optimum = std::exp(over_optimum / static_cast<double>(traces.size()));
  summary.cost_over_best_rival = std::exp(over_best / static_cast<double>(traces.size()));
  return summary;
}

// The cheaper of the two HPAs.
const PolicyResult& BestHpa(const Scores& scores) {
  const PolicyResult &legacy = scores.Of("hpa_legacy"), &behavior = scores.Of("hpa_behavior");
  return legacy.cost < behavior.cost ? legacy : behavior;
}

void AddRoom(const std::vector<TraceResult>& traces, Scores TraceResult::*table, Summary& summary) {
  double over_best = 0, over_hpa = 0;
  int counted = 0;
  for (const TraceResult& trace : traces) {
    const Scores& scores = trace.*table;
    if (scores.Of(kOptimumName).cost > kRoomRatio * scores.Of(scores.best_rival).cost) continue;
    ++summary.with_room;
    if (!scores.ours_over_best_rival.has_value()) continue;
    over_best += std::log(*scores.ours_over_best_rival);
    over_hpa += std::log(scores.policies.front().cost / BestHpa(scores).cost);
    ++counted;
  }
  if (counted == 0) return;
  summary.ours_over_best_rival_with_room = std::exp(over_best / counted);
  summary.ours_over_hpa_with_room = std::exp(over_hpa / counted);
}

void AddDaily(const std::vector<TraceResult>& traces, Scores TraceResult::*table, Summary& summary) {
  for (const TraceResult& trace : traces) {
    const Scores& scores = trace.*table;
    if (!(trace.day_autocorrelation >= kDailyAutocorrelation) || !scores.ours_over_best_rival.has_value()) continue;
    ++summary.daily;
    const double ratio = scores.policies.front().actions / std::max(1.0, BestHpa(scores).actions);
    summary.worst_actions_over_hpa = std::max(summary.worst_actions_over_hpa.value_or(0), ratio);
  }
}

}  // namespace

Summary Summarise(const std::vector<TraceResult>& traces, Scores TraceResult::*table) {
  Summary summary;
  if (traces.empty()) return summary;
  for (const PolicyResult& policy : (traces.front().*table).policies) {
    summary.policies.push_back(SummariseOne(traces, table, policy));
  }
  AddRoom(traces, table, summary);
  AddDaily(traces, table, summary);
  return summary;
}

std::string ToJson(const Comparison& comparison) {
  const std::string traces = Array(comparison.traces, ",\n  ", [](const TraceResult& trace) { return Json(trace); });
  const std::string skipped = Array(comparison.skipped, ", ", [](const std::string& text) { return JsonString(text); });
  return absl::StrCat("{", Field("traces", traces), ",\n ", Field("summary", SummaryJson(comparison.traces)), ",\n ",
                      Field("skipped", skipped), "}\n");
}

}  // namespace headroom::lab
