#include "controller/server/election/guarded_provider.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"

namespace headroom {

GuardedProvider::GuardedProvider(std::unique_ptr<Provider> provider, Leadership leadership)
    : provider_(std::move(provider)),
      leadership_(std::move(leadership)),
      is_fenced_(provider_->capabilities().fenced) {}

absl::StatusOr<absl::Duration> GuardedProvider::Allowed(absl::Duration timeout) const {
  const absl::Duration left = leadership_.time_left();
  if (left <= absl::ZeroDuration()) return absl::UnavailableError("this controller does not lead any more");
  if (is_fenced_) return timeout;
  const absl::Duration led_for = leadership_.led_for();
  if (led_for < kCallMax) {
    return absl::UnavailableError(
        absl::StrCat("a call of the controller before may still be under way; asked in ",
                     absl::FormatDuration(absl::Trunc(kCallMax - led_for, absl::Seconds(1)))));
  }
  const absl::Duration allowed = std::min(timeout, kCallMax);
  if (left > allowed) return allowed;
  return absl::UnavailableError("leadership has to be renewed first");
}

absl::StatusOr<int64_t> GuardedProvider::Fence(int64_t term, absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(const absl::Duration allowed, Allowed(timeout));
  return provider_->Fence(term, allowed);
}

absl::StatusOr<NodeId> GuardedProvider::Launch(const LaunchRequest& request, absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(const absl::Duration allowed, Allowed(timeout));
  return provider_->Launch(request, allowed);
}

absl::Status GuardedProvider::Terminate(const NodeId& node, absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(const absl::Duration allowed, Allowed(timeout));
  return provider_->Terminate(node, allowed);
}

}  // namespace headroom
