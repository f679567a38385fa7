#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace headroom::sim {

// One admitted connection of a simulated node: busy with a request, or idle and kept alive.
struct Connection {
  static constexpr int32_t kNone = -1;
  uint32_t serial = 0;  // grows when the slot is given back, so that timers of its past are known as such
  int32_t node = kNone, client = 0;
  bool busy = false, leaked = false;                   // leaked: its client will never use it
  bool is_error = false, is_retry = false;             // of what it serves
  int64_t since_nanos = 0;                             // busy or idle since
  int64_t service_nanos = 0, device_nanos = 0;         // of what it serves
  uint32_t request = 0, attempt = 0;                   // whom it serves while busy
  int32_t older = kNone, newer = kNone;                // idle: neighbours in the node's list by idle time
  int32_t client_older = kNone, client_newer = kNone;  // idle: neighbours among those that this client may use
};

// Idle connections of one node, by idle time.
struct IdleList {
  int32_t oldest = Connection::kNone, newest = Connection::kNone;
};
// The most recently used idle connection of each client: where it takes one from.
using NewestOfClient = std::vector<int32_t>;

// ConnectionPool: all connections of the cluster, by index. Taking, giving back and every list operation are O(1).
class ConnectionPool {
 public:
  int32_t Take(int32_t node, int32_t client);
  void GiveBack(int32_t index);
  Connection& operator[](int32_t index) { return connections_[static_cast<size_t>(index)]; }
  const Connection& operator[](int32_t index) const { return connections_[static_cast<size_t>(index)]; }
  int32_t size() const { return static_cast<int32_t>(connections_.size()); }

  // A leaked connection is in the list, and is nobody's newest.
  void LinkIdle(IdleList& list, NewestOfClient& newest, int32_t index);
  void UnlinkIdle(IdleList& list, NewestOfClient& newest, int32_t index);
  // The client's most recently used idle connection, or kNone.
  static int32_t NewestOf(const NewestOfClient& newest, int32_t client);

 private:
  std::vector<Connection> connections_;
  std::vector<int32_t> free_;
};

}  // namespace headroom::sim
