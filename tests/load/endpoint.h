#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <netinet/in.h>

namespace headroom::load {

// Endpoint: an IPv4 loopback address and a port. No other can be made, so no load can leave this machine.
struct Endpoint {
  uint32_t address = INADDR_LOOPBACK;  // host byte order, always inside 127.0.0.0/8
  uint16_t port = 0;

  std::string ToString() const;
  sockaddr_in ToSocketAddress() const;
  bool operator==(const Endpoint&) const = default;
};

// "127.0.0.1:8080" or "localhost:8080". InvalidArgument says what is wrong, PermissionDenied refuses a host that is not
// loopback.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text);
// "127.0.0.2": the same without a port, for the source of a connection.
absl::StatusOr<uint32_t> ParseLoopbackAddress(absl::string_view text);

}  // namespace headroom::load
