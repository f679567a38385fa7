#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "controller/providers/http/transport.h"

// AWS Signature Version 4: who asks, shown by a keyed hash of the request. Source: "Signature Version 4 signing
// process" of the AWS General Reference; vectors of its test suite.

namespace headroom::aws {

struct Credentials {
  std::string access_key_id, secret_access_key;
  std::string session_token;  // of temporary ones
  absl::Time expires_at = absl::InfiniteFuture();
};

struct SigningScope {
  std::string region, service;
  absl::Time at;
};

// Adds X-Amz-Date, X-Amz-Security-Token where there is a token, and Authorization, which covers these, `host` and every
// header that the request has. The target is one path and query as they are sent: encoded once, not twice as S3's.
void Sign(HttpRequest& request, const std::string& host, const Credentials& credentials, const SigningScope& scope);

// What is hashed, for those who look for the difference.
std::string CanonicalRequest(const HttpRequest& request, const std::string& host);

// "a=1&b=2" of such pairs, each percent-encoded.
std::string FormOf(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace headroom::aws
