#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace headroom::load {

using ConnectionId = uint32_t;
using RequestId = uint32_t;

// ClientPool: the connections of one client to one target, as an HTTP client library keeps them: the idle one that was
// used last goes out first, at most `connections_max` are open (opening ones count), and whoever finds none waits in
// line. Pure bookkeeping, not thread-safe.
class ClientPool {
 public:
  enum class Grant { kReuse, kOpen, kWait };
  struct Answer {
    Grant grant;
    ConnectionId connection;  // with kReuse
  };

  // What `request` may do. kOpen has reserved the place; kWait has put the request in line.
  Answer Acquire(RequestId request, int connections_max);
  // Can the first in line go on now?
  bool CanServe(int connections_max) const { return !line_.empty() && (!idle_.empty() || open_ < connections_max); }
  RequestId TakeFirst();
  // The request no longer waits.
  void Leave(RequestId request);

  void Return(ConnectionId connection) { idle_.push_back(connection); }
  // A connection that was busy or opening is gone.
  void Closed() { --open_; }
  // An idle connection is gone.
  void ClosedIdle(ConnectionId connection);

  int open() const { return open_; }
  const std::vector<ConnectionId>& idle() const { return idle_; }

 private:
  int open_ = 0;
  std::vector<ConnectionId> idle_;  // the last is the one used last
  std::deque<RequestId> line_;
};

}  // namespace headroom::load
