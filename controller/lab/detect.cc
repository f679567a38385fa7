#include "controller/lab/detect.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "controller/base/json_string.h"
#include "controller/lab/detection_rivals.h"
#include "controller/lab/json.h"
#include "controller/lab/vus_pr.h"

namespace headroom::lab {
namespace {

bool Inside(const RowRange& range, const Alarm& alarm) {
  return range.first <= alarm.row && alarm.row <= range.last;
}

VusPrs VusPrsOf(const LabelledSeries& series, const std::vector<double>& scores) {
  const size_t lag = DominantLag(series.values);
  return {.ours = VusPr(scores, series.anomalies, lag),
          .poly = VusPr(PolyScores(series.values, lag), series.anomalies, lag),
          .sub_pca = VusPr(SubPcaScores(series.values, lag), series.anomalies, lag)};
}

SeriesReport ReportOn(const LabelledSeries& series, const Detection& detection) {
  SeriesReport report{.name = series.name,
                      .notes = series.notes,
                      .rows = series.values.size(),
                      .days = absl::ToDoubleHours(series.times.back() - series.times.front()) / 24,
                      .incidents = series.anomalies.size(),
                      .alarms = detection.alarms.size()};
  size_t labelled = 0;
  for (const RowRange& range : series.anomalies) {
    labelled += range.rows();
    report.found += std::any_of(detection.alarms.begin(), detection.alarms.end(),
                                [&](const Alarm& alarm) { return Inside(range, alarm); });
  }
  for (const Alarm& alarm : detection.alarms) {
    report.false_alarms += std::none_of(series.anomalies.begin(), series.anomalies.end(),
                                        [&](const RowRange& range) { return Inside(range, alarm); });
  }
  if (report.rows > kVusPrRowsMax) {
    report.notes.push_back(absl::StrCat("over ", kVusPrRowsMax, " rows: not judged by VUS-PR"));
  } else if (labelled >= kLabelledRowsMin) {
    report.vus_pr = VusPrsOf(series, detection.scores);
  }
  return report;
}

void AddUp(DetectionReport& report) {
  double days = 0, judged = 0;
  size_t alarms = 0, false_alarms = 0;
  VusPrs sum;
  for (const SeriesReport& series : report.series) {
    days += series.days;
    alarms += series.alarms;
    false_alarms += series.false_alarms;
    report.incidents += series.incidents;
    report.found += series.found;
    if (!series.vus_pr) continue;
    ++judged;
    sum.ours += series.vus_pr->ours;
    sum.poly += series.vus_pr->poly;
    sum.sub_pca += series.vus_pr->sub_pca;
  }
  if (judged > 0) report.vus_pr = VusPrs{sum.ours / judged, sum.poly / judged, sum.sub_pca / judged};
  if (days == 0) return;
  report.alarms_per_series_day = static_cast<double>(alarms) / days;
  report.false_alarms_per_series_day = static_cast<double>(false_alarms) / days;
}

std::string Figure(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.6g", value) : "null";
}

std::string VusPrFields(const std::optional<VusPrs>& vus_pr) {
  if (!vus_pr) return "\"vus_pr\": null, \"vus_pr_poly\": null, \"vus_pr_sub_pca\": null";
  return absl::StrCat("\"vus_pr\": ", Figure(vus_pr->ours), ", \"vus_pr_poly\": ", Figure(vus_pr->poly),
                      ", \"vus_pr_sub_pca\": ", Figure(vus_pr->sub_pca));
}

std::string NabFields(const std::optional<NabReport>& nab) {
  const auto figure = [&](double value) { return nab ? Figure(value) : "null"; };
  const NabReport of = nab.value_or(NabReport{});
  return absl::StrCat("\"standard\": ", figure(of.standard.normalised),
                      ", \"reward_low_fp\": ", figure(of.low_fp.normalised),
                      ", \"reward_low_fn\": ", figure(of.low_fn.normalised),
                      ", \"standard_heldout_threshold\": ", figure(of.standard_heldout_threshold),
                      ", \"threshold\": ", figure(of.standard.threshold));
}

std::string SeriesJson(const SeriesReport& series) {
  return absl::StrCat("{\"name\": ", JsonString(series.name), ", \"notes\": ", Strings(series.notes),
                      ", \"rows\": ", series.rows, ", \"days\": ", Figure(series.days),
                      ", \"incidents\": ", series.incidents, ", \"found\": ", series.found,
                      ", \"alarms\": ", series.alarms, ", \"false_alarms\": ", series.false_alarms, ", ",
                      VusPrFields(series.vus_pr), "}");
}

}  // namespace

Detection Detect(const LabelledSeries& series) {
  AnomalyDetector detector;
  Detection detection;
  detection.scores.reserve(series.values.size());
  for (size_t row = 0; row < series.values.size(); ++row) {
    const AnomalyVerdict verdict = detector.Observe(series.times[row], series.values[row]);
    detection.scores.push_back(verdict.score);
    if (verdict.alarm) detection.alarms.push_back({row, verdict.kind});
  }
  return detection;
}

DetectionReport JudgeDetector(const std::vector<LabelledSeries>& corpus,
                              const std::function<void(size_t done)>& progress) {
  DetectionReport report;
  std::vector<Detection> detections;
  size_t rows = 0;
  const std::clock_t begin = std::clock();  // of the processor, so that a busy machine does not count
  for (const LabelledSeries& series : corpus) {
    detections.push_back(Detect(series));
    rows += series.values.size();
  }
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  report.nanoseconds_per_sample = 1e9 * seconds / static_cast<double>(std::max<size_t>(rows, 1));
  for (size_t i = 0; i < corpus.size(); ++i) {
    report.series.push_back(ReportOn(corpus[i], detections[i]));
    report.scores.push_back(std::move(detections[i].scores));
    progress(i + 1);
  }
  AddUp(report);
  return report;
}

NabReport JudgeByNab(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores) {
  return {.standard = ScoreNab(corpus, scores, kNabStandard),
          .low_fp = ScoreNab(corpus, scores, kNabLowFalsePositives),
          .low_fn = ScoreNab(corpus, scores, kNabLowFalseNegatives),
          .standard_heldout_threshold = ScoreNabHeldOut(corpus, scores, kNabStandard)};
}

std::string ToJson(const DetectionReport& report, const std::optional<NabReport>& nab) {
  const std::string series = absl::StrJoin(
      report.series, ",\n    ", [](std::string* out, const SeriesReport& one) { out->append(SeriesJson(one)); });
  return absl::StrCat("{\n  ", NabFields(nab), ",\n  ", VusPrFields(report.vus_pr),
                      ",\n  \"alarms_per_series_day\": ", Figure(report.alarms_per_series_day),
                      ", \"false_alarms_per_series_day\": ", Figure(report.false_alarms_per_series_day),
                      ", \"incidents\": ", report.incidents, ", \"found\": ", report.found,
                      ", \"nanoseconds_per_sample\": ", Figure(report.nanoseconds_per_sample),
                      ",\n  \"skipped\": ", Strings(report.skipped), ",\n  \"series\": [\n    ", series, "\n  ]\n}\n");
}

}  // namespace headroom::lab
