#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

namespace headroom {

// What the kernel says of listening sockets.
struct ListenerQueue {
  int64_t waiting_count = 0;      // connections in the accept queue; one more than the maximum fits
  int64_t waiting_count_max = 0;  // the backlog, as the kernel capped it
  std::optional<int64_t>
      drop_count;  // arrivals that the socket dropped, most of them for a full queue. Absent: unknown

  bool operator==(const ListenerQueue&) const = default;
};

// Of a socket that this process holds: two getsockopt calls, about 1 us.
absl::StatusOr<ListenerQueue> ReadOwnListener(int socket);

// Of whoever listens on `port` in this network namespace: sock_diag over netlink, which the kernel filters. Sockets
// that share the port (SO_REUSEPORT, IPv4 and IPv6) are added up. NOT_FOUND: nobody listens there.
absl::StatusOr<ListenerQueue> ReadListenersOn(uint16_t port);

}  // namespace headroom
