#include "storage_node/adapters/haproxy/stats.h"

#include <array>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "controller/base/status.h"

namespace headroom::haproxy {
namespace {

// Bits of srv_admin_state and srv_check_state (HAProxy's server-t.h and check-t.h).
constexpr int64_t kMaintenanceBits = 0x01 | 0x02 | 0x04 | 0x20;
constexpr int64_t kDrainBits = 0x08 | 0x10;
constexpr int64_t kCheckConfigured = 0x02;
constexpr int64_t kCheckEnabled = 0x04;
constexpr int64_t kStateStopped = 0;

std::vector<std::string> SplitCsv(absl::string_view line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += line[i++];
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  return cells;
}

// Cells of one row by column name; remembers the first thing that was wrong with them.
class Row {
 public:
  Row(const std::map<std::string, size_t>& columns, std::vector<std::string> cells)
      : columns_(columns), cells_(std::move(cells)) {}

  std::string Text(const char* column) const {
    const auto found = columns_.find(column);
    return found == columns_.end() || found->second >= cells_.size() ? "" : cells_[found->second];
  }
  int64_t Number(const char* column) {
    const std::string text = Text(column);
    int64_t value = 0;
    if (text.empty() || text == "-") return 0;
    if (!absl::SimpleAtoi(text, &value) || value < 0) {
      fault_ =
          absl::InvalidArgumentError(absl::StrCat("column ", column, " is not a count: '", text.substr(0, 40), "'"));
      return 0;
    }
    return value;
  }
  const absl::Status& fault() const { return fault_; }

 private:
  const std::map<std::string, size_t>& columns_;
  std::vector<std::string> cells_;
  absl::Status fault_;
};

absl::StatusOr<std::map<std::string, size_t>> Columns(const std::vector<std::string>& names,
                                                      const std::vector<const char*>& needed) {
  std::map<std::string, size_t> columns;
  for (size_t i = 0; i < names.size(); ++i) columns.emplace(names[i], i);
  for (const char* name : needed) {
    if (columns.count(name) == 0) return absl::InvalidArgumentError(absl::StrCat("no column ", name));
  }
  return columns;
}

std::vector<std::string> SplitWords(absl::string_view line) {
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

StatRow ToStatRow(Row& row) {
  StatRow stat;
  const int64_t kind = row.Number("type");
  stat.kind = static_cast<StatRow::Kind>(std::min<int64_t>(kind, 3));
  stat.proxy = row.Text("pxname"), stat.name = row.Text("svname");
  stat.status = row.Text("status"), stat.mode = row.Text("mode"), stat.address = row.Text("addr");
  stat.queue_count = row.Number("qcur");
  stat.session_count = row.Number("scur");
  stat.session_count_max = row.Number("slim");
  stat.session_total_count = row.Number("stot");
  stat.connect_error_count = row.Number("econ");
  stat.retry_count = row.Number("wretr");
  for (const char* column : {"hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"}) {
    stat.response_count += row.Number(column);
  }
  stat.error_count = row.Number("hrsp_5xx");
  stat.weight = row.Number("uweight");
  return stat;
}

ServerState ToServerState(Row& row) {
  ServerState state;
  state.backend = row.Text("be_name"), state.name = row.Text("srv_name");
  const int64_t admin = row.Number("srv_admin_state");
  state.running = row.Number("srv_op_state") != kStateStopped;
  state.drain = (admin & kDrainBits) != 0;
  state.maintenance = (admin & kMaintenanceBits) != 0;
  const int64_t check = row.Number("srv_check_state");
  if ((check & kCheckConfigured) != 0) state.check = ServerState::Check::kOff;
  if ((check & kCheckEnabled) != 0) state.check = ServerState::Check::kOn;
  state.check_address = row.Text("srv_check_addr");
  state.check_port = row.Number("srv_check_port");
  return state;
}

absl::Status CheckRowCount(size_t rows) {
  if (rows < static_cast<size_t>(kRowsMax)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("more than ", kRowsMax, " rows"));
}

}  // namespace

absl::StatusOr<std::vector<StatRow>> ParseStat(absl::string_view text) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  if (lines.empty() || !absl::StartsWith(lines[0], "# ")) {
    return absl::InvalidArgumentError("show stat: the answer does not begin with a header");
  }
  HR_ASSIGN_OR_RETURN(const auto columns,
                      Annotate(Columns(SplitCsv(lines[0].substr(2)),
                                       {"pxname", "svname", "status", "type", "mode", "qcur", "scur", "slim"}),
                               "show stat"));
  HR_RETURN_IF_ERROR(CheckRowCount(lines.size()));
  std::vector<StatRow> rows;
  for (size_t i = 1; i < lines.size(); ++i) {
    Row row(columns, SplitCsv(lines[i]));
    StatRow stat = ToStatRow(row);
    HR_RETURN_IF_ERROR(Annotate(row.fault(), absl::StrCat("show stat: row ", i)));
    rows.push_back(std::move(stat));
  }
  return rows;
}

absl::StatusOr<std::vector<ServerState>> ParseServersState(absl::string_view text) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  if (lines.size() < 2 || absl::StripAsciiWhitespace(lines[0]) != "1" || !absl::StartsWith(lines[1], "# ")) {
    return absl::InvalidArgumentError("show servers state: not version 1 of the format");
  }
  HR_ASSIGN_OR_RETURN(const auto columns,
                      Annotate(Columns(SplitWords(lines[1].substr(2)),
                                       {"be_name", "srv_name", "srv_op_state", "srv_admin_state", "srv_check_state"}),
                               "show servers state"));
  HR_RETURN_IF_ERROR(CheckRowCount(lines.size()));
  std::vector<ServerState> rows;
  for (size_t i = 2; i < lines.size(); ++i) {
    Row row(columns, SplitWords(lines[i]));
    ServerState state = ToServerState(row);
    HR_RETURN_IF_ERROR(Annotate(row.fault(), absl::StrCat("show servers state: row ", i)));
    rows.push_back(std::move(state));
  }
  return rows;
}

absl::StatusOr<ProcessInfo> ParseInfo(absl::string_view text) {
  std::map<std::string, size_t> columns;
  std::vector<std::string> values;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    const std::vector<std::string> pair = absl::StrSplit(line, absl::MaxSplits(": ", 1));
    if (pair.size() != 2) continue;
    columns.emplace(pair[0], values.size());
    values.push_back(std::string(absl::StripAsciiWhitespace(pair[1])));
    HR_RETURN_IF_ERROR(CheckRowCount(values.size()));
  }
  Row row(columns, std::move(values));
  ProcessInfo info;
  info.version = row.Text("Version");
  info.life = absl::StrCat(row.Number("Pid"), "-", row.Number("Start_time_sec"));
  info.session_count_max = row.Number("Maxconn");
  info.stopping = row.Number("Stopping") != 0;
  HR_RETURN_IF_ERROR(Annotate(row.fault(), "show info"));
  if (info.version.empty() || row.Number("Pid") == 0) {
    return absl::InvalidArgumentError("show info: neither version nor pid in the answer");
  }
  return info;
}

}  // namespace headroom::haproxy
