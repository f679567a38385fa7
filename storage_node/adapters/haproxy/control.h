#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "storage_node/adapters/haproxy/stats.h"
#include "storage_node/adapters/haproxy/stats_socket.h"

namespace headroom::haproxy {

// The one backend that is driven, and the frontend before it.
struct Place {
  std::string backend, frontend;
};

// Where a server's data and health checks are: "ip:port" each, IPv6 in brackets.
struct Endpoints {
  std::string data;
  std::string check;  // "": the data address
};

// A server to add. It begins with no limit in mode tcp, where the slots are at the nodes.
struct NewServer {
  std::string name;  // the node id
  Endpoints endpoints;
  int weight = 100;                          // 1..256
  std::optional<int64_t> session_count_max;  // applied in mode http only
};

// One server as HAProxy shows it.
struct ServerView {
  std::string name;
  std::string address;        // as in Endpoints; "": HAProxy does not tell
  std::string check_address;  // "": not told, or the data address
  bool up = false;            // running for HAProxy, whether or not it is drained
  bool draining = false;      // drained by command
  bool maintenance = false;   // in maintenance: takes nothing, is not checked
  // Never yet enabled: added with a check that was not switched on. Only an interrupted addition looks so.
  bool half_added = false;
  int64_t session_count = 0, queue_count = 0;
  int64_t session_count_max = 0;  // 0: no limit
  int64_t weight = 0;
  // Counters since the server was added.
  int64_t connect_error_count = 0, error_count = 0, completed_count = 0, retry_count = 0;

  bool IsServing() const { return up && !draining && !maintenance; }
};

// The backend as HAProxy shows it.
struct BackendView {
  std::string life;  // of the HAProxy process; another one has forgotten what was set at run time
  std::string version;
  bool holds_slots = false;         // mode http: connections are reused, so the slots and the queue are in HAProxy
  std::vector<ServerView> servers;  // in HAProxy's order
  int64_t backend_queue_count = 0;  // waits for any server
  int64_t frontend_session_count = 0, frontend_session_count_max = 0;
};

// "ip:port" in the form in which HAProxy prints it. INVALID_ARGUMENT: a name that would have to be resolved, or no
// port.
absl::StatusOr<std::string> CanonicalEndpoint(absl::string_view endpoint);
// OK if it can be the name of a backend or frontend: 1 to 253 of [A-Za-z0-9_.:-].
absl::Status CheckProxyName(absl::string_view name);
// OK if it can be the name of a server that is a node: 1 to 253 of [a-z0-9.-]. Other servers are strangers: nobody's.
absl::Status CheckServerName(absl::string_view name);

// HaproxyControl: typed commands to one backend of one HAProxy, each guarded before it is sent and read back after.
//
// Why the guards (all seen with 2.6.12): "set maxconn frontend F junk" is taken as 0, which blocks all traffic, and
// "set maxconn server B/S -4" as four billion, both without a word of complaint; server maxconn 0 means no limit; every
// refusal is an answer like any other, so a setter's answer must be empty and an adder's must be the known sentence.
// "add server" takes nothing from default-server, hence every setting is spelled out.
//
// Not thread-safe. Errors: those of the CommandLine; INVALID_ARGUMENT (guard), NOT_FOUND (no such server or proxy),
// ALREADY_EXISTS, PERMISSION_DENIED (the socket is not at level admin), FAILED_PRECONDITION (HAProxy refused, its words
// follow), ABORTED (the read-back shows something else).
class HaproxyControl {
 public:
  static constexpr int64_t kSessionsMax = 10'000'000;  // a limit beyond is a mistake

  HaproxyControl(CommandLine& line, Place place) : line_(line), place_(std::move(place)) {}

  absl::StatusOr<BackendView> Look();

  // Adds, switches checks on and lets traffic in; HAProxy itself would leave it in maintenance. A failure in the middle
  // leaves a `half_added` server, which Enable() completes.
  absl::Status Add(const NewServer& server);
  absl::Status Enable(absl::string_view name);
  // No new sessions; the open ones live on. Ready() takes it back.
  absl::Status Drain(absl::string_view name);
  absl::Status Ready(absl::string_view name);
  // Deletes a drained server that has no sessions, static ones included. HAProxy refuses while connections exist: then
  // the server is left drained (FAILED_PRECONDITION); ask again later. Nothing is ever cut.
  absl::Status Remove(absl::string_view name);

  // Open sessions stay where they are, new ones go to the new address.
  absl::Status SetEndpoints(absl::string_view name, const Endpoints& endpoints);
  // Nothing: no limit. 0 is refused, because to HAProxy it is no limit. Below the present load: waits for sessions to
  // end.
  absl::Status SetServerLimit(absl::string_view name, std::optional<int64_t> session_count_max);
  absl::Status SetWeight(absl::string_view name, int weight);
  // 1 to the process's own limit.
  absl::Status SetFrontendLimit(int64_t session_count_max);

 private:
  enum class State { kReady, kDrain, kMaintenance };

  std::string Target(absl::string_view name) const;
  absl::StatusOr<std::string> AskText(absl::string_view command);  // trimmed; known refusals become errors
  absl::Status Tell(absl::string_view command);                    // the answer must be empty
  absl::Status SetState(absl::string_view name, State state);
  absl::StatusOr<ServerState> ReadState(absl::string_view name);
  absl::StatusOr<StatRow> ReadRow(absl::string_view proxy, absl::string_view name, StatRow::Kind kind);

  CommandLine& line_;
  const Place place_;
};

}  // namespace headroom::haproxy
