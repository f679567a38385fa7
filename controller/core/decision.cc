#include "controller/core/decision.h"

#include <algorithm>
#include <array>

namespace headroom {

absl::string_view CauseName(Cause cause) {
  static constexpr std::array<absl::string_view, kCauseCount> kNames = {
      "none",        "cannot_tell", "limit_exhausted_by_surge",
      "retry_storm", "bad_deploy",  "software_errors",
      "network",     "slow_disk",   "cpu_bound",
      "hot_node",    "client_leak", "report_loss",
      "imbalance"};
  // A journal that a later release wrote may name others.
  const auto index = static_cast<size_t>(cause);
  return kNames[index < kNames.size() ? index : static_cast<size_t>(Cause::kCannotTell)];
}

bool Acts(const Decision& decision) {
  return std::any_of(decision.actions.begin(), decision.actions.end(), [](const Action& action) {
    const auto* grant = std::get_if<GrantLimits>(&action.body);
    if (grant != nullptr) return !grant->renewal;
    return !std::holds_alternative<ListMachines>(action.body) && !std::holds_alternative<SetServers>(action.body);
  });
}

}  // namespace headroom
