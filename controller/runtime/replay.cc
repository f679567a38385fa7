#include "controller/runtime/replay.h"

#include <utility>

#include "controller/runtime/records.h"

namespace headroom {

std::string Replay(const std::vector<Recorded>& records, Autoscaler& core) {
  std::string bytes;
  for (const Recorded& record : records) {
    if (record.event)
      core.Observe(record.at, *record.event);
    else
      bytes += CanonicalBytes(core.Tick(record.at));
  }
  return bytes;
}

std::string Replay(const std::vector<Recorded>& records, Policy policy) {
  Autoscaler core(std::move(policy));
  return Replay(records, core);
}

}  // namespace headroom
