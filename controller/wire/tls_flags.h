#pragma once

#include <CLI/CLI.hpp>

#include "controller/wire/credentials.h"

namespace headroom {

// The same three flags and environment variables in every program of ours.
inline void AddTlsFlags(CLI::App& app, TlsFiles& files) {
  app.add_option("--tls-cert", files.certificate,
                 "Certificate (chain) of this program, PEM; read again when it changes")
      ->envname("HEADROOM_TLS_CERT");
  app.add_option("--tls-key", files.key, "Its private key, PEM, without a password")->envname("HEADROOM_TLS_KEY");
  app.add_option("--tls-ca", files.authorities, "Who may sign the certificate of the other side, PEM")
      ->envname("HEADROOM_TLS_CA");
}

}  // namespace headroom
