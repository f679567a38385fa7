#pragma once

#include <string>

#include "controller/wire/credentials.h"
#include "storage_node/file_server/file_server.h"
#include "storage_node/gate/gate.h"
#include "storage_node/node_log.h"
#include "storage_node/reporter/node_reporter.h"

namespace headroom {

// What the command line of headroom-node says.
struct NodeOptions {
  FileServerOptions server;
  GateLimits limits{.shed_idle_min_age = absl::Seconds(5)};
  LogFormat log_format = LogFormat::kText;
  TlsFiles tls;                  // of the stream to the controller
  NodeReporterOptions reporter;  // without controllers: the node runs alone
  std::string advertised_host;   // as balancers and controllers reach it; empty: that of --listen
};

// ParsedNodeOptions: either options to run with, or an exit code to end with at once (0 after --help; the message is
// already printed).
struct ParsedNodeOptions {
  NodeOptions options;
  bool run = false;
  int exit_code = 0;
};
ParsedNodeOptions ParseNodeOptions(int argc, char** argv);

// The options that make one node behave unlike another. Addresses, names and the controller are left out, so that equal
// nodes have equal hashes.
std::string ConfigHash(const NodeOptions& options);

}  // namespace headroom
