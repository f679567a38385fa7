#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace headroom {

// A certificate with its key, PEM.
struct Issued {
  std::string certificate, key;
};

// An authority of a test's own, valid from yesterday until tomorrow. Fails by HR_CHECK.
class Authority {
 public:
  explicit Authority(absl::string_view name);
  // For a server or a client of these names ("DNS:localhost", "IP:127.0.0.1", "URI:..."). Negative: it has expired.
  Issued Issue(const std::vector<std::string>& names, absl::Duration lasts = absl::Hours(24)) const;
  std::string pem() const;

 private:
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
};

}  // namespace headroom
