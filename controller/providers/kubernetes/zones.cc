#include "controller/providers/kubernetes/zones.h"

#include "absl/strings/str_cat.h"

namespace headroom::kubernetes {
namespace {

constexpr char kZone[] = "topology.kubernetes.io/zone";

}  // namespace

std::map<std::string, std::string> Zones::Of(const std::set<std::string>& machines, const Deadline& deadline) {
  std::map<std::string, std::string> zones;
  {
    const MonitorLock lock(mutex_);
    zones = known_;
  }
  std::erase_if(zones, [&](const auto& zone) { return !machines.contains(zone.first); });
  for (const std::string& machine : machines) {
    if (zones.contains(machine)) continue;
    const absl::StatusOr<Json> node =
        api_.Call({.path = absl::StrCat("/api/v1/nodes/", machine), .timeout = deadline.left()});
    if (absl::IsPermissionDenied(node.status())) break;  // nor may any other be read
    if (node.ok()) zones[machine] = Text(*node, {"metadata", "labels", kZone});
    if (absl::IsNotFound(node.status())) zones[machine] = "";
  }
  const MonitorLock lock(mutex_);
  known_ = zones;
  return zones;
}

}  // namespace headroom::kubernetes
