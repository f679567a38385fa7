#include "controller/lab/labelled_csv.h"

#include <cmath>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <zlib.h>

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr size_t kRowsMax = 20'000'000;
constexpr int kLineBytesMax = 1 << 16;

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};

// The file line by line; a plain file is read as it is.
class Lines {
 public:
  explicit Lines(const std::string& path) : file_(gzopen(path.c_str(), "rb")), buffer_(kLineBytesMax) {}
  bool open() const { return file_ != nullptr; }
  size_t number() const { return number_; }

  absl::StatusOr<bool> Next(absl::string_view& line) {
    if (gzgets(file_.get(), buffer_.data(), kLineBytesMax) == nullptr) {
      int code = Z_OK;
      const char* message = gzerror(file_.get(), &code);
      if (code == Z_OK || code == Z_STREAM_END) return false;
      return absl::InvalidArgumentError(absl::StrCat("after line ", number_, ": ", message));
    }
    ++number_;
    line = buffer_.data();
    const bool whole = absl::ConsumeSuffix(&line, "\n");
    absl::ConsumeSuffix(&line, "\r");
    if (!whole && line.size() + 1 >= static_cast<size_t>(kLineBytesMax)) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number_, " is longer than ", kLineBytesMax, " bytes"));
    }
    return true;
  }

 private:
  std::unique_ptr<std::remove_pointer_t<gzFile>, CloseGzip> file_;
  std::vector<char> buffer_;
  size_t number_ = 0;
};

// Which column says that a row is an anomaly.
absl::StatusOr<std::optional<size_t>> LabelColumn(absl::string_view header) {
  const std::vector<absl::string_view> names = absl::StrSplit(header, ',');
  if (names[0] != "unix_seconds" || names.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "line 1 must be a header that starts with unix_seconds and a value, not \"", header.substr(0, 80), "\""));
  }
  for (size_t i = 2; i < names.size(); ++i) {
    if (names[i] == "label") return std::optional<size_t>(i);
  }
  return std::optional<size_t>();
}

absl::StatusOr<double> NumberIn(absl::string_view cell) {
  double number = 0;
  if (!absl::SimpleAtod(cell, &number) || !std::isfinite(number)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", cell.substr(0, 80), "\" is no number"));
  }
  return number;
}

absl::Status AppendRow(absl::string_view line, std::optional<size_t> label, LabelledSeries& series) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  if (cells.size() < 2 || (label && cells.size() <= *label)) return absl::InvalidArgumentError("too few columns");
  if (cells[1].empty()) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const double seconds, NumberIn(cells[0]));
  HR_ASSIGN_OR_RETURN(const double value, NumberIn(cells[1]));
  const absl::Time at = absl::UnixEpoch() + absl::Seconds(seconds);
  if (!series.times.empty() && at <= series.times.back()) {
    return absl::InvalidArgumentError(absl::StrCat("the time ", cells[0], " does not come after the one before"));
  }
  if (label && !cells[*label].empty() && cells[*label] != "0") {
    const size_t row = series.values.size();
    const bool goes_on = !series.anomalies.empty() && series.anomalies.back().last + 1 == row;
    if (!goes_on) series.anomalies.push_back({row, row});
    series.anomalies.back().last = row;
  }
  series.times.push_back(at);
  series.stamps.emplace_back(cells[0]);
  series.values.push_back(value);
  return absl::OkStatus();
}

absl::StatusOr<LabelledSeries> Parse(Lines& lines) {
  LabelledSeries series;
  absl::string_view line;
  HR_ASSIGN_OR_RETURN(bool more, lines.Next(line));
  if (!more) return absl::InvalidArgumentError("the file is empty");
  HR_ASSIGN_OR_RETURN(const std::optional<size_t> label, LabelColumn(line));
  while (true) {
    HR_ASSIGN_OR_RETURN(more, lines.Next(line));
    if (!more) break;
    if (line.empty()) continue;
    if (series.values.size() == kRowsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kRowsMax, " rows"));
    }
    HR_RETURN_IF_ERROR(Annotate(AppendRow(line, label, series), absl::StrCat("line ", lines.number())));
  }
  if (series.values.empty()) return absl::InvalidArgumentError("no row has a value");
  return series;
}

}  // namespace

absl::StatusOr<LabelledSeries> LoadLabelledCsv(const std::string& path) {
  Lines lines(path);
  if (!lines.open()) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  HR_ASSIGN_OR_RETURN(LabelledSeries series, Annotate(Parse(lines), path));
  series.name = path;
  return series;
}

}  // namespace headroom
