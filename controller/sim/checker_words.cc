#include "controller/sim/checker_words.h"

#include <algorithm>

namespace headroom::sim {

absl::Duration Slack(const Policy& policy) {
  return policy.control.tick + absl::Seconds(1);
}

const MachineFacts* Find(const Moment& moment, const NodeId& node) {
  const auto found = moment.machines.find(node);
  return found == moment.machines.end() ? nullptr : &found->second;
}

bool Leaves(const MachineFacts& machine, const Moment& moment, const Memory& memory) {
  constexpr absl::Duration kFollows = absl::Seconds(10);
  if (moment.orders.drained.contains(machine.id) || memory.terminated.contains(machine.id)) return true;
  const auto drain = memory.drains.find(machine.id);
  if (drain == memory.drains.end()) return false;
  return !machine.heard_serving || machine.heard_at < drain->second.since + kFollows;
}

bool HeardWithin(const MachineFacts& machine, absl::Duration age, const Moment& moment) {
  return moment.decision.at - machine.heard_at <= age + Slack(moment.policy);
}

bool Drains(const MachineFacts& machine, const Memory& memory) {
  const auto cancel = memory.cancels.find(machine.id);
  return machine.heard_draining && (cancel == memory.cancels.end() || machine.heard_at > cancel->second);
}

int64_t CountThere(const Moment& moment, const Memory& memory) {
  return std::count_if(moment.machines.begin(), moment.machines.end(), [&](const auto& entry) {
    const MachineFacts& machine = entry.second;
    return machine.is_told && !Drains(machine, memory) && !Leaves(machine, moment, memory);
  });
}

const OverrideSet* Override(const Moment& moment) {
  const auto& set = moment.orders.override_set;
  return set.has_value() && set->until > moment.decision.at ? &*set : nullptr;
}

int MinOf(const Moment& moment) {
  const OverrideSet* set = Override(moment);
  const int most = set != nullptr && set->nodes_max > 0 ? set->nodes_max : moment.policy.nodes.max;
  const int least = set != nullptr && set->nodes_min > 0 ? set->nodes_min : moment.policy.nodes.min;
  return std::max(std::min(least, most), moment.policy.nodes.data_floor);
}

int MaxOf(const Moment& moment) {
  const OverrideSet* set = Override(moment);
  const int most = set != nullptr && set->nodes_max > 0 ? set->nodes_max : moment.policy.nodes.max;
  return std::max(most, moment.policy.nodes.data_floor);
}

bool IsHeld(const Moment& moment, HoldDirection direction) {
  return std::any_of(moment.orders.holds.begin(), moment.orders.holds.end(), [&](const HoldChanged& hold) {
    return hold.until > moment.decision.at && (hold.direction == direction || hold.direction == HoldDirection::kBoth);
  });
}

}  // namespace headroom::sim
