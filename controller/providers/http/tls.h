#pragma once

#include <string>

#include "absl/status/status.h"
#include <openssl/ssl.h>

#include "controller/providers/http/transport.h"

namespace headroom {

// Makes `context` trust and show what `material` says, and nothing that it trusted before. TLS 1.2 and later.
// FAILED_PRECONDITION with what is wrong with which PEM.
absl::Status UseTls(SSL_CTX* context, const TlsMaterial& material);

// What OpenSSL complained of last on this thread, and forgets: "no start line".
std::string TakeOpenSslError();

}  // namespace headroom
