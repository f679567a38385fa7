#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/lab/detect.h"
#include "controller/lab/labelled_csv.h"
#include "controller/lab/nab.h"

namespace headroom {
namespace {

struct Options {
  std::string nab;
  std::vector<std::string> csv;
  std::string json;     // a file to write
  std::string results;  // a folder to write
};

std::string Percent(double value) {
  return absl::StrFormat("%.1f", value);
}
std::string Ratio3(double value) {
  return absl::StrFormat("%.3f", value);
}

std::vector<Cell> VusPrCells(const std::optional<lab::VusPrs>& vus_pr) {
  if (!vus_pr) return {Cell("-", Tone::kFaint), Cell("-", Tone::kFaint), Cell("-", Tone::kFaint)};
  const bool best = vus_pr->ours >= vus_pr->poly && vus_pr->ours >= vus_pr->sub_pca;
  return {Cell(Ratio3(vus_pr->ours), best ? Tone::kGood : Tone::kPlain), Cell(Ratio3(vus_pr->poly)),
          Cell(Ratio3(vus_pr->sub_pca))};
}

void PrintSeries(const lab::DetectionReport& report, Session& session) {
  Table table(
      {">ROWS", ">DAYS", ">INCIDENTS", ">FOUND", ">ALARMS", ">FALSE", ">VUS-PR", ">POLY", ">SUB-PCA", "SERIES"});
  for (const lab::SeriesReport& series : report.series) {
    std::vector<Cell> row = {
        absl::StrCat(series.rows),
        Percent(series.days),
        absl::StrCat(series.incidents),
        Cell(absl::StrCat(series.found), series.found < series.incidents ? Tone::kWarning : Tone::kPlain),
        absl::StrCat(series.alarms),
        absl::StrCat(series.false_alarms)};
    for (Cell& cell : VusPrCells(series.vus_pr)) row.push_back(std::move(cell));
    row.emplace_back(series.name);
    table.Add(std::move(row));
  }
  table.Print(session.out(), session.colours());
}

void PrintSummary(const lab::DetectionReport& report, const std::optional<lab::NabReport>& nab, Session& session) {
  session.out() << "\n";
  if (nab) {
    session.out() << "NAB        standard " << Percent(nab->standard.normalised) << "   low FP "
                  << Percent(nab->low_fp.normalised) << "   low FN " << Percent(nab->low_fn.normalised)
                  << "   standard, threshold from other files " << Percent(nab->standard_heldout_threshold) << "\n";
  }
  if (report.vus_pr) {
    session.out() << "VUS-PR     ours " << Ratio3(report.vus_pr->ours) << "   POLY " << Ratio3(report.vus_pr->poly)
                  << "   Sub-PCA " << Ratio3(report.vus_pr->sub_pca) << "\n";
  }
  session.out() << "Alarms     " << absl::StrFormat("%.2f", report.alarms_per_series_day) << " a series and day, "
                << absl::StrFormat("%.2f", report.false_alarms_per_series_day) << " of them false; " << report.found
                << " of " << report.incidents << " incidents found\n"
                << "Speed      " << absl::StrFormat("%.2f", report.nanoseconds_per_sample / 1000)
                << " microseconds a sample\n";
}

absl::StatusOr<std::vector<lab::LabelledSeries>> Load(const Options& options, Session& session) {
  if (!options.nab.empty()) return Annotate(lab::LoadNab(options.nab), "--nab");
  std::vector<lab::LabelledSeries> corpus;
  for (const std::string& file : options.csv) {
    HR_ASSIGN_OR_RETURN(lab::LabelledSeries series, Annotate(lab::LoadLabelledCsv(file), "--csv"));
    for (const std::string& note : series.notes) session.err() << file << ": " << note << '\n';
    corpus.push_back(std::move(series));
  }
  return corpus;
}

absl::Status Run(const Options& options, Session& session) {
  HR_ASSIGN_OR_RETURN(const std::vector<lab::LabelledSeries> corpus, Load(options, session));
  const lab::DetectionReport report = lab::JudgeDetector(corpus);
  std::optional<lab::NabReport> nab;
  if (!options.nab.empty()) nab = lab::JudgeByNab(corpus, report.scores);
  const std::string json = lab::ToJson(report, nab);
  if (!options.json.empty()) HR_RETURN_IF_ERROR(Annotate(WriteText(options.json, json), "--json"));
  if (!options.results.empty()) {
    for (size_t i = 0; i < corpus.size(); ++i) {
      HR_RETURN_IF_ERROR(
          Annotate(lab::WriteNabResults(options.results, "headroom", corpus[i], report.scores[i]), "--results"));
    }
  }
  if (!session.wants_table()) {
    session.out() << json;
    return absl::OkStatus();
  }
  PrintSeries(report, session);
  PrintSummary(report, nab, session);
  return absl::OkStatus();
}

}  // namespace

void AddLabDetect(CLI::App& lab, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* detect = lab.add_subcommand("detect", "Judge the anomaly detector on labelled series");
  detect->footer(
      "Examples:\n"
      "  headroomctl lab detect --nab NAB                     the Numenta benchmark's folder: data/ and labels/\n"
      "  headroomctl lab detect --nab NAB --results results   and one file of scores a series, as NAB writes them\n"
      "  headroomctl lab detect --csv a.csv.gz b.csv          traces with the columns unix_seconds, value and label");
  CLI::Option* nab = detect->add_option("--nab", options->nab, "Folder with data/ and labels/combined_windows.json");
  detect->add_option("--csv", options->csv, "Labelled traces, plain or gzip")->excludes(nab);
  detect->add_option("--json", options->json, "Write the figures to this file");
  detect->add_option("--results", options->results, "Write the scores of each series into this folder")->needs(nab);
  detect->callback([options, &session] {
    if (options->nab.empty() && options->csv.empty()) {
      throw CLI::ValidationError("detect", "name a folder by --nab or files by --csv");
    }
    session.command = [options, &session] { return Run(*options, session); };
  });
}

}  // namespace headroom
