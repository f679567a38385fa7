#include "controller/headroomd/flags.h"

#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/wire/endpoints.h"
#include "controller/wire/tls_flags.h"

namespace headroom {
namespace {

// systemd's StateDirectory= where it is given.
std::string DefaultStateDir() {
  const char* given = std::getenv("STATE_DIRECTORY");
  return given != nullptr && *given != '\0' ? given : "./headroom-state";
}

void AddCommonFlags(CLI::App& app, Flags& flags) {
  flags.state_dir = DefaultStateDir();
  app.add_option("--config", flags.config, "Policy file (YAML); examples are in deploy/examples");
  app.add_option("--state-dir", flags.state_dir, "Folder of the journal and of local nodes, made where it is missing")
      ->capture_default_str();
  app.add_option("--listen", flags.daemon.listen, "IP address to listen on")->capture_default_str();
  app.add_option("--grpc-port", flags.daemon.grpc_port,
                 "Port of nodes and headroomctl; 0: any free one, the last one where it is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--http-port", flags.daemon.http_port, "Port of /metrics and /healthz; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  AddTlsFlags(app, flags.tls);
  app.add_flag_callback(
      "--insecure", [&flags] { flags.daemon.plaintext = Daemon::Options::Plaintext::kAnywhere; },
      "Listen without TLS also where others reach it: whoever does can steer the cluster");
  app.add_option("--log-format", flags.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.set_version_flag("--version", std::string("headroomd ") + HEADROOM_VERSION);
}

// CLI11's own transformer prints its whole map where a word is wrong.
CLI::Validator ElectionWord() {
  static const std::map<std::string, ElectionKind> kinds = {{"none", ElectionKind::kNone},
                                                            {"file", ElectionKind::kFile},
                                                            {"kubernetes", ElectionKind::kKubernetes},
                                                            {"etcd", ElectionKind::kEtcd}};
  return CLI::Validator(
      [](std::string& word) -> std::string {
        const auto kind = kinds.find(CLI::detail::to_lower(word));
        if (kind == kinds.end()) return word + " is no election: none, file, kubernetes or etcd";
        word = std::to_string(static_cast<int>(kind->second));
        return "";
      },
      "");
}

void AddElectionFlags(CLI::App& app, Flags& flags) {
  ElectionOptions& election = flags.election;
  app.add_option("--election", election.kind,
                 "Several controllers of which one leads: none, file (on one machine), kubernetes (a Lease), etcd")
      ->transform(ElectionWord())
      ->type_name("none|file|kubernetes|etcd")
      ->group("Election");
  app.add_option("--election-name", election.name,
                 "Name of the Lease, or of etcd's folder /headroom/NAME (default: headroom-CLUSTER)")
      ->group("Election");
  app.add_option("--election-namespace", election.name_space,
                 "Kubernetes namespace of Lease and state (default: that of the credentials)")
      ->group("Election");
  app.add_option("--election-kubeconfig", election.kubeconfig,
                 "Credentials for the Lease (default: the pod's service account, else $KUBECONFIG or ~/.kube/config)")
      ->group("Election");
  app.add_option("--etcd", election.endpoints, "etcd's members: 10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")
      ->delimiter(',')
      ->group("Election");
  app.add_option("--lease-seconds", flags.lease_seconds, "A leader that is not heard of is followed after so long")
      ->check(CLI::Range(3, 600))
      ->capture_default_str()
      ->group("Election");
  app.add_option("--advertise", flags.advertise,
                 "HOST:PORT at which nodes and headroomctl reach this controller (default: --listen and --grpc-port)")
      ->group("Election");
}

void AddOperatorFlags(CLI::App& app, Flags& flags) {
  app.add_flag("--operator", flags.is_operator, "Run the clusters of Kubernetes' StorageClusters instead of --config's")
      ->group("Operator");
  app.add_option("--namespaces", flags.namespaces,
                 "Namespaces of the StorageClusters: storage,backup, or '*' for all (default: that of the credentials)")
      ->delimiter(',')
      ->group("Operator");
  app.add_option("--kubeconfig", flags.kubeconfig,
                 "Credentials (default: the pod's service account, else $KUBECONFIG or ~/.kube/config)")
      ->group("Operator");
  app.add_flag("--allow-foreign-providers", flags.allow_foreign_providers,
               "StorageClusters may name provider aws and external, which act with this controller's rights")
      ->group("Operator");
}

// Where others reach this controller.
absl::StatusOr<std::string> AdvertisedAddress(const Flags& flags) {
  if (!flags.advertise.empty() && !CheckEndpoint(flags.advertise).ok())
    return absl::InvalidArgumentError(
        absl::StrCat("--advertise ", flags.advertise, " is no HOST:PORT, as 10.0.0.7:7600"));
  if (!flags.advertise.empty()) return flags.advertise;
  if (flags.daemon.listen == "0.0.0.0" || flags.daemon.listen == "::")
    return absl::InvalidArgumentError(
        "others have to be told where they reach this controller: give --advertise HOST:PORT with --election");
  return HostPort(flags.daemon.listen, flags.daemon.grpc_port);
}

}  // namespace

void AddFlags(CLI::App& app, Flags& flags) {
  AddCommonFlags(app, flags);
  AddOperatorFlags(app, flags);
  AddElectionFlags(app, flags);
}

absl::Status CheckFlags(const Flags& flags) {
  if (flags.is_operator && !flags.config.empty()) {
    return absl::InvalidArgumentError(
        "--operator takes the policies from StorageClusters: leave --config out, or --operator");
  }
  if (!flags.is_operator && flags.config.empty()) {
    return absl::InvalidArgumentError(
        "give a policy with --config FILE (examples are in deploy/examples), or --operator to run the StorageClusters "
        "of "
        "Kubernetes");
  }
  if (!flags.is_operator && (!flags.namespaces.empty() || !flags.kubeconfig.empty())) {
    return absl::InvalidArgumentError(
        "--namespaces and --kubeconfig are for --operator; with --config the policy's provider.kubernetes says them");
  }
  return absl::OkStatus();
}

absl::Status CompleteElection(Flags& flags, absl::string_view cluster) {
  if (flags.election.name.empty()) {
    flags.election.name = cluster.empty() ? "headroom" : absl::StrCat("headroom-", cluster);
  }
  flags.election.state_dir = flags.state_dir;
  flags.election.lease_duration = absl::Seconds(flags.lease_seconds);
  if (flags.election.kind == ElectionKind::kNone) return absl::OkStatus();
  for (const std::string& endpoint : flags.election.endpoints) {
    if (!CheckEndpoint(endpoint).ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--etcd ", endpoint, " is no HOST:PORT; give its members without a scheme: 10.0.0.1:2379"));
    }
  }
  HR_ASSIGN_OR_RETURN(const std::string address, AdvertisedAddress(flags));
  flags.election.identity = MakeIdentity(address);
  const char* const former = std::getenv(kFormerIdentity);
  flags.election.former_identity = former == nullptr ? "" : former;
  unsetenv(kFormerIdentity);  // it is of no child of this process
  return absl::OkStatus();
}

}  // namespace headroom
