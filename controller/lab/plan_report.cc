#include "controller/lab/plan_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

#include "controller/lab/json.h"
#include "headroom/plan_page.h"

namespace headroom::lab {
namespace {

constexpr size_t kDrawnMax = 3000;  // points of a series

std::string Maybe(const std::optional<double>& value) {
  return Json(value.value_or(std::numeric_limits<double>::quiet_NaN()));
}

std::string Time(int64_t unix_seconds) {
  return absl::StrCat(unix_seconds);
}

std::string Bands(const std::vector<Band>& bands) {
  return Array(bands, ",", [](const Band& band) {
    return absl::StrCat("[", Time(band.unix_seconds), ",", Json(band.low), ",", Json(band.expected), ",",
                        Json(band.high), "]");
  });
}

std::string RunJson(const PlanRun& run) {
  return Object({Field("name", JsonString(run.name)), Field("setting", JsonString(run.setting)),
                 Field("node_hours_per_day", run.node_hours_per_day), Field("unserved_ratio", run.unserved_ratio),
                 Field("short_minutes_per_day", run.short_minutes_per_day),
                 Field("longest_short_minutes", run.longest_short_minutes), Field("cost_per_day", run.cost_per_day),
                 Field("regret", run.over_optimum - 1), Field("actions_per_day", run.actions_per_day),
                 Field("nodes_mean", run.nodes_mean), Field("nodes_peak", run.nodes_peak),
                 Field("position_peak", run.position_peak)});
}

std::string Runs(const std::vector<PlanRun>& runs) {
  return Array(runs, ",\n  ", RunJson);
}

std::string GrowthJson(const Outlook& outlook) {
  if (!outlook.measured) return "null";
  const Growth& growth = *outlook.measured;
  return Object({Field("low", growth.low), Field("expected", growth.expected), Field("high", growth.high)});
}

std::string LimitJson(const PlanLimit& limit) {
  std::vector<std::string> fields = {Field("name", JsonString(limit.name)),
                                     Field("sentence", JsonString(LimitSentence(limit))),
                                     Field("cannot_tell", JsonString(limit.cannot_tell)),
                                     Field("nodes", limit.nodes),
                                     Field("per_node", limit.per_node),
                                     Field("capacity", limit.capacity),
                                     Field("days_expected", Maybe(limit.until.expected_days)),
                                     Field("days_early", Maybe(limit.until.early_days)),
                                     Field("days_told", limit.until.told_days),
                                     Field("recommended_nodes", limit.recommended_nodes),
                                     Field("recommended_days_expected", Maybe(limit.recommended_until.expected_days)),
                                     Field("recommended_days_early", Maybe(limit.recommended_until.early_days))};
  if (limit.outlook) {
    const Outlook& outlook = *limit.outlook;
    fields.push_back(Field("growth_per_day", GrowthJson(outlook)));
    fields.push_back(Field("outlook_wape", Maybe(outlook.missed_ratio)));
    fields.push_back(Field("hours", Bands(outlook.hours)));
    fields.push_back(Field("past_peaks", Bands(outlook.past_peaks)));
    fields.push_back(Field("peaks", Bands(outlook.peaks)));
  }
  return Object(fields);
}

std::string RecommendationJson(const Recommendation& best) {
  return Object({Field("min", best.min), Field("max", best.max), Field("target", best.target),
                 Field("per_node", best.per_node), Field("limit_ceiling", best.limit_ceiling),
                 Field("reasons", Strings(best.reasons)), Field("run", RunJson(best.run))});
}

// The highest of each stretch: a peak must not be drawn away.
std::string Drawn(const std::vector<float>& values, size_t width) {
  std::string out = "[";
  for (size_t begin = 0; begin < values.size(); begin += width) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto until = values.begin() + static_cast<std::ptrdiff_t>(std::min(begin + width, values.size()));
    const float highest = *std::max_element(from, until);
    absl::StrAppend(&out, begin > 0 ? "," : "", highest < 0 ? "null" : absl::StrFormat("%.4g", highest));
  }
  return out + "]";
}

std::string LoopJson(const PlanReport& report) {
  const size_t width = (report.demand_nodes.size() + kDrawnMax - 1) / kDrawnMax;
  std::vector<std::string> runs;
  const auto add = [&](const PlanRun& run) {
    if (run.nodes.empty()) return;
    runs.push_back(Object({Field("name", JsonString(run.name)), Field("nodes", Drawn(run.nodes, width))}));
  };
  add(report.recommended.run);
  for (const PlanRun& run : report.policies) add(run);
  add(report.optimum);
  return Object({Field("start", Time(absl::ToUnixSeconds(report.loop_start))),
                 Field("step_seconds", static_cast<double>(width) * kStepSeconds),
                 Field("first_scored",
                       Time(absl::ToUnixSeconds(report.loop_start) + int64_t{report.first_scored} * kStepSeconds)),
                 Field("demand", Drawn(report.demand_nodes, width)),
                 Field("runs", Array(runs, ",\n  ", [](const std::string& run) { return run; }))});
}

std::string DaysText(double days) {
  return days == 1 ? "1 day" : absl::StrFormat("%.0f days", days);
}

// Of so much capacity: " are reached in 12 days, in 9 days with a chance of 5 %".
std::string WhenReached(const Break& until) {
  if (until.expected_days == 0.0) return " were reached within the last week";
  const std::string early =
      until.early_days ? absl::StrCat("in ", DaysText(*until.early_days), " with a chance of 5 %") : "";
  if (until.expected_days)
    return absl::StrCat(" are reached in ", DaysText(*until.expected_days), early.empty() ? "" : ", " + early);
  if (!early.empty())
    return absl::StrCat(" are not expected to be reached in ", DaysText(until.told_days),
                        ", which is as far as the past tells; ", early);
  return absl::StrCat(" are not reached in ", DaysText(until.told_days), ", which is as far as the past tells");
}

}  // namespace

std::string LimitSentence(const PlanLimit& limit) {
  if (!limit.cannot_tell.empty()) return absl::StrCat(limit.name, ": cannot tell: ", limit.cannot_tell);
  const std::string sentence = absl::StrFormat("%s: %.4g (%d nodes of %.4g)%s", limit.name, limit.capacity, limit.nodes,
                                               limit.per_node, WhenReached(limit.until));
  if (limit.recommended_nodes == limit.nodes) return sentence;
  return absl::StrCat(sentence, "; those of the recommended ", limit.recommended_nodes, " nodes",
                      WhenReached(limit.recommended_until));
}

std::string PlanJson(const PlanReport& report) {
  const std::vector<std::string> fields = {Field("name", JsonString(report.name)),
                                           Field("notes", Strings(report.notes)),
                                           Field("per_node", report.per_node),
                                           Field("per_node_known", report.per_node_known ? "true" : "false"),
                                           Field("group", report.group),
                                           Field("boot_seconds", absl::ToDoubleSeconds(report.boot)),
                                           Field("scored_days", report.scored_days),
                                           Field("limits", Array(report.limits, ",\n  ", LimitJson)),
                                           Field("recommended", RecommendationJson(report.recommended)),
                                           Field("policies", Runs(report.policies)),
                                           Field("frontier", Runs(report.frontier)),
                                           Field("rivals", Runs(report.rivals)),
                                           Field("optimum", RunJson(report.optimum)),
                                           Field("past", Bands(report.past)),
                                           Field("loop", LoopJson(report))};
  return absl::StrCat("{", absl::StrJoin(fields, ",\n "), "}\n");
}

std::string PlanPage(const PlanReport& report) {
  // Within a page "</script>" ends the data, wherever it stands.
  const std::string data = absl::StrReplaceAll(PlanJson(report), {{"<", "\\u003c"}});
  return absl::StrReplaceAll(kPlanPage, {{"HEADROOM_PLAN_DATA", data}});
}

}  // namespace headroom::lab
