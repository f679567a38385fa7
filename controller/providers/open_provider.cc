#include "controller/providers/open_provider.h"

#include <random>
#include <string>
#include <utility>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/providers/aws/auto_scaling.h"
#include "controller/providers/external.h"
#include "controller/providers/kubernetes/access.h"
#include "controller/providers/kubernetes/kubernetes.h"
#include "controller/providers/local.h"
#include "controller/providers/simulated.h"

namespace headroom {
namespace {

absl::StatusOr<OpenedProvider> OpenLocal(const v1::Policy& policy, const ProviderSurroundings& surroundings) {
  HR_ASSIGN_OR_RETURN(std::unique_ptr<LocalProvider> local,
                      LocalProvider::Open({.settings = policy.provider().local(),
                                           .state_dir = surroundings.state_dir,
                                           .cluster = policy.cluster(),
                                           .controller_address = surroundings.controller_address,
                                           .say = surroundings.say}));
  const int asked = policy.provider().local().initial_count();
  auto first_nodes = [raw = local.get(), count = asked > 0 ? asked : policy.nodes().min()] {
    return Annotate(raw->Begin(count), "start the first nodes");
  };
  return OpenedProvider{.provider = std::move(local), .first_nodes = std::move(first_nodes)};
}

absl::StatusOr<OpenedProvider> OpenSimulated(const Config& config) {
  auto world = std::make_unique<SimulatedProvider>(
      SimulatedProviderOptions{.settings = config.message.provider().simulated(),
                               .report_interval = config.policy.control.report_interval,
                               .start = SystemClock().Now()});
  SimulatedProvider* const raw = world.get();
  return OpenedProvider{.provider = std::move(world), .world = raw};
}

absl::StatusOr<OpenedProvider> OpenKubernetes(const v1::KubernetesProvider& settings,
                                              const ProviderSurroundings& surroundings) {
  kubernetes::KubernetesProviderOptions options{
      .name_space = settings.namespace_(), .workload = settings.workload(), .still_leads = surroundings.still_leads};
  options.say = surroundings.say;
  const std::string& kubeconfig = settings.kubeconfig().empty() ? surroundings.kubeconfig : settings.kubeconfig();
  HR_ASSIGN_OR_RETURN(options.access, kubernetes::FindAccess({.path = kubeconfig, .context = settings.context()},
                                                             kubernetes::ProcessEnvironment()));
  HR_ASSIGN_OR_RETURN(auto provider, kubernetes::KubernetesProvider::Open(std::move(options)));
  return OpenedProvider{.provider = std::move(provider)};
}

absl::StatusOr<OpenedProvider> OpenAws(const v1::AwsProvider& settings, const ProviderSurroundings& surroundings) {
  static const SystemClock* const kClock = new SystemClock();
  aws::Environment environment = kubernetes::ProcessEnvironment();
  if (!settings.profile().empty()) environment["AWS_PROFILE"] = settings.profile();
  std::string region = settings.region();
  if (region.empty()) region = environment["AWS_REGION"];
  if (region.empty()) region = environment["AWS_DEFAULT_REGION"];
  if (region.empty())
    return absl::FailedPreconditionError("no region: set provider.aws.region (for example eu-west-1) or $AWS_REGION");
  HR_ASSIGN_OR_RETURN(auto provider, aws::AutoScalingProvider::Open(
                                         {.group = settings.group(),
                                          .region = region,
                                          .endpoint = settings.endpoint(),
                                          .credentials = aws::DefaultSources(environment, region, aws::RealFetch()),
                                          .say = surroundings.say,
                                          .seed = std::random_device()()},
                                         *kClock));
  return OpenedProvider{.provider = std::move(provider)};
}

absl::StatusOr<OpenedProvider> OpenExternal(const v1::Policy& policy) {
  HR_ASSIGN_OR_RETURN(auto provider, ExternalProvider::Open({.address = policy.provider().external().address(),
                                                             .cluster = policy.cluster()}));
  return OpenedProvider{.provider = std::move(provider)};
}

absl::StatusOr<OpenedProvider> Open(const Config& config, const ProviderSurroundings& surroundings) {
  const v1::Provider& provider = config.message.provider();
  switch (provider.kind_case()) {
    case v1::Provider::kLocal:
      return OpenLocal(config.message, surroundings);
    case v1::Provider::kSimulated:
      return OpenSimulated(config);
    case v1::Provider::kKubernetes:
      return OpenKubernetes(provider.kubernetes(), surroundings);
    case v1::Provider::kAws:
      return OpenAws(provider.aws(), surroundings);
    case v1::Provider::kExternal:
      return OpenExternal(config.message);
    case v1::Provider::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the policy names none");
}

}  // namespace

absl::StatusOr<OpenedProvider> OpenProvider(const Config& config, const ProviderSurroundings& surroundings) {
  HR_ASSIGN_OR_RETURN(OpenedProvider opened, Annotate(Open(config, surroundings), "provider"));
  return opened;
}

}  // namespace headroom
