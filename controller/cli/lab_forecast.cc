#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/lab/forecast_rivals.h"
#include "controller/lab/forecast_trial.h"
#include "controller/lab/parallel.h"
#include "controller/lab/slot_series.h"
#include "controller/lab/trace.h"

namespace headroom {
namespace {

struct Options {
  std::vector<std::string> sources;
  std::string json;
  int threads = 0;
};

using Trial = absl::StatusOr<lab::ForecastScores>;

Trial TryOne(const std::string& source) {
  HR_ASSIGN_OR_RETURN(const lab::Trace trace, lab::ReadTrace(source));
  HR_ASSIGN_OR_RETURN(const lab::SlotSeries series, Annotate(lab::ToSlots(trace), source));
  std::optional<lab::ForecastScores> scores = lab::TryForecasts(series);
  if (!scores.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat(source, ": too short or too empty to be scored; 60 hours are needed"));
  }
  scores->notes.insert(scores->notes.begin(), trace.notes.begin(), trace.notes.end());
  return *std::move(scores);
}

// On a terminal a line that stays current.
void ShowProgress(Session& session, int done, size_t all) {
  if (!session.shows_progress()) return;
  session.err() << "\r\x1b[K";
  if (done < static_cast<int>(all)) session.err() << "forecasting: " << done << " of " << all << " series";
  session.err() << std::flush;
}

std::vector<Trial> TryAll(Session& session, const std::vector<std::string>& sources, int threads) {
  std::vector<Trial> trials(sources.size(), Trial(absl::UnknownError("not tried")));
  std::vector<std::function<void()>> jobs;
  for (size_t i = 0; i < sources.size(); ++i) jobs.push_back([&, i] { trials[i] = TryOne(sources[i]); });
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  ShowProgress(session, 0, sources.size());
  lab::DoInParallel(jobs, threads > 0 ? threads : cores,
                    [&](int done) { ShowProgress(session, done, sources.size()); });
  return trials;
}

std::string Ratio(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.3f", value) : "-";
}

void PrintSeries(Session& session, const std::vector<lab::ForecastScores>& all) {
  std::vector<std::string> headings = {"SERIES", ">AHEAD", ">LAST WAPE"};
  for (const lab::MethodScore& method : all.front().horizons.front().methods) {
    if (method.name != lab::kLastValueName) headings.push_back(absl::StrCat(">", method.name));
  }
  for (const char* heading : {">P95/RIDGE", ">COVERS", ">MOMENTS", ">AFTER CHANGE"}) headings.push_back(heading);
  Table table(headings);
  for (const lab::ForecastScores& series : all) {
    for (const lab::HorizonScores& horizon : series.horizons) {
      const lab::MethodScore &ours = horizon.Of(lab::kOursName), &ridge = horizon.Of(lab::kRidgeName);
      std::vector<Cell> row = {series.name, absl::FormatDuration(horizon.ahead),
                               Ratio(horizon.Of(lab::kLastValueName).wape)};
      for (const lab::MethodScore& method : horizon.methods) {
        if (method.name != lab::kLastValueName) row.emplace_back(Ratio(method.wape_over_last));
      }
      const double pinball = ours.pinball.back() / ridge.pinball.back();
      row.emplace_back(Ratio(pinball), pinball < 1 ? Tone::kGood : Tone::kWarning);
      row.emplace_back(absl::StrFormat("%.1f%%", 100 * ours.coverage));
      row.emplace_back(absl::StrFormat("%.1f%%", 100 * ours.moment_coverage.value_or(0)));
      row.emplace_back(ours.changed_coverage ? absl::StrFormat("%.1f%%", 100 * *ours.changed_coverage) : "-");
      table.Add(std::move(row));
    }
  }
  table.Print(session.out(), session.colours());
}

void PrintSummary(Session& session, const std::vector<lab::ForecastSummary>& summaries) {
  Table table({"METHOD", ">AHEAD", ">WAPE", ">P50", ">P90", ">P95", ">COVERS FROM", ">TO"});
  for (const lab::ForecastSummary& summary : summaries) {
    for (const auto& method : summary.methods) {
      const Tone tone = method.name == lab::kOursName ? Tone::kStrong : Tone::kPlain;
      table.Add({{method.name, tone},
                 absl::FormatDuration(summary.ahead),
                 {Ratio(method.wape_over_last), tone},
                 Ratio(method.pinball_over_last[0]),
                 Ratio(method.pinball_over_last[1]),
                 Ratio(method.pinball_over_last[2]),
                 absl::StrFormat("%.1f%%", 100 * method.coverage_min),
                 absl::StrFormat("%.1f%%", 100 * method.coverage_max)});
    }
  }
  table.Print(session.out(), session.colours());
  for (const lab::ForecastSummary& summary : summaries) {
    session.out() << absl::StrFormat(
        "%s ahead: P95 pinball below the ridge's on %d of %d series; P95 covers 93 to 97 %% on %d, and 90 to 98 %% in "
        "the "
        "days after level changes on %d of the %d that have some\n",
        absl::FormatDuration(summary.ahead), summary.pinball_below_ridge, summary.series, summary.covered,
        summary.changed_covered, summary.changed);
  }
}

void Print(Session& session, const std::vector<lab::ForecastScores>& all) {
  session.out() << "WAPE relative to the last value's; our P95 pinball loss over the ridge's; what our P95 covers:\n";
  PrintSeries(session, all);
  session.out() << "\nOver all series on which the last value errs, relative to it (geometric means):\n";
  PrintSummary(session, lab::SummariseForecasts(all));
}

absl::Status Run(Session& session, const Options& options) {
  HR_ASSIGN_OR_RETURN(const lab::TraceFolder found, lab::CollectTraces(options.sources));
  const std::vector<Trial> trials = TryAll(session, found.files, options.threads);
  std::vector<lab::ForecastScores> all;
  std::vector<std::string> skipped = found.skipped;
  for (const Trial& trial : trials) {
    if (trial.ok()) {
      all.push_back(*trial);
    } else {
      skipped.emplace_back(trial.status().message());
    }
  }
  for (const lab::ForecastScores& one : all) {
    for (const std::string& note : one.notes) session.err() << one.name << ": " << note << '\n';
  }
  for (const std::string& text : skipped) session.err() << "skipped " << text << '\n';
  const std::string json = lab::ForecastJson(all, skipped);
  // First what took a minute to find: the file may turn out not to be writable.
  if (session.format == "json") {
    session.out() << json;
  } else if (!all.empty()) {
    Print(session, all);
  }
  if (!options.json.empty()) HR_RETURN_IF_ERROR(WriteText(options.json, json));
  if (all.empty()) return absl::NotFoundError("there is no series that can be scored");
  return absl::OkStatus();
}

}  // namespace

void AddLabForecast(CLI::App& lab, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = lab.add_subcommand("forecast", "Our forecasts beside five other methods; needs no server");
  command->add_option("--traces", options->sources, "A folder of traces, or FILE or FILE:COLUMN; may be repeated")
      ->required();
  command->add_option("--json", options->json, "Write everything to this file, too");
  command->add_option("--threads", options->threads, "How many series at once; by default one a core")
      ->check(CLI::Range(1, 256));
  command->callback([&session, options] { session.command = [&session, options] { return Run(session, *options); }; });
}

}  // namespace headroom
