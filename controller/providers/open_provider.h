#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "controller/providers/provider.h"
#include "controller/runtime/config.h"

namespace headroom {

class SimulatedProvider;

// What a provider may need to know of the daemon that opens it.
struct ProviderSurroundings {
  std::string state_dir;
  std::string controller_address;              // where nodes on this machine report, host:port
  std::function<void(absl::string_view)> say;  // one line for the log
  std::function<bool()> still_leads;           // asks the election anew; null: there is none
  std::string kubeconfig;                      // of Kubernetes' workloads whose policy names none; empty: as usual
};

struct OpenedProvider {
  std::unique_ptr<Provider> provider;
  std::function<absl::Status()> first_nodes;  // as Daemon::Parts has it
  SimulatedProvider* world = nullptr;         // the provider, where it is also the nodes and their time
};

// The one place that knows every kind of provider: opens what the policy names. The errors of the provider, its message
// said to be the provider's.
absl::StatusOr<OpenedProvider> OpenProvider(const Config& config, const ProviderSurroundings& surroundings);

}  // namespace headroom
