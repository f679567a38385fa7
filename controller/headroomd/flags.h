#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include <CLI/CLI.hpp>

#include "controller/server/daemon.h"
#include "controller/server/election/open_election.h"
#include "controller/wire/credentials.h"

namespace headroom {

// The command line of headroomd.
struct Flags {
  std::string config, state_dir, log_format = "text", advertise;
  bool is_operator = false;             // the clusters are those of Kubernetes' StorageClusters
  std::vector<std::string> namespaces;  // of those; "*": all; none: that of the credentials
  std::string kubeconfig;
  bool allow_foreign_providers = false;  // in StorageClusters
  TlsFiles tls;
  ElectionOptions election;
  int lease_seconds = 15;
  char** argv = nullptr;
  Daemon::Options daemon{.grpc_port = 7600, .http_port = 7601, .version = HEADROOM_VERSION};
};

void AddFlags(CLI::App& app, Flags& flags);
// What flags ask for that does not go together, in one sentence.
absl::Status CheckFlags(const Flags& flags);
// What a process that begins anew leaves to itself in its environment: the identity that it had.
inline constexpr char kFormerIdentity[] = "HEADROOM_FORMER_IDENTITY";

// What the election is told of this process; its ports are known by now. Those who run the same `cluster` elect one of
// themselves; empty: those who run all clusters of a namespace.
absl::Status CompleteElection(Flags& flags, absl::string_view cluster = "");

}  // namespace headroom
