#include "controller/lab/nab.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "controller/base/check.h"
#include "controller/base/status.h"

namespace headroom::lab {
namespace {

constexpr double kProbationRatio = 0.15;
constexpr size_t kProbationRowsMax = 750;
constexpr double kNothingDetected = 1.1;  // a threshold above every score
constexpr size_t kStampLength = 19;       // "2014-04-10 16:15:00", fractions are dropped

// 1 far before 0, 0 at 0, -1 far after.
double Sigmoid(double y) {
  return y > 3.0 ? -1.0 : 2.0 / (1.0 + std::exp(5.0 * y)) - 1.0;
}

// A row that counts: its score, what it is worth when detected, and the window that it is in (-1: in none).
struct Point {
  double score;
  double value;
  int window;
};

double ValueInWindow(const RowRange& window, size_t row) {
  const double position = -static_cast<double>(window.last - row + 1) / static_cast<double>(window.rows());
  return Sigmoid(position) / Sigmoid(-1.0);
}

double ValueOutside(const RowRange* previous, size_t row) {
  if (previous == nullptr) return -1.0;
  return Sigmoid(static_cast<double>(row - previous->last) / static_cast<double>(previous->last - previous->first));
}

void AppendPoints(const LabelledSeries& series, absl::Span<const double> scores, const NabProfile& profile,
                  int first_window, std::vector<Point>& points) {
  HR_CHECK(scores.size() == series.values.size());
  size_t next = 0;  // the first window that has not ended
  for (size_t row = 0; row < scores.size(); ++row) {
    while (next < series.anomalies.size() && series.anomalies[next].last < row) ++next;
    if (row < NabProbation(scores.size())) continue;
    const bool inside = next < series.anomalies.size() && series.anomalies[next].first <= row;
    if (inside) {
      points.push_back({scores[row], profile.true_positive * ValueInWindow(series.anomalies[next], row),
                        first_window + static_cast<int>(next)});
    } else {
      const RowRange* previous = next == 0 ? nullptr : &series.anomalies[next - 1];
      points.push_back({scores[row], profile.false_positive * ValueOutside(previous, row), -1});
    }
  }
}

// The scorable rows of some files, and what they come to at a threshold.
class Sweep {
 public:
  Sweep(const NabProfile& profile) : profile_(profile) {}  // NOLINT(google-explicit-constructor)

  void Add(const LabelledSeries& series, absl::Span<const double> scores) {
    AppendPoints(series, scores, profile_, windows_, points_);
    windows_ += static_cast<int>(series.anomalies.size());
  }

  double RawAt(double threshold) const {
    std::vector<double> best(static_cast<size_t>(windows_), -profile_.false_negative);
    double outside = 0;
    for (const Point& point : points_) {
      if (point.score < threshold) continue;
      if (point.window < 0) {
        outside += point.value;
      } else {
        double& value = best[static_cast<size_t>(point.window)];
        value = std::max(value, point.value);
      }
    }
    for (double value : best) outside += value;
    return outside;
  }

  // The threshold with the highest raw score; of equal ones the highest.
  NabResult Best() {
    std::stable_sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) { return a.score > b.score; });
    std::vector<double> best(static_cast<size_t>(windows_), -profile_.false_negative);
    double total = null();
    NabResult result{.raw = total, .threshold = kNothingDetected};
    for (size_t i = 0; i < points_.size();) {
      const double threshold = points_[i].score;
      for (; i < points_.size() && points_[i].score == threshold; ++i) total += Gain(points_[i], best);
      if (total > result.raw) result = {.raw = total, .threshold = threshold};
    }
    result.normalised = Normalised(result.raw);
    return result;
  }

  double Normalised(double raw) const {
    const double perfect = windows_ * profile_.true_positive;
    return windows_ == 0 ? 0 : 100.0 * (raw - null()) / (perfect - null());
  }

 private:
  static double Gain(const Point& point, std::vector<double>& best) {
    if (point.window < 0) return point.value;
    double& value = best[static_cast<size_t>(point.window)];
    const double before = value;
    value = std::max(value, point.value);
    return value - before;
  }
  double null() const { return -windows_ * profile_.false_negative; }

  NabProfile profile_;
  int windows_ = 0;
  std::vector<Point> points_;
};

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// "2014-04-10 16:15:00" or with a T, fractions dropped.
absl::StatusOr<absl::Time> ParseStamp(absl::string_view text) {
  absl::Time time;
  std::string error;
  for (const char* form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"}) {
    if (absl::ParseTime(form, text.substr(0, kStampLength), &time, &error)) return time;
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no timestamp"));
}

struct Window {
  std::string begin, end;  // as the labels have them
  absl::Time from, to;     // both included
};
using Windows = std::vector<Window>;

absl::StatusOr<Window> ParseWindow(const google::protobuf::ListValue& ends) {
  if (ends.values_size() != 2) return absl::InvalidArgumentError("a window is not a pair of timestamps");
  Window window{.begin = ends.values(0).string_value(), .end = ends.values(1).string_value()};
  HR_ASSIGN_OR_RETURN(window.from, Annotate(ParseStamp(window.begin), "a window is not a pair of timestamps"));
  HR_ASSIGN_OR_RETURN(window.to, Annotate(ParseStamp(window.end), "a window is not a pair of timestamps"));
  return window;
}

absl::StatusOr<std::map<std::string, Windows>> ParseWindows(const std::string& text) {
  google::protobuf::Struct json;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &json);
  if (!parsed.ok()) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", std::string(parsed.message())));
  std::map<std::string, Windows> windows;
  for (const auto& [file, list] : json.fields()) {
    Windows& of_file = windows[file];
    for (const auto& ends : list.list_value().values()) {
      HR_ASSIGN_OR_RETURN(Window window, Annotate(ParseWindow(ends.list_value()), file));
      of_file.push_back(std::move(window));
    }
    std::sort(of_file.begin(), of_file.end(), [](const Window& a, const Window& b) { return a.from < b.from; });
  }
  return windows;
}

absl::Status AppendRow(absl::string_view line, LabelledSeries& series) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  double value = 0;
  if (cells.size() < 2) return absl::InvalidArgumentError("a row needs a timestamp and a value");
  HR_ASSIGN_OR_RETURN(const absl::Time time, ParseStamp(cells[0]));
  if (!absl::SimpleAtod(cells[1], &value) || !std::isfinite(value)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", cells[1], "\" is no number"));
  }
  series.times.push_back(time);
  series.stamps.emplace_back(cells[0]);
  series.values.push_back(value);
  return absl::OkStatus();
}

absl::StatusOr<LabelledSeries> ParseSeries(const std::string& name, const std::string& text) {
  LabelledSeries series{.name = name};
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    line = absl::StripSuffix(line, "\r");
    if (line_number == 1 || line.empty()) continue;
    HR_RETURN_IF_ERROR(Annotate(AppendRow(line, series), absl::StrCat("line ", line_number)));
  }
  if (series.values.empty()) return absl::InvalidArgumentError("no rows");
  return series;
}

// From the first to the last row within the window's times; nothing: there is none.
std::optional<RowRange> RowsOf(const LabelledSeries& series, const Window& window) {
  std::optional<RowRange> rows;
  for (size_t row = 0; row < series.times.size(); ++row) {
    if (series.times[row] < window.from || series.times[row] > window.to) continue;
    if (!rows) rows = RowRange{row, row};
    rows->last = row;
  }
  return rows;
}

void AddWindows(const Windows& windows, LabelledSeries& series) {
  std::vector<RowRange>& anomalies = series.anomalies;
  for (const Window& window : windows) {
    const std::optional<RowRange> rows = RowsOf(series, window);
    if (!rows) {
      series.notes.push_back(
          absl::StrCat("the window from ", window.begin, " to ", window.end, " has no row: dropped"));
    } else if (!anomalies.empty() && rows->first <= anomalies.back().last) {
      anomalies.back().last = std::max(anomalies.back().last, rows->last);
      series.notes.push_back(absl::StrCat("the window of ", window.begin, " overlaps another: merged"));
    } else {
      anomalies.push_back(*rows);
    }
  }
}

absl::StatusOr<LabelledSeries> LoadOne(const std::string& data, const std::string& name, const Windows& windows) {
  const absl::StatusOr<std::string> text = ReadFile(absl::StrCat(data, "/", name));
  if (!text.ok()) return absl::NotFoundError(absl::StrCat(name, ": there is no such file in ", data));
  HR_ASSIGN_OR_RETURN(LabelledSeries series, Annotate(ParseSeries(name, *text), name));
  AddWindows(windows, series);
  return series;
}

// Files of data that no label names, in order.
std::vector<std::string> Unlabelled(const std::string& data, const std::map<std::string, Windows>& windows) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(data, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".csv") continue;
    std::string name = it->path().lexically_relative(data);
    if (windows.count(name) == 0) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

size_t NabProbation(size_t rows) {
  return std::min(static_cast<size_t>(kProbationRatio * static_cast<double>(rows)), kProbationRowsMax);
}

absl::StatusOr<NabCorpus> LoadNab(const std::string& folder) {
  const std::string labels = absl::StrCat(folder, "/labels/combined_windows.json"),
                    data = absl::StrCat(folder, "/data");
  HR_ASSIGN_OR_RETURN(const std::string text, ReadFile(labels));
  HR_ASSIGN_OR_RETURN(const auto windows, Annotate(ParseWindows(text), labels));
  if (windows.empty()) return absl::InvalidArgumentError(absl::StrCat(labels, ": names no file"));
  NabCorpus corpus;
  for (const auto& [name, of_file] : windows) {
    absl::StatusOr<LabelledSeries> series = LoadOne(data, name, of_file);
    if (series.ok()) {
      corpus.series.push_back(*std::move(series));
    } else {
      corpus.skipped.emplace_back(series.status().message());
    }
  }
  if (corpus.series.empty()) {
    return absl::NotFoundError(absl::StrCat(labels, ": none of its files can be read, the first: ", corpus.skipped[0]));
  }
  for (const std::string& name : Unlabelled(data, windows)) {
    corpus.skipped.push_back(absl::StrCat(name, ": the labels do not name it"));
  }
  return corpus;
}

absl::Status WriteNabResults(const std::string& folder, absl::string_view detector, const LabelledSeries& series,
                             absl::Span<const double> scores) {
  HR_CHECK(scores.size() == series.values.size());
  const std::filesystem::path name(series.name);
  const std::filesystem::path parent = std::filesystem::path(folder) / std::string(detector) / name.parent_path();
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  const std::string path = parent / absl::StrCat(detector, "_", name.filename().string());
  std::ofstream file(path, std::ios::binary);
  file << "timestamp,value,anomaly_score,label\n";
  const std::vector<int> labels = series.Labels();
  for (size_t row = 0; row < scores.size(); ++row) {
    file << absl::StrFormat("%s,%.15g,%.9g,%d\n", series.stamps[row], series.values[row], scores[row], labels[row]);
  }
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

NabResult ScoreNab(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores, const NabProfile& profile) {
  HR_CHECK(corpus.size() == scores.size());
  Sweep sweep(profile);
  for (size_t i = 0; i < corpus.size(); ++i) sweep.Add(corpus[i], scores[i]);
  return sweep.Best();
}

double ScoreNabAt(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores, const NabProfile& profile,
                  double threshold) {
  HR_CHECK(corpus.size() == scores.size());
  Sweep sweep(profile);
  for (size_t i = 0; i < corpus.size(); ++i) sweep.Add(corpus[i], scores[i]);
  return sweep.Normalised(sweep.RawAt(threshold));
}

double ScoreNabHeldOut(const std::vector<LabelledSeries>& corpus, const SeriesScores& scores,
                       const NabProfile& profile) {
  HR_CHECK(corpus.size() == scores.size());
  std::array<Sweep, 2> halves = {Sweep(profile), Sweep(profile)};
  Sweep all(profile);
  for (size_t i = 0; i < corpus.size(); ++i) {
    halves[i % 2].Add(corpus[i], scores[i]);
    all.Add(corpus[i], scores[i]);
  }
  const double raw = halves[0].RawAt(halves[1].Best().threshold) + halves[1].RawAt(halves[0].Best().threshold);
  return all.Normalised(raw);
}

}  // namespace headroom::lab
