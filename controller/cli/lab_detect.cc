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
  std::string results;  // a folder to write, of --nab; empty: "results", where it can be written
};

constexpr char kDetectorName[] = "headroom";

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

absl::StatusOr<lab::NabCorpus> Load(const Options& options, Session& session) {
  lab::NabCorpus corpus;
  if (!options.nab.empty()) {
    HR_ASSIGN_OR_RETURN(corpus, Annotate(lab::LoadNab(options.nab), "--nab"));
  }
  for (const std::string& file : options.csv) {
    HR_ASSIGN_OR_RETURN(lab::LabelledSeries series, Annotate(lab::LoadLabelledCsv(file), "--csv"));
    corpus.series.push_back(std::move(series));
  }
  for (const std::string& text : corpus.skipped) session.err() << "skipped " << text << '\n';
  for (const lab::LabelledSeries& series : corpus.series) {
    for (const std::string& note : series.notes) session.err() << series.name << ": " << note << '\n';
  }
  return corpus;
}

lab::DetectionReport Judge(const lab::NabCorpus& corpus, Session& session) {
  const auto show = [&](size_t done) {
    if (!session.shows_progress()) return;
    session.err() << "\r\x1b[K";
    if (done < corpus.series.size()) {
      session.err() << "judging: " << done << " of " << corpus.series.size() << " series";
    }
    session.err() << std::flush;
  };
  show(0);
  lab::DetectionReport report = lab::JudgeDetector(corpus.series, show);
  report.skipped = corpus.skipped;
  return report;
}

absl::Status WriteResults(const std::string& folder, const lab::NabCorpus& corpus, const lab::DetectionReport& report) {
  for (size_t i = 0; i < corpus.series.size(); ++i) {
    HR_RETURN_IF_ERROR(lab::WriteNabResults(folder, kDetectorName, corpus.series[i], report.scores[i]));
  }
  return absl::OkStatus();
}

// Into the folder that was named; else into one beside, where that can be.
absl::Status KeepResults(const Options& options, const lab::NabCorpus& corpus, const lab::DetectionReport& report,
                         Session& session) {
  const std::string folder = options.results.empty() ? "results" : options.results;
  const absl::Status written = Annotate(WriteResults(folder, corpus, report), "--results");
  if (written.ok()) {
    session.err() << "written: " << corpus.series.size() << " files of scores in " << folder << '/' << kDetectorName
                  << '\n';
  } else if (options.results.empty()) {
    session.err() << "no files of scores: " << written.message() << '\n';
    return absl::OkStatus();
  }
  return written;
}

absl::Status Run(const Options& options, Session& session) {
  HR_ASSIGN_OR_RETURN(const lab::NabCorpus corpus, Load(options, session));
  const lab::DetectionReport report = Judge(corpus, session);
  std::optional<lab::NabReport> nab;
  if (!options.nab.empty()) nab = lab::JudgeByNab(corpus.series, report.scores);
  const std::string json = lab::ToJson(report, nab);
  // First what took a minute to find: a file may turn out not to be writable.
  if (session.wants_table()) {
    PrintSeries(report, session);
    PrintSummary(report, nab, session);
  } else {
    session.out() << json;
  }
  if (!options.json.empty()) HR_RETURN_IF_ERROR(Annotate(WriteText(options.json, json), "--json"));
  return nab ? KeepResults(options, corpus, report, session) : absl::OkStatus();
}

}  // namespace

void AddLabDetect(CLI::App& lab, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* detect = lab.add_subcommand("detect", "Judge the anomaly detector on labelled series");
  detect->footer(
      "Examples:\n"
      "  headroomctl lab detect --nab NAB               the Numenta benchmark's folder: data/ and labels/; one file "
      "of\n"
      "                                                 scores a series, as NAB has them, goes to results/headroom\n"
      "  headroomctl lab detect --csv a.csv.gz b.csv    traces with the columns unix_seconds, value and label (or\n"
      "                                                 anomaly, is_anomaly, is_anomaly_label)");
  CLI::Option* nab = detect->add_option("--nab", options->nab, "Folder with data/ and labels/combined_windows.json");
  detect->add_option("--csv", options->csv, "Labelled traces, plain or gzip")->excludes(nab);
  detect->add_option("--json", options->json, "Write the figures to this file");
  detect
      ->add_option("--results", options->results,
                   "Write the scores of each series into this folder; by default results")
      ->needs(nab);
  detect->callback([options, &session] {
    if (options->nab.empty() && options->csv.empty()) {
      throw CLI::ValidationError("detect", "name a folder by --nab or files by --csv");
    }
    session.command = [options, &session] { return Run(*options, session); };
  });
}

}  // namespace headroom
