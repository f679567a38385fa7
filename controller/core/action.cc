#include "controller/core/action.h"

#include <array>

namespace headroom {

absl::string_view ActionKind(const Action& action) {
  static constexpr std::array<absl::string_view, std::variant_size_v<ActionBody>> kNames = {
      "grant_limits", "shed", "launch", "drain", "cancel_drain", "terminate", "list", "set_servers"};
  return kNames[action.body.index()];
}

}  // namespace headroom
