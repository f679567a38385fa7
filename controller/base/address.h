#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace headroom {

// "10.0.0.1:80", "[::1]:80": an address and a port as one word, whatever the address is.
std::string HostPort(absl::string_view host, int port);
// An address in 127.0.0.0/8, in full.
bool IsLoopbackV4(absl::string_view address);

}  // namespace headroom
