#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "controller/lab/labelled_series.h"

// The Numenta Anomaly Benchmark, version 1.1, scored by its own rules (numenta/NAB, nab/scorer.py, sweeper.py and
// optimizer.py): the first 15 % of a file, at most 750 rows, are not scored; the earliest detection in a window counts,
// the earlier the better; every detected row outside of windows costs, little just after a window; one threshold serves
// the whole corpus. Pure functions but for the two that read and write files.

namespace headroom::lab {

// What a right and a wrong detection are worth.
struct NabProfile {
  absl::string_view name;
  double true_positive = 1.0;
  double false_positive = 0.11;
  double false_negative = 1.0;
};
inline constexpr NabProfile kNabStandard = {"standard", 1.0, 0.11, 1.0};
inline constexpr NabProfile kNabLowFalsePositives = {"reward_low_FP_rate", 1.0, 0.22, 1.0};
inline constexpr NabProfile kNabLowFalseNegatives = {"reward_low_FN_rate", 1.0, 0.11, 2.0};

struct NabCorpus {
  std::vector<LabelledSeries> series;  // in the order of their names; what was repaired is in their notes
  std::vector<std::string> skipped;    // "a/x.csv: there is no such file in data", one sentence each
};

// The files under DIR/data that DIR/labels/combined_windows.json names. A window is the rows within its times, as NAB
// has it: windows without a row are dropped, those that overlap are merged, and it is noted. What is skipped: a named
// file that is not there or is broken (with its line), and a file that the labels do not name. NOT_FOUND: the labels,
// or all of their files; INVALID_ARGUMENT: broken labels.
absl::StatusOr<NabCorpus> LoadNab(const std::string& folder);

// Writes `scores` as NAB's results: FOLDER/DETECTOR/<category>/DETECTOR_<file>, with the columns timestamp, value,
// anomaly_score and label. Creates what is missing.
absl::Status WriteNabResults(const std::string& folder, absl::string_view detector, const LabelledSeries& series,
                             absl::Span<const double> scores);

// One score per row of each series, in [0, 1].
using SeriesScores = std::vector<std::vector<double>>;

struct NabResult {
  double normalised = 0;  // 100: perfect; 0: never a detection
  double raw = 0;
  double threshold = 1.1;  // rows with a score of at least this are detections
};

// The threshold with the highest raw score on these files, and that score: NAB's official figure. `scores` is as long
// as `corpus`, each as long as its series. Without windows the normalised score is 0.
NabResult ScoreNab(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores, const NabProfile& profile);

// Each half of the files (every other one by name) scored at the threshold that is best on the other half.
double ScoreNabHeldOut(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores,
                       const NabProfile& profile);

// The score at a given threshold.
double ScoreNabAt(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores, const NabProfile& profile,
                  double threshold);

// Of the first rows of a file of `rows` rows: not scored.
size_t NabProbation(size_t rows);

}  // namespace headroom::lab
