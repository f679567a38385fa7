#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headroom::haproxy {

// What HAProxy's answers say, as values. Pure functions of the text: no throw, bounded in rows, columns found by the
// names in the header line, so a release that adds columns is read and one that lacks a needed one is refused
// (INVALID_ARGUMENT). A cell that should be a number and is not refuses the whole answer: half a fleet is worse
// than none. Source: HAProxy 2.6 management guide, 9.1 "CSV format" and 9.3.

inline constexpr int kRowsMax = 100'000;

// One row of "show stat". Empty cells are 0, except where noted. Counters are since HAProxy's start (a server's: since
// it was added).
struct StatRow {
  enum class Kind { kFrontend = 0, kBackend = 1, kServer = 2, kListener = 3 };
  Kind kind = Kind::kFrontend;
  std::string proxy, name, status, mode;
  std::string address;              // servers: ip:port; "" when the socket's level hides it
  int64_t queue_count = 0;          // qcur
  int64_t session_count = 0;        // scur
  int64_t session_count_max = 0;    // slim; 0: no limit
  int64_t session_total_count = 0;  // stot
  int64_t connect_error_count = 0;  // econ
  int64_t retry_count = 0;          // wretr
  int64_t response_count = 0;       // sum of hrsp_*; mode http only
  int64_t error_count = 0;          // hrsp_5xx
  int64_t weight = 0;               // uweight: as asked for, not as in effect
};
absl::StatusOr<std::vector<StatRow>> ParseStat(absl::string_view text);

// One row of "show servers state": what "show stat" hides, such as a drain under a failed check.
struct ServerState {
  std::string backend, name;
  bool running = false;      // operational state: running or starting
  bool drain = false;        // an administrator's drain
  bool maintenance = false;  // an administrator's or the configuration's maintenance
  enum class Check { kNone, kOff, kOn } check = Check::kNone;
  std::string check_address;  // "" or "-": as the data address
  int64_t check_port = 0;
};
absl::StatusOr<std::vector<ServerState>> ParseServersState(absl::string_view text);

// "show info".
struct ProcessInfo {
  std::string version;
  std::string life;  // pid and start: another value is another process, and what was set at run time is gone
  int64_t session_count_max = 0;  // Maxconn, the bound of every frontend's
  bool stopping = false;          // an old process that only finishes its sessions
};
absl::StatusOr<ProcessInfo> ParseInfo(absl::string_view text);

}  // namespace headroom::haproxy
