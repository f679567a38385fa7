#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>

#include "controller/base/json_string.h"
#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/lab/scenario_curve.h"
#include "controller/sim/scenario_run.h"

namespace headroom {
namespace {

constexpr size_t kRowsMax = 30;

struct SimulateArguments {
  std::string file, json, model = "request";
  std::optional<uint64_t> seed;
};

// A line that stays current on a terminal; nothing elsewhere.
class ProgressLine {
 public:
  ProgressLine(Session& session, absl::Duration whole) : session_(session), whole_(whole), shown_at_(session.now()) {}
  ~ProgressLine() {
    if (drawn_) session_.err() << "\r\x1b[K" << std::flush;
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(absl::Duration done) {
    constexpr absl::Duration kEach = absl::Milliseconds(200);
    if (!session_.shows_progress() || session_.now() - shown_at_ < kEach) return;
    shown_at_ = session_.now();
    drawn_ = true;
    session_.err() << absl::StrFormat("\r\x1b[Ksimulated %s of %s", Short(done), Short(whole_)) << std::flush;
  }

 private:
  Session& session_;
  const absl::Duration whole_;
  absl::Time shown_at_;
  bool drawn_ = false;
};

std::string PerSecond(int64_t count, absl::Duration span) {
  const double seconds = absl::ToDoubleSeconds(span);
  return Number(seconds <= 0 ? 0 : static_cast<double>(count) / seconds);
}

std::string LimitText(const sim::RunSample& sample) {
  if (sample.nodes == 0) return "-";
  if (sample.limit_least == sample.limit_most) return absl::StrCat(sample.limit_most);
  return absl::StrCat(sample.limit_least, "-", sample.limit_most);
}

Cell CauseCell(Cause cause) {
  if (cause == Cause::kNone) return {"", Tone::kFaint};
  return {std::string(CauseName(cause)), cause == Cause::kCannotTell ? Tone::kWarning : Tone::kBad};
}

// Of a row's stretch: the rates over it, the gauges and the worst that was named at its end.
void AddRow(const sim::RunSample& before, const sim::RunSample& sample, Table& rows) {
  const absl::Duration span = sample.at - before.at;
  const int64_t failed = sample.total.failed - before.total.failed;
  rows.Add({absl::FormatDuration(absl::Trunc(sample.at, absl::Seconds(1))),
            PerSecond(sample.total.offered - before.total.offered, span),
            {PerSecond(failed, span), failed > 0 ? Tone::kBad : Tone::kPlain},
            absl::StrCat(sample.connections),
            LimitText(sample),
            absl::StrCat(sample.nodes),
            CauseCell(sample.cause)});
}

void PrintCourse(Session& session, const sim::ScenarioResult& result) {
  Table rows({"TIME", ">OFFERED/S", ">FAILED/S", ">CONNECTIONS", ">LIMIT", ">NODES", "CAUSE"});
  const std::vector<sim::RunSample>& samples = result.samples;
  const size_t each = std::max<size_t>(1, (samples.size() - 1 + kRowsMax - 1) / kRowsMax);
  for (size_t last = 0; last + 1 < samples.size();) {
    const size_t next = std::min(last + each, samples.size() - 1);
    AddRow(samples[last], samples[next], rows);
    last = next;
  }
  rows.Print(session.out(), session.colours());
}

void PrintTable(Session& session, const sim::ScenarioFile& file, const sim::ScenarioResult& result) {
  if (!file.about.empty()) session.out() << file.about << "\n\n";
  PrintCourse(session, result);
  session.out() << absl::StrFormat(
      "\nseed %d: %d requests, %.3f %% failed, p99 %s, %d limit changes, %d launches, %d terminations\n", result.seed,
      result.total.offered, 100 * result.total.failed_ratio(), Short(result.total.latency.Quantile(0.99)),
      result.summary.limit_changes, result.summary.launches, result.summary.terminations);
  if (!result.last_words.empty()) session.out() << result.last_words << '\n';
  if (result.outcomes.empty()) return;
  session.out() << '\n';
  Table rows({"EXPECTED", "GOT", ""});
  for (const sim::Outcome& outcome : result.outcomes) {
    rows.Add({outcome.text, outcome.got, {outcome.met ? "met" : "NOT MET", outcome.met ? Tone::kGood : Tone::kBad}});
  }
  rows.Print(session.out(), session.colours());
}

std::string SampleJson(const sim::RunSample& sample) {
  return absl::StrFormat(
      "{\"seconds\": %g, \"offered\": %d, \"completed\": %d, \"failed\": %d, \"attempts\": %d, \"connections\": %d, "
      "\"limit_least\": %d, \"limit_most\": %d, \"nodes\": %d, \"cause\": %s}",
      absl::ToDoubleSeconds(sample.at), sample.total.offered, sample.total.completed, sample.total.failed,
      sample.total.attempts, sample.connections, sample.limit_least, sample.limit_most, sample.nodes,
      JsonString(CauseName(sample.cause)));
}

// Counts are since the start.
std::string ToJson(const sim::ScenarioFile& file, const sim::ScenarioResult& result) {
  std::string out = absl::StrFormat(
      "{\"about\": %s,\n \"seed\": %d,\n \"met\": %s,\n \"failed_ratio\": %g,\n \"p99_ms\": %g,\n "
      "\"limit_changes\": %d,\n \"launches\": %d,\n \"terminations\": %d,\n \"diagnosis\": %s,\n \"expectations\": [",
      JsonString(file.about), result.seed, result.met() ? "true" : "false", result.total.failed_ratio(),
      absl::ToDoubleMilliseconds(result.total.latency.Quantile(0.99)), result.summary.limit_changes,
      result.summary.launches, result.summary.terminations, JsonString(result.last_words));
  absl::string_view comma = "\n  ";
  for (const sim::Outcome& outcome : result.outcomes) {
    absl::StrAppend(&out, comma, "{\"expected\": ", JsonString(outcome.text), ", \"got\": ", JsonString(outcome.got),
                    ", \"met\": ", outcome.met ? "true" : "false", "}");
    comma = ",\n  ";
  }
  out += "],\n \"samples\": [";
  comma = "\n  ";
  for (const sim::RunSample& sample : result.samples) {
    absl::StrAppend(&out, comma, SampleJson(sample));
    comma = ",\n  ";
  }
  return out + "]}\n";
}

absl::Status RunSimulate(Session& session, const SimulateArguments& arguments) {
  HR_ASSIGN_OR_RETURN(const sim::ScenarioFile file, sim::LoadScenario(arguments.file, lab::ReadScenarioCurve));
  absl::StatusOr<sim::ScenarioResult> result;
  {
    ProgressLine progress(session, file.duration);
    result =
        sim::RunScenario(file, {.grain = arguments.model == "interval" ? sim::Grain::kInterval : sim::Grain::kRequest,
                                .seed = arguments.seed,
                                .progress = [&](absl::Duration done) { progress.Show(done); }});
  }
  if (!result.ok()) return Annotate(result.status(), arguments.file);
  if (!arguments.json.empty()) HR_RETURN_IF_ERROR(WriteText(arguments.json, ToJson(file, *result)));
  if (session.format == "json") {
    session.out() << ToJson(file, *result);
  } else {
    PrintTable(session, file, *result);
  }
  if (result->met()) return absl::OkStatus();
  const auto missed = std::count_if(result->outcomes.begin(), result->outcomes.end(),
                                    [](const sim::Outcome& outcome) { return !outcome.met; });
  return absl::UnknownError(absl::StrFormat("%d of %d expectations are not met", missed, result->outcomes.size()));
}

constexpr char kExamples[] = R"(
Examples:
  headroomctl simulate tests/scenarios/campaign.yaml            the outage, and what Headroom makes of it
  headroomctl simulate campaign.yaml --seed 7 --json out.json   another run of chance; every second as data
  headroomctl simulate weeks.yaml --model interval              in the mean, without chance; weeks in
                                                                seconds with tick and reports each minute
The file: docs/planning.md. Exit code 0: every expectation is met; 1: one is not, or the file is faulty.)";

}  // namespace

void AddSimulate(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* command =
      app.add_subcommand("simulate", "Run a scenario file: cluster, traffic, faults, expectations; needs no server");
  command->footer(kExamples);
  command->add_option("FILE", arguments->file, "Scenario, YAML")->required();
  command->add_option("--seed", arguments->seed, "Seed of all chance, instead of the file's")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--json", arguments->json, "Write everything to this file, too");
  command->add_option("--model", arguments->model, "request: every single request; interval: in the mean")
      ->check(CLI::IsMember({"request", "interval"}))
      ->capture_default_str();
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return RunSimulate(session, *arguments); }; });
}

}  // namespace headroom
