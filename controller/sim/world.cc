#include "controller/sim/world.h"

namespace headroom::sim {

absl::Status World::SetCondition(absl::string_view node, const NodeCondition& condition) {
  NodeCondition others = condition;
  others.device_slowness = 1;
  if (others != NodeCondition()) return absl::UnimplementedError("this model knows no trouble but slow devices");
  return SetSlowness(node, condition.device_slowness);
}

absl::Status World::SetCondition(const ClientCondition& condition) {
  if (condition == ClientCondition()) return absl::OkStatus();
  return absl::UnimplementedError("this model knows no trouble of clients");
}

absl::Status World::TakeDown(absl::string_view node, Outage how, absl::Duration down) {
  if (how != Outage::kRestart) return absl::UnimplementedError("this model knows no outage but restarts in good order");
  return Restart(node, down);
}

absl::Status World::SetRelease(absl::string_view, const Release&) {
  return absl::UnimplementedError("this model knows no releases");
}

}  // namespace headroom::sim
