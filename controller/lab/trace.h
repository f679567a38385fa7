#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Traces: demand over time, as files. A trace file is CSV, plain or gzipped, whose header begins with `unix_seconds`;
// each row is the START of an interval and its values. An absent row is a gap, an empty cell is unknown, 0 is 0.
//
// Repaired, and said in `notes`: rows out of order are sorted, of rows with one time the last counts, a fraction of a
// second is dropped, a negative value and the words nan, null, na and none are unknown, a last line without an end is
// taken as it stands. Cells may be quoted, but hold no comma. Refused, with the line: a value that is no number or is
// infinite, a time that is no unix second, a row with fewer cells than the header names, a line of over 64 KiB, a file
// that ends in the middle, more than kTraceRowsMax rows. A file without two rows or without any known value is refused,
// too.
//
// Memory: 16 bytes a row, twice that while it grows: at most 256 MiB for a file of any size.

namespace headroom::lab {

inline constexpr size_t kTraceRowsMax = 8 << 20;
inline constexpr size_t kTraceLineBytesMax = 64 << 10;

struct TraceSample {
  int64_t unix_seconds = 0;
  double value = 0;  // NaN: unknown
};

struct Trace {
  std::string name;                  // of the file, without folder and ending; with ":column" where one was asked for
  std::string column;                // that was read
  absl::Duration step;               // the median distance of rows
  std::vector<TraceSample> samples;  // times rise strictly; at least two
  std::vector<std::string> notes;    // what was repaired, one sentence each
};

// Demand is never negative; what else is measured may be.
enum class Negatives { kUnknown, kKept };

// Reads FILE or FILE:COLUMN; without a column the first one after the time.
absl::StatusOr<Trace> ReadTrace(absl::string_view source, Negatives negatives = Negatives::kUnknown);

// Whether the step is longer. Up to 5 % more is jitter where some rows are as near.
bool IsCoarserThan(const Trace& trace, absl::Duration step_max);

// A source's file, without its column.
std::string TraceFile(absl::string_view source);

// The trace as a file's text.
std::string TraceCsv(const Trace& trace);
// Writes it, gzipped where the name ends in .gz.
absl::Status WriteTrace(const Trace& trace, const std::string& path);

struct TraceFolder {
  std::vector<std::string> files;    // by name
  std::vector<std::string> skipped;  // "notes.csv: its header does not begin with unix_seconds"
};

// The traces directly in a folder. A folder that cannot be read is an error; one without a trace is not.
absl::StatusOr<TraceFolder> FindTraces(const std::string& folder);
// Of several sources, each a folder or FILE or FILE:COLUMN.
absl::StatusOr<TraceFolder> CollectTraces(const std::vector<std::string>& sources);

}  // namespace headroom::lab
