#include "tests/load/endpoint.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <arpa/inet.h>

#include "controller/base/status.h"

namespace headroom::load {

std::string Endpoint::ToString() const {
  return absl::StrFormat("%d.%d.%d.%d:%d", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255,
                         port);
}

sockaddr_in Endpoint::ToSocketAddress() const {
  sockaddr_in socket_address{};
  socket_address.sin_family = AF_INET;
  socket_address.sin_addr.s_addr = htonl(address);
  socket_address.sin_port = htons(port);
  return socket_address;
}

absl::StatusOr<uint32_t> ParseLoopbackAddress(absl::string_view text) {
  if (text == "localhost") return uint32_t{INADDR_LOOPBACK};
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not an IPv4 address such as 127.0.0.1"));
  }
  const uint32_t host_order = ntohl(address.s_addr);
  if (host_order >> 24 != IN_LOOPBACKNET) {
    return absl::PermissionDeniedError(absl::StrCat(
        "'", text, "' is not a loopback address: headroom-load sends load to 127.0.0.0/8 on this machine only"));
  }
  return host_order;
}

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text) {
  const size_t colon = text.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not host:port, as in 127.0.0.1:8080"));
  }
  HR_ASSIGN_OR_RETURN(const uint32_t address, ParseLoopbackAddress(text.substr(0, colon)));
  return Endpoint{.address = address, .port = static_cast<uint16_t>(port)};
}

}  // namespace headroom::load
