#include "controller/runtime/config.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/core/policy_parse.h"
#include "controller/runtime/storage_cluster.h"
#include "controller/runtime/yaml_message.h"

namespace headroom {
namespace {

void SetSeconds(google::protobuf::Duration& duration, int64_t seconds) {
  duration.set_seconds(seconds);
}

// The defaults of providers stand here, once.
void FillDefaults(v1::LocalProvider& local, int nodes_min) {
  if (!local.has_connection_limit()) local.set_connection_limit(1000);
  if (!local.has_backlog()) local.set_backlog(128);
  if (!local.has_idle_timeout()) SetSeconds(*local.mutable_idle_timeout(), 60);
  if (local.address().empty()) local.set_address("127.0.0.1");
  if (!local.has_initial_count()) local.set_initial_count(nodes_min);
  if (!local.has_restart()) local.set_restart(true);
}

void AddPhase(v1::SimulatedProvider& simulated, int64_t seconds, double requests_per_second, int64_t clients) {
  v1::SimulatedPhase& phase = *simulated.add_phases();
  SetSeconds(*phase.mutable_duration(), seconds);
  phase.set_requests_per_second(requests_per_second);
  phase.set_clients(clients);
}

void FillDefaults(v1::SimulatedProvider& simulated, int nodes_min) {
  if (!simulated.has_speed()) simulated.set_speed(1);
  if (!simulated.has_seed()) simulated.set_seed(1);
  if (!simulated.has_initial_count()) simulated.set_initial_count(nodes_min);
  if (!simulated.has_connection_limit()) simulated.set_connection_limit(200);
  if (!simulated.has_boot()) SetSeconds(*simulated.mutable_boot(), 45);
  if (!simulated.has_service_time()) simulated.mutable_service_time()->set_nanos(20'000'000);
  if (!simulated.has_knee()) simulated.set_knee(300);
  if (!simulated.has_idle_timeout()) SetSeconds(*simulated.mutable_idle_timeout(), 30);
  if (simulated.phases_size() > 0) return;
  AddPhase(simulated, 1200, 450, 250);
  AddPhase(simulated, 600, 1350, 750);
}

using Faults = std::vector<PolicyFault>;

template <typename T>
void Within(Faults& faults, absl::string_view path, T value, T low, T high) {
  if (value >= low && value <= high) return;
  faults.push_back({std::string(path), absl::StrCat(value, " is outside ", low, " to ", high)});
}

void Positive(Faults& faults, absl::string_view path, const google::protobuf::Duration& duration) {
  if (duration.seconds() > 0 || (duration.seconds() == 0 && duration.nanos() > 0)) return;
  faults.push_back({std::string(path), "must be longer than nothing"});
}

// The default is nodes.min, whose own check is enough.
void CheckInitial(Faults& faults, absl::string_view path, int count, const NodePolicy& nodes) {
  if (count != nodes.min) Within(faults, path, count, 0, nodes.max);
}

void Check(const v1::LocalProvider& local, const NodePolicy& nodes, Faults& faults) {
  if (local.data_dir().empty()) faults.push_back({"provider.local.data_dir", "is required"});
  Within<int64_t>(faults, "provider.local.connection_limit", local.connection_limit(), 1, 1'000'000);
  Within(faults, "provider.local.backlog", local.backlog(), 1, 65'535);
  Positive(faults, "provider.local.idle_timeout", local.idle_timeout());
  // Admin ports are 1000 higher than data ports.
  if (local.first_port() != 0)
    Within(faults, "provider.local.first_port", local.first_port(), 1024, 64'535 - nodes.max);
  if (!IsLoopbackV4(local.address())) {
    faults.push_back(
        {"provider.local.address", absl::StrCat("\"", local.address(), "\" is no loopback address (127.0.0.0/8)")});
  }
  CheckInitial(faults, "provider.local.initial_count", local.initial_count(), nodes);
}

void Check(const v1::SimulatedProvider& simulated, const NodePolicy& nodes, Faults& faults) {
  Within(faults, "provider.simulated.speed", simulated.speed(), 0.01, 1000.0);
  CheckInitial(faults, "provider.simulated.initial_count", simulated.initial_count(), nodes);
  Within<int64_t>(faults, "provider.simulated.connection_limit", simulated.connection_limit(), 1, 1'000'000);
  Within<int64_t>(faults, "provider.simulated.knee", simulated.knee(), 1, 1'000'000);
  Positive(faults, "provider.simulated.boot", simulated.boot());
  Positive(faults, "provider.simulated.service_time", simulated.service_time());
  Positive(faults, "provider.simulated.idle_timeout", simulated.idle_timeout());
  for (int i = 0; i < simulated.phases_size(); ++i) {
    const v1::SimulatedPhase& phase = simulated.phases(i);
    const std::string path = absl::StrCat("provider.simulated.phases[", i, "]");
    Positive(faults, path + ".duration", phase.duration());
    Within(faults, path + ".requests_per_second", phase.requests_per_second(), 0.0, 1e7);
    Within<int64_t>(faults, path + ".clients", phase.clients(), 0, 10'000'000);
  }
}

void Check(const v1::KubernetesProvider& kubernetes, Faults& faults) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(kubernetes.workload(), absl::MaxSplits('/', 1));
  const auto& [kind, name] = parts;
  const bool known = kind == "statefulset" || kind == "deployment" || absl::StrContains(kind, ".");
  if (known && !name.empty() && !absl::StrContains(name, "/")) return;
  faults.push_back({"provider.kubernetes.workload",
                    kubernetes.workload().empty()
                        ? "is required: statefulset/NAME, deployment/NAME or PLURAL.GROUP/NAME"
                        : absl::StrCat("\"", kubernetes.workload(),
                                       "\" is none of statefulset/NAME, deployment/NAME and PLURAL.GROUP/NAME")});
}

void Check(const v1::AwsProvider& aws, Faults& faults) {
  if (aws.group().empty()) faults.push_back({"provider.aws.group", "is required: the name of an Auto Scaling group"});
  const bool url = aws.endpoint().empty() || absl::StartsWith(aws.endpoint(), "https://") ||
                   absl::StartsWith(aws.endpoint(), "http://");
  if (!url)
    faults.push_back(
        {"provider.aws.endpoint", absl::StrCat("\"", aws.endpoint(), "\" is no URL (https://HOST[:PORT])")});
}

void Check(const v1::ExternalProvider& external, Faults& faults) {
  const absl::string_view address = external.address();
  const absl::string_view host = address.substr(0, address.rfind(':'));
  int port = 0;
  const bool is_port = host.size() < address.size() && absl::SimpleAtoi(address.substr(host.size() + 1), &port) &&
                       port > 0 && port < 65'536;
  const bool here = IsLoopbackV4(host) || host == "localhost" || host == "[::1]";
  if ((here && is_port) || (absl::StartsWith(address, "unix:") && address.size() > 5)) return;
  faults.push_back({"provider.external.address",
                    address.empty() ? "is required: 127.0.0.1:PORT or unix:PATH"
                                    : absl::StrCat("\"", address,
                                                   "\" is neither 127.0.0.1:PORT nor unix:PATH: it is "
                                                   "spoken to in the clear, so it must be on this machine")});
}

bool IsStatefulSet(const std::string& workload) {
  return absl::StartsWith(workload, "statefulset/") || absl::StartsWith(workload, "statefulsets.apps/");
}

// A StatefulSet that keeps order (podManagementPolicy OrderedReady, the default) removes an unready pod only if none
// before it is unready, and a drained one is: two of them would wait for each other for ever.
void KeepOrder(const v1::Nodes& said, Config& config) {
  config.policy.nodes.removal = Removal::kHighestOrdinal;
  config.message.mutable_nodes()->set_removal(v1::REMOVAL_HIGHEST_ORDINAL);
  if (said.has_remove_count_max()) return;
  config.policy.nodes.remove_count_max = 1;
  config.message.mutable_nodes()->set_remove_count_max(1);
}

// Takes `message` over into a Config with every default; the faults say whether it is good.
Config Complete(const v1::Policy& message, Faults& faults) {
  PolicyReading reading = ReadPolicy(message);
  faults = std::move(reading.faults);
  Config config{PolicyToMessage(reading.policy), std::move(reading.policy)};
  v1::Provider& provider = *config.message.mutable_provider();
  provider = message.provider();
  const NodePolicy& nodes = config.policy.nodes;
  if (provider.has_local()) {
    FillDefaults(*provider.mutable_local(), nodes.min);
    Check(provider.local(), nodes, faults);
  } else if (provider.has_simulated()) {
    FillDefaults(*provider.mutable_simulated(), nodes.min);
    Check(provider.simulated(), nodes, faults);
  } else if (provider.has_kubernetes()) {
    Check(provider.kubernetes(), faults);
    if (IsStatefulSet(provider.kubernetes().workload())) KeepOrder(message.nodes(), config);
  } else if (provider.has_aws()) {
    Check(provider.aws(), faults);
  } else if (provider.has_external()) {
    Check(provider.external(), faults);
  } else {
    faults.push_back({"provider", "is required: one of local, simulated, kubernetes, aws, external"});
  }
  return config;
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view yaml, absl::string_view name) {
  v1::Policy message;
  YamlReading reading = ReadYamlOrObject(yaml, kStorageCluster, message);
  if (message.cluster().empty()) message.set_cluster(reading.object_name);
  if (message.provider().has_kubernetes() && message.provider().kubernetes().namespace_().empty())
    message.mutable_provider()->mutable_kubernetes()->set_namespace_(reading.object_namespace);
  Faults faults;
  Config config = Complete(message, faults);
  std::vector<YamlFault> values;
  for (PolicyFault& fault : faults) values.push_back({.path = std::move(fault.path), .text = std::move(fault.text)});
  HR_RETURN_IF_ERROR(YamlStatus(name, std::move(reading), values));
  config.policy.source = std::string(yaml);
  return config;
}

absl::StatusOr<std::string> ReadPolicyFile(const std::string& path) {
  return ReadYamlFile(path, "the policy");
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  HR_ASSIGN_OR_RETURN(const std::string yaml, ReadPolicyFile(path));
  return ParseConfig(yaml, path);
}

absl::StatusOr<Config> ConfigFromMessage(const v1::Policy& message) {
  Faults faults;
  Config config = Complete(message, faults);
  config.policy.source = ConfigToYaml(config.message);
  if (faults.empty()) return config;
  return absl::InvalidArgumentError(absl::StrJoin(faults, "\n", [](std::string* out, const PolicyFault& fault) {
    absl::StrAppend(out, fault.path, ": ", fault.text);
  }));
}

std::string ConfigToYaml(const v1::Policy& message) {
  return WriteYaml(message);
}

}  // namespace headroom
