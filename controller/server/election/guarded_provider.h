#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/providers/provider.h"

namespace headroom {

// GuardedProvider: a provider that is only asked to change something while this process leads. One that does not fence
// is asked only if leadership outlasts the call, and, after another leader, only once a call of that one can have no
// effect any more; calls to it are therefore bounded by kCallMax. Until then it says UNAVAILABLE. Thread-safe.
class GuardedProvider final : public Provider {
 public:
  static constexpr absl::Duration kCallMax = absl::Seconds(5);

  struct Leadership {
    std::function<absl::Duration()> time_left;  // zero: none
    std::function<absl::Duration()> led_for;    // since this process leads
  };
  GuardedProvider(std::unique_ptr<Provider> provider, Leadership leadership);

  ProviderCapabilities capabilities() const override { return provider_->capabilities(); }
  absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration timeout) override;
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) override { return provider_->List(timeout); }
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) override;
  absl::Status Terminate(const NodeId& node, absl::Duration timeout) override;

 private:
  // How long a call may take; an error: it may not be made now.
  absl::StatusOr<absl::Duration> Allowed(absl::Duration timeout) const;

  const std::unique_ptr<Provider> provider_;
  const Leadership leadership_;
  const bool is_fenced_;
};

}  // namespace headroom
