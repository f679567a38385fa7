#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/wire/credentials.h"

namespace headroom {

// Why no gRPC connection to this endpoint comes about, in one sentence that says what to do. gRPC itself tells a broken
// handshake from a dead machine by nothing but a text of OpenSSL's, so this makes a connection of its own and looks.
// `credentials` null: it was tried in plaintext. UNAVAILABLE: nobody is there, or nobody answers. UNAUTHENTICATED: one
// side does not believe the other, or only one of them speaks TLS. Blocks for `timeout` at most, and no longer than
// until `gives_up`, which is asked ten times a second; unset: never.
struct WhyNotOptions {
  // kConnection: does not shake hands, where it is known already that nobody answers; handshakes cost the other side.
  enum class Depth { kConnection, kHandshake } depth = Depth::kHandshake;
  const WireCredentials* credentials = nullptr;
  absl::Duration timeout;
  std::function<bool()> gives_up;
};
absl::Status WhyNoConnection(const std::string& endpoint, const WhyNotOptions& options);

}  // namespace headroom
