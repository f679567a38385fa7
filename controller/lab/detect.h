#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controller/core/anomaly/detector.h"
#include "controller/lab/labelled_series.h"
#include "controller/lab/nab.h"

// Our anomaly detector judged on labelled series, beside the rivals that see each series whole: what it finds, what it
// says for nothing, and what its score is worth.

namespace headroom::lab {

struct Alarm {
  size_t row = 0;
  AnomalyKind kind = AnomalyKind::kNone;
};

// What the detector says about a series, sample by sample.
struct Detection {
  std::vector<double> scores;  // one a row
  std::vector<Alarm> alarms;
};
Detection Detect(const LabelledSeries& series);

struct VusPrs {
  double ours = 0, poly = 0, sub_pca = 0;
};

struct SeriesReport {
  std::string name;
  std::vector<std::string> notes;  // of the series, and of what was not judged
  size_t rows = 0;
  double days = 0;
  size_t incidents = 0;                 // labelled ranges
  size_t found = 0;                     // of them, with an alarm inside
  size_t alarms = 0, false_alarms = 0;  // false: outside of every labelled range
  std::optional<VusPrs> vus_pr;         // of series with kLabelledRowsMin labelled rows and kVusPrRowsMax rows at most
};

struct DetectionReport {
  std::vector<SeriesReport> series;
  std::vector<std::string> skipped;  // of the input, filled by who read it
  SeriesScores scores;               // as the series
  std::optional<VusPrs> vus_pr;      // means
  double alarms_per_series_day = 0, false_alarms_per_series_day = 0;
  size_t incidents = 0, found = 0;
  double nanoseconds_per_sample = 0;  // of processor time, in this run
};

inline constexpr size_t kLabelledRowsMin = 10;
inline constexpr size_t kVusPrRowsMax = 500'000;  // the rivals take minutes for more

// `progress` is called with the number of series that are done.
DetectionReport JudgeDetector(
    const std::vector<LabelledSeries>& corpus, const std::function<void(size_t done)>& progress = [](size_t) {});

// NAB's figures of those scores: the official one for each profile, and the standard profile with a threshold that was
// learned on other files.
struct NabReport {
  NabResult standard, low_fp, low_fn;
  double standard_heldout_threshold = 0;
};
NabReport JudgeByNab(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores);

// The report as one JSON object: {standard, reward_low_fp, reward_low_fn, standard_heldout_threshold, vus_pr,
// vus_pr_poly, vus_pr_sub_pca, alarms_per_series_day, false_alarms_per_series_day, incidents, found,
// nanoseconds_per_sample, skipped[], series[]}; null where a figure does not exist.
std::string ToJson(const DetectionReport& report, const std::optional<NabReport>& nab);

}  // namespace headroom::lab
