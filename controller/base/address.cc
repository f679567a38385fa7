#include "controller/base/address.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <arpa/inet.h>
#include <netinet/in.h>

namespace headroom {

std::string HostPort(absl::string_view host, int port) {
  const bool bare_v6 = absl::StrContains(host, ':') && !absl::StartsWith(host, "[");
  return bare_v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

bool IsLoopbackV4(absl::string_view address) {
  in_addr parsed{};
  return inet_pton(AF_INET, std::string(address).c_str(), &parsed) == 1 && (ntohl(parsed.s_addr) >> 24) == 127;
}

}  // namespace headroom
