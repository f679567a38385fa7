#include "controller/lab/trace.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <zlib.h>

#include "controller/base/status.h"

namespace headroom::lab {
namespace {

constexpr absl::string_view kTimeColumn = "unix_seconds";
constexpr int64_t kUnixSecondsMax = 100'000'000'000;  // the year 5138; milliseconds of today are above it
constexpr double kJitterRatio = 1.05;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// Lines of a file, plain or gzipped, in bounded memory.
class LineReader {
 public:
  explicit LineReader(const std::string& path) : file_(gzopen(path.c_str(), "rb")), buffer_(kTraceLineBytesMax, '\0') {}
  ~LineReader() {
    if (file_ != nullptr) gzclose(file_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  bool is_open() const { return file_ != nullptr; }
  int line_number() const { return line_number_; }
  // Whether the last line stopped where the file does, before an end of line.
  bool is_open_ended() const { return open_ended_; }

  // The next line without its end; nothing: the file has ended. The view lives until the next call.
  absl::StatusOr<std::optional<absl::string_view>> Next() {
    if (gzgets(file_, buffer_.data(), static_cast<int>(buffer_.size())) == nullptr) return AtEnd();
    ++line_number_;
    absl::string_view line(buffer_.data());
    if (absl::ConsumeSuffix(&line, "\n")) {
      absl::ConsumeSuffix(&line, "\r");
      return line;
    }
    if (line.size() + 1 == buffer_.size()) return Fault("the line is longer than 64 KiB");
    if (const auto end = AtEnd(); !end.ok()) return end;
    // Without an end of line only the file's end stops a line; anything else is a zero byte.
    if (gzeof(file_) == 0) return Fault("a zero byte: this is no text");
    open_ended_ = true;
    return line;
  }

  absl::Status Fault(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", line_number_, ": ", what));
  }

 private:
  absl::StatusOr<std::optional<absl::string_view>> AtEnd() const {
    int code = Z_OK;
    const char* text = gzerror(file_, &code);
    if (code == Z_OK || code == Z_STREAM_END) return std::nullopt;
    if (code == Z_BUF_ERROR) {
      return absl::DataLossError(absl::StrCat("the file is cut short after line ", line_number_));
    }
    return absl::DataLossError(absl::StrCat("cannot be read after line ", line_number_, ": ", text));
  }

  gzFile file_;
  std::string buffer_;
  int line_number_ = 0;
  bool open_ended_ = false;
};

struct Source {
  std::string path;
  std::string column;  // empty: the first
};

// A colon is the column's only where no file has the whole name.
Source SplitSource(absl::string_view source) {
  std::error_code ignored;
  const size_t colon = source.rfind(':');
  if (colon == absl::string_view::npos || std::filesystem::exists(std::string(source), ignored)) {
    return {std::string(source), ""};
  }
  return {std::string(source.substr(0, colon)), std::string(source.substr(colon + 1))};
}

// A cell without the blanks and the quotes around it.
absl::string_view Bare(absl::string_view cell) {
  cell = absl::StripAsciiWhitespace(cell);
  if (cell.size() < 2 || cell.front() != '"' || cell.back() != '"') return cell;
  return absl::StripAsciiWhitespace(cell.substr(1, cell.size() - 2));
}

std::string NameOf(const std::string& path) {
  const std::string file = std::filesystem::path(path).filename();
  absl::string_view name = file;
  absl::ConsumeSuffix(&name, ".gz");
  absl::ConsumeSuffix(&name, ".csv");
  return std::string(name);
}

// The columns a header names, the time's first; an error where it is no trace's header.
absl::StatusOr<std::vector<std::string>> ReadHeader(LineReader& reader) {
  if (!reader.is_open()) return absl::NotFoundError("cannot be opened");
  HR_ASSIGN_OR_RETURN(const auto line, reader.Next());
  if (!line.has_value()) return absl::InvalidArgumentError("the file is empty");
  absl::string_view header = *line;
  absl::ConsumePrefix(&header, "\xEF\xBB\xBF");
  std::vector<std::string> columns;
  for (const absl::string_view column : absl::StrSplit(header, ',')) columns.emplace_back(Bare(column));
  if (columns.front() != kTimeColumn) return reader.Fault("its header does not begin with unix_seconds");
  if (columns.size() < 2) return reader.Fault("the header names no value beside unix_seconds");
  return columns;
}

absl::StatusOr<size_t> FindColumn(const std::vector<std::string>& columns, const std::string& wanted) {
  if (wanted.empty()) return 1;
  const auto found = std::find(columns.begin() + 1, columns.end(), wanted);
  if (found != columns.end()) return static_cast<size_t>(found - columns.begin());
  return absl::NotFoundError(absl::StrCat("there is no column ", wanted, "; its columns are ",
                                          absl::StrJoin(columns.begin() + 1, columns.end(), ", ")));
}

// How often something was repaired, and where first.
struct Repair {
  int count = 0;
  int first_line = 0;
  void Add(int line) {
    if (count++ == 0) first_line = line;
  }
};

// RowReader: rows into samples, with what was repaired on the way.
class RowReader {
 public:
  RowReader(LineReader& reader, size_t columns, size_t column, Negatives negatives)
      : reader_(reader), columns_(columns), column_(column), negatives_(negatives) {}

  absl::Status Read(Trace& trace) {
    while (true) {
      HR_ASSIGN_OR_RETURN(const auto line, reader_.Next());
      if (!line.has_value()) break;
      if (absl::StripAsciiWhitespace(*line).empty()) continue;
      if (trace.samples.size() == kTraceRowsMax) {
        return reader_.Fault(
            absl::StrCat("more than ", kTraceRowsMax, " rows; give a shorter range or a coarser step"));
      }
      HR_ASSIGN_OR_RETURN(const TraceSample sample, ReadRow(*line));
      if (!trace.samples.empty() && sample.unix_seconds < trace.samples.back().unix_seconds) {
        out_of_order_.Add(reader_.line_number());
      }
      trace.samples.push_back(sample);
    }
    Say(trace);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<TraceSample> ReadRow(absl::string_view line) {
    cells_ = absl::StrSplit(line, ',');
    if (cells_.size() != columns_) {
      return reader_.Fault(absl::StrCat(cells_.size(), " cells where the header names ", columns_));
    }
    TraceSample sample;
    HR_ASSIGN_OR_RETURN(sample.unix_seconds, ReadTime(Bare(cells_[0])));
    HR_ASSIGN_OR_RETURN(sample.value, ReadValue(Bare(cells_[column_])));
    return sample;
  }

  absl::StatusOr<int64_t> ReadTime(absl::string_view text) {
    double seconds = 0;
    if (!absl::SimpleAtod(text, &seconds) || !std::isfinite(seconds)) {
      return reader_.Fault(absl::StrCat("\"", text, "\" is no unix second"));
    }
    if (seconds < 0 || seconds > static_cast<double>(kUnixSecondsMax)) {
      return reader_.Fault(absl::StrCat("the time ", text, " is no unix second of our age; is it in milliseconds?"));
    }
    if (seconds != std::floor(seconds)) fractions_.Add(reader_.line_number());
    return static_cast<int64_t>(seconds);
  }

  absl::StatusOr<double> ReadValue(absl::string_view text) {
    if (text.empty()) return kUnknown;
    double value = 0;
    for (const char* word : {"nan", "null", "na", "none"}) {
      if (!absl::EqualsIgnoreCase(text, word)) continue;
      words_.Add(reader_.line_number());
      return kUnknown;
    }
    if (!absl::SimpleAtod(text, &value)) return reader_.Fault(absl::StrCat("\"", text, "\" is no number"));
    if (!std::isfinite(value)) return reader_.Fault(absl::StrCat("the value ", text, " is not finite"));
    if (value >= 0 || negatives_ == Negatives::kKept) return value;
    negative_.Add(reader_.line_number());
    return kUnknown;
  }

  void Say(Trace& trace) const {
    const auto say = [&trace](const Repair& repair, absl::string_view what) {
      if (repair.count == 0) return;
      trace.notes.push_back(absl::StrCat(repair.count, " ", what, " (first in line ", repair.first_line, ")"));
    };
    say(out_of_order_, "times before their predecessor: the rows were sorted");
    say(fractions_, "times with a fraction of a second: it was dropped");
    say(negative_, "negative values: taken as unknown");
    say(words_, "values that are a word for nothing: taken as unknown");
    if (reader_.is_open_ended()) {
      trace.notes.push_back(absl::StrCat("line ", reader_.line_number(),
                                         ", the last, has no end: it is taken as it stands, but the file may be cut "
                                         "short in it"));
    }
  }

  LineReader& reader_;
  const size_t columns_, column_;
  const Negatives negatives_;
  std::vector<absl::string_view> cells_;
  Repair out_of_order_, fractions_, negative_, words_;
};

bool Earlier(const TraceSample& a, const TraceSample& b) {
  return a.unix_seconds < b.unix_seconds;
}

void SortAndMerge(Trace& trace) {
  std::vector<TraceSample>& samples = trace.samples;
  if (!std::is_sorted(samples.begin(), samples.end(), Earlier)) {
    std::stable_sort(samples.begin(), samples.end(), Earlier);
  }
  size_t kept = 0, merged = 0;
  int64_t first_merged = 0;
  for (const TraceSample& sample : samples) {
    if (kept > 0 && samples[kept - 1].unix_seconds == sample.unix_seconds) {
      samples[kept - 1] = sample;
      if (merged++ == 0) first_merged = sample.unix_seconds;
    } else {
      samples[kept++] = sample;
    }
  }
  samples.resize(kept);
  if (merged > 0) {
    trace.notes.push_back(
        absl::StrCat(merged, " rows repeat a time (first ", first_merged, "): the last of each counts"));
  }
}

absl::Duration MedianStep(const std::vector<TraceSample>& samples) {
  std::vector<int64_t> distances(samples.size() - 1);
  for (size_t i = 0; i + 1 < samples.size(); ++i) distances[i] = samples[i + 1].unix_seconds - samples[i].unix_seconds;
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>((distances.size() - 1) / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return absl::Seconds(*middle);
}

void SayGaps(Trace& trace) {
  const int64_t step = absl::ToInt64Seconds(trace.step);
  int64_t gaps = 0, longest = 0, early = 0, unknown = 0;
  for (size_t i = 0; i < trace.samples.size(); ++i) {
    unknown += std::isnan(trace.samples[i].value) ? 1 : 0;
    if (i == 0) continue;
    const int64_t distance = trace.samples[i].unix_seconds - trace.samples[i - 1].unix_seconds;
    if (distance > step) ++gaps, longest = std::max(longest, distance - step);
    if (distance < step) ++early;
  }
  if (gaps > 0)
    trace.notes.push_back(absl::StrCat(gaps, gaps == 1 ? " gap, of " : " gaps, the longest of ",
                                       absl::FormatDuration(absl::Seconds(longest))));
  if (early > 0)
    trace.notes.push_back(
        absl::StrCat(early, " rows come sooner than a step after the last: each value counts until the next row"));
  if (unknown > 0) trace.notes.push_back(absl::StrCat(unknown, " values are unknown"));
}

absl::StatusOr<Trace> ReadFrom(const Source& source, Negatives negatives) {
  LineReader reader(source.path);
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> columns, ReadHeader(reader));
  HR_ASSIGN_OR_RETURN(const size_t column, FindColumn(columns, source.column));
  Trace trace;
  trace.name = source.column.empty() ? NameOf(source.path) : absl::StrCat(NameOf(source.path), ":", source.column);
  trace.column = columns[column];
  HR_RETURN_IF_ERROR(RowReader(reader, columns.size(), column, negatives).Read(trace));
  SortAndMerge(trace);
  if (trace.samples.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", trace.samples.size(), " rows; two are needed to know the step"));
  }
  const auto known = [](const TraceSample& sample) { return !std::isnan(sample.value); };
  if (std::none_of(trace.samples.begin(), trace.samples.end(), known)) {
    return absl::InvalidArgumentError(absl::StrCat("column ", trace.column, " has no known value"));
  }
  trace.step = MedianStep(trace.samples);
  SayGaps(trace);
  return trace;
}

}  // namespace

absl::StatusOr<Trace> ReadTrace(absl::string_view source, Negatives negatives) {
  const Source split = SplitSource(source);
  std::error_code ignored;
  if (std::filesystem::is_directory(split.path, ignored))
    return absl::InvalidArgumentError(
        absl::StrCat(split.path, ": is a folder and holds no journal.db; name a trace of it"));
  return Annotate(ReadFrom(split, negatives), split.path);
}

bool IsCoarserThan(const Trace& trace, absl::Duration step_max) {
  if (trace.step <= step_max) return false;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (size_t i = 1; i < trace.samples.size(); ++i) {
    least = std::min(least, trace.samples[i].unix_seconds - trace.samples[i - 1].unix_seconds);
  }
  return trace.step > kJitterRatio * step_max || absl::Seconds(least) > step_max;
}

std::string TraceFile(absl::string_view source) {
  return SplitSource(source).path;
}

std::string TraceCsv(const Trace& trace) {
  std::string rows = absl::StrCat(kTimeColumn, ",", trace.column, "\n");
  for (const TraceSample& sample : trace.samples) {
    const std::string value = std::isnan(sample.value) ? "" : absl::StrFormat("%.6g", sample.value);
    absl::StrAppend(&rows, sample.unix_seconds, ",", value, "\n");
  }
  return rows;
}

absl::Status WriteTrace(const Trace& trace, const std::string& path) {
  const gzFile file = gzopen(path.c_str(), absl::EndsWith(path, ".gz") ? "wb" : "wbT");
  if (file == nullptr) return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
  const std::string rows = TraceCsv(trace);
  const bool written = gzfwrite(rows.data(), rows.size(), 1, file) == 1;
  const bool closed = gzclose(file) == Z_OK;
  if (!written || !closed) return absl::DataLossError(absl::StrCat(path, ": could not be written whole"));
  return absl::OkStatus();
}

absl::StatusOr<TraceFolder> FindTraces(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> paths;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) paths.push_back(it->path());
  }
  if (error) return absl::NotFoundError(absl::StrCat(folder, ": ", error.message()));
  std::sort(paths.begin(), paths.end());
  TraceFolder found;
  for (const std::string& path : paths) {
    LineReader reader(path);
    if (const auto header = ReadHeader(reader); header.ok()) {
      found.files.push_back(path);
    } else {
      found.skipped.push_back(absl::StrCat(path, ": ", header.status().message()));
    }
  }
  return found;
}

absl::StatusOr<TraceFolder> CollectTraces(const std::vector<std::string>& sources) {
  TraceFolder all;
  for (const std::string& source : sources) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(source, ignored)) {
      all.files.push_back(source);
      continue;
    }
    HR_ASSIGN_OR_RETURN(const TraceFolder found, FindTraces(source));
    all.files.insert(all.files.end(), found.files.begin(), found.files.end());
    all.skipped.insert(all.skipped.end(), found.skipped.begin(), found.skipped.end());
  }
  return all;
}

}  // namespace headroom::lab
