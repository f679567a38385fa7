#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/lab/compare.h"
#include "controller/lab/headroom.h"
#include "controller/lab/report.h"
#include "controller/lab/synthetic.h"
#include "controller/lab/trace.h"
#include "controller/runtime/config.h"

namespace headroom {
namespace {

struct CompareArguments {
  std::vector<std::string> sources;
  std::string json, policy;
  int threads = 0;
};

std::string Duration(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

// A line that stays current on a terminal, and one line a trace elsewhere.
class ProgressLine {
 public:
  ProgressLine(Session& session, size_t traces) : session_(session), traces_(traces), began_(session.now()) {}

  void Begin(const std::string& trace) {
    name_ = trace, ++trace_;
    trace_began_ = session_.now();
  }
  void Show(const lab::Progress& progress) {
    if (!session_.shows_progress()) return;
    session_.err() << absl::StrFormat("\r\x1b[K[%d/%d] %s: run %d of %d, %s", trace_, traces_, name_,
                                      progress.runs_done, progress.runs, Duration(session_.now() - began_))
                   << std::flush;
  }
  void End() {
    if (session_.shows_progress()) session_.err() << "\r\x1b[K";
    session_.err() << absl::StrFormat("[%d/%d] %s: %s\n", trace_, traces_, name_,
                                      Duration(session_.now() - trace_began_));
  }

 private:
  Session& session_;
  const size_t traces_;
  const absl::Time began_;
  absl::Time trace_began_;
  std::string name_;
  int trace_ = 0;
};

std::vector<std::string> NamesOf(const lab::Scores& scores) {
  std::vector<std::string> names;
  for (const lab::PolicyResult& policy : scores.policies) names.push_back(policy.name);
  return names;
}

// Cost over the optimum's, a row each trace; the best rival stands out.
void PrintTable(Session& session, const lab::Comparison& comparison, lab::Scores lab::TraceResult::*table) {
  std::vector<std::string> headings = {"TRACE", ">NODES", ">OPTIMUM"};
  const std::vector<std::string> names = NamesOf(comparison.traces.front().*table);
  for (const std::string& name : names) {
    if (name != lab::kOptimumName) headings.push_back(absl::StrCat(">", name));
  }
  Table rows(headings);
  for (const lab::TraceResult& trace : comparison.traces) {
    const lab::Scores& scores = trace.*table;
    std::vector<Cell> row = {trace.name, absl::StrFormat("%.1f", trace.mean_nodes),
                             absl::StrFormat("%.1f", scores.Of(lab::kOptimumName).cost)};
    for (const lab::PolicyResult& policy : scores.policies) {
      if (policy.name == lab::kOptimumName) continue;
      const bool best = policy.name == scores.best_rival;
      row.push_back(
          {absl::StrFormat("%.2f%s", policy.cost_over_optimum, best ? "*" : ""), best ? Tone::kStrong : Tone::kPlain});
    }
    rows.Add(std::move(row));
  }
  const lab::Summary summary = lab::Summarise(comparison.traces, table);
  std::vector<Cell> means = {{"geometric mean", Tone::kFaint}, {""}, {""}};
  for (const lab::PolicySummary& policy : summary.policies) {
    if (policy.name != lab::kOptimumName)
      means.push_back({absl::StrFormat("%.2f", policy.cost_over_optimum), Tone::kFaint});
  }
  rows.Add(std::move(means));
  rows.Print(session.out(), session.colours());
}

// What the best rivals were, and how they ran.
void PrintBest(Session& session, const lab::Comparison& comparison) {
  Table rows({"TRACE", "BEST RIVAL", "SETTING", ">COST", ">OPTIMUM", ">UNSERVED", ">NODE-HOURS", ">ACTIONS"});
  for (const lab::TraceResult& trace : comparison.traces) {
    const lab::PolicyResult& best = trace.offered.Of(trace.offered.best_rival);
    rows.Add({trace.name, best.name, best.setting, absl::StrFormat("%.1f", best.cost),
              absl::StrFormat("%.1f", trace.offered.Of(lab::kOptimumName).cost),
              absl::StrFormat("%.3f%%", 100 * best.unserved_ratio), absl::StrFormat("%.1f", best.node_hours),
              absl::StrFormat("%.0f", best.actions)});
  }
  rows.Print(session.out(), session.colours());
}

// How we did on each trace; with limits: where they may be raised, and for how much of the time they were.
void PrintOurs(Session& session, const lab::Comparison& comparison) {
  Table rows({"TRACE", ">COST", ">OVER OPTIMUM", ">OVER BEST RIVAL", ">GAP CLOSED", ">UNSERVED", ">NODE-HOURS",
              ">ACTIONS", ">WITH LIMITS", ">ABOVE SAFE"});
  for (const lab::TraceResult& trace : comparison.traces) {
    const lab::Scores& scores = trace.offered;
    const lab::PolicyResult &ours = scores.policies[0], &raised = scores.policies[1];
    const double over = scores.ours_over_best_rival.value_or(NAN);
    rows.Add({trace.name,
              absl::StrFormat("%.1f", ours.cost),
              absl::StrFormat("%.2f", ours.cost_over_optimum),
              {absl::StrFormat("%.2f", over), over <= 1 ? Tone::kGood : Tone::kWarning},
              scores.gap_closed ? absl::StrFormat("%.0f%%", 100 * *scores.gap_closed) : "-",
              absl::StrFormat("%.3f%%", 100 * ours.unserved_ratio),
              absl::StrFormat("%.1f", ours.node_hours),
              absl::StrFormat("%.0f", ours.actions),
              absl::StrFormat("%.1f", raised.cost),
              absl::StrFormat("%.1f%%", 100 * raised.above_safe_ratio.value_or(0))});
  }
  rows.Print(session.out(), session.colours());
}

// How we did over all, and why each lost trace was lost.
void PrintSummary(Session& session, const lab::Comparison& comparison) {
  const lab::Summary summary = lab::Summarise(comparison.traces, &lab::TraceResult::offered);
  if (summary.ours_over_best_rival_with_room.has_value()) {
    session.out() << absl::StrFormat(
        "Where there is room (the optimum costs at most %.2f of the best rival, %d traces) Headroom costs %.2f of the "
        "best rival and %.2f of the cheaper HPA (geometric means).\n",
        lab::kRoomRatio, summary.with_room, *summary.ours_over_best_rival_with_room, *summary.ours_over_hpa_with_room);
  }
  if (summary.worst_actions_over_hpa.has_value()) {
    session.out() << absl::StrFormat(
        "On the %d traces whose days are alike it acts at most %.2f times as often as HPA.\n", summary.daily,
        *summary.worst_actions_over_hpa);
  }
  for (const lab::TraceResult& trace : comparison.traces) {
    if (!trace.offered.lost_because.empty())
      session.out() << "Lost: " << trace.name << ", " << trace.offered.lost_because << '\n';
  }
}

void Print(Session& session, const lab::Comparison& comparison) {
  session.out() << "Cost over the optimum's; each rival tuned on each trace, * the best of them.\n"
                << "Every metric shows the offered demand:\n";
  PrintTable(session, comparison, &lab::TraceResult::offered);
  session.out() << "\nEvery metric ends at what the ready nodes can do, as CPU use does:\n";
  PrintTable(session, comparison, &lab::TraceResult::capped);
  session.out() << "\nThe best rival of each trace (offered demand):\n";
  PrintBest(session, comparison);
  session.out() << "\nHeadroom under its one policy (offered demand):\n";
  PrintOurs(session, comparison);
  session.out() << '\n';
  PrintSummary(session, comparison);
}

// FAILED_PRECONDITION: it is a trace, and cannot be scored.
absl::StatusOr<lab::TraceResult> CompareOne(Session& session, const std::string& source, const Policy& policy,
                                            const lab::CompareOptions& options) {
  HR_ASSIGN_OR_RETURN(const lab::Trace trace, lab::ReadTrace(source));
  for (const std::string& note : trace.notes) session.err() << source << ": " << note << '\n';
  HR_ASSIGN_OR_RETURN(auto course, Annotate(lab::MakeCourse(trace), source));
  std::vector<lab::Contender> contenders = lab::Contenders();
  contenders.insert(contenders.begin(), lab::Ours(policy));
  return lab::CompareOn(std::move(course), contenders, options);
}

// Those of one name are told apart by what they were read from.
void TellApart(const std::vector<std::string>& sources, std::vector<lab::TraceResult>& traces) {
  std::map<std::string, int> times;
  for (const lab::TraceResult& trace : traces) ++times[trace.name];
  for (size_t i = 0; i < traces.size(); ++i) {
    if (times[traces[i].name] > 1) traces[i].name = sources[i];
  }
}

struct Compared {
  lab::Comparison comparison;
  int not_scored = 0;  // traces that were skipped since nothing in them can be scored
};

Compared CompareAll(Session& session, const std::vector<std::string>& sources, const Policy& policy, int threads) {
  Compared compared;
  std::vector<std::string> scored;
  ProgressLine progress(session, sources.size());
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const lab::CompareOptions options{.threads = threads > 0 ? threads : cores,
                                    .progress = [&](const lab::Progress& done) { progress.Show(done); }};
  for (const std::string& source : sources) {
    progress.Begin(source);
    auto result = CompareOne(session, source, policy, options);
    if (result.ok()) {
      compared.comparison.traces.push_back(*std::move(result));
      scored.push_back(source);
      progress.End();
    } else {
      compared.comparison.skipped.push_back(std::string(result.status().message()));
      if (absl::IsFailedPrecondition(result.status())) ++compared.not_scored;
    }
  }
  TellApart(scored, compared.comparison.traces);
  return compared;
}

absl::Status RunCompare(Session& session, const CompareArguments& arguments) {
  Policy policy;
  if (!arguments.policy.empty()) {
    HR_ASSIGN_OR_RETURN(const std::string yaml, ReadPolicyFile(arguments.policy));
    HR_ASSIGN_OR_RETURN(Config config, ParseConfig(yaml, arguments.policy));
    policy = std::move(config.policy);
  }
  HR_ASSIGN_OR_RETURN(const lab::TraceFolder all, lab::CollectTraces(arguments.sources));
  auto [comparison, not_scored] = CompareAll(session, all.files, policy, arguments.threads);
  comparison.skipped.insert(comparison.skipped.begin(), all.skipped.begin(), all.skipped.end());
  for (const std::string& text : comparison.skipped) session.err() << "skipped " << text << '\n';
  // First what took minutes to find: the file may turn out not to be writable.
  if (session.format == "json") {
    session.out() << lab::ToJson(comparison);
  } else if (comparison.traces.empty()) {
    session.out() << "There is no trace that can be scored.\n";
  } else {
    Print(session, comparison);
  }
  if (!arguments.json.empty()) HR_RETURN_IF_ERROR(WriteText(arguments.json, lab::ToJson(comparison)));
  const bool any = !comparison.traces.empty() || not_scored > 0;
  return any ? absl::OkStatus() : absl::NotFoundError("there is no trace that can be scored");
}

struct TraceArguments {
  std::string shape, out;
  std::string length = "336h", step = "60s";
  absl::Duration length_parsed, step_parsed;
  uint64_t seed = 1;
};

// A fault of the command line.
absl::Duration ParseLength(const std::string& name, const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration())
    throw CLI::ValidationError(name, absl::StrCat("\"", text, "\" is no length of time like 336h or 60s"));
  return duration;
}

absl::Status RunTrace(Session& session, const TraceArguments& arguments) {
  lab::SyntheticOptions options{.shape = arguments.shape, .seed = arguments.seed};
  options.length = arguments.length_parsed;
  options.step = arguments.step_parsed;
  HR_ASSIGN_OR_RETURN(const lab::Trace trace, lab::MakeTrace(options));
  if (arguments.out.empty()) {
    session.out() << lab::TraceCsv(trace);
    return absl::OkStatus();
  }
  HR_RETURN_IF_ERROR(lab::WriteTrace(trace, arguments.out));
  session.err() << arguments.out << ": " << trace.samples.size() << " rows, seed " << arguments.seed << '\n';
  return absl::OkStatus();
}

void AddCompare(CLI::App& lab, Session& session) {
  const auto arguments = std::make_shared<CompareArguments>();
  CLI::App* command =
      lab.add_subcommand("compare", "Headroom, every rival and the optimum on the standard task; needs no server");
  command->add_option("--traces", arguments->sources, "A folder of traces, or FILE or FILE:COLUMN; may be repeated")
      ->required();
  command->add_option("--policy", arguments->policy,
                      "Headroom's policy file, the same on all traces; by default the defaults");
  command->add_option("--json", arguments->json, "Write everything to this file, too");
  command->add_option("--threads", arguments->threads, "How many runs at once; by default one a core")
      ->check(CLI::Range(1, 256));
  command->footer(R"(
Examples:
  headroomctl lab compare --traces traces/ --json result.json
  headroomctl lab compare --traces day.csv.gz --traces week.csv:requests --policy policy.yaml
)");
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return RunCompare(session, *arguments); }; });
}

void AddTrace(CLI::App& lab, Session& session) {
  const auto arguments = std::make_shared<TraceArguments>();
  CLI::App* command = lab.add_subcommand("trace", "Make a synthetic trace; needs no server");
  const std::vector<std::string> shapes(lab::SyntheticShapes().begin(), lab::SyntheticShapes().end());
  command->add_option("--shape", arguments->shape, "What it looks like")->required()->check(CLI::IsMember(shapes));
  command->add_option("--length", arguments->length, "How long it is")->capture_default_str();
  command->add_option("--step", arguments->step, "Its step, from 1s to 1h")->capture_default_str();
  command->add_option("--seed", arguments->seed, "The same seed is the same trace")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--out", arguments->out, "File, gzipped where it ends in .gz; by default standard output");
  command->footer(R"(
Examples:
  headroomctl lab trace --shape diurnal --out day.csv.gz           two weeks of minutes
  headroomctl lab trace --shape campaign --length 72h --step 30s   three days, to standard output
)");
  command->callback([&session, arguments] {
    arguments->length_parsed = ParseLength("--length", arguments->length);
    arguments->step_parsed = ParseLength("--step", arguments->step);
    session.command = [&session, arguments] { return RunTrace(session, *arguments); };
  });
}

}  // namespace

absl::Status WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
  return absl::OkStatus();
}

void AddLab(CLI::App& app, Session& session) {
  CLI::App* lab =
      app.add_subcommand("lab", "Policies, forecasts and detection on traces: compare, trace, detect, forecast");
  lab->require_subcommand(1);
  lab->fallthrough();
  AddCompare(*lab, session);
  AddTrace(*lab, session);
  AddLabDetect(*lab, session);
  AddLabForecast(*lab, session);
}

}  // namespace headroom
