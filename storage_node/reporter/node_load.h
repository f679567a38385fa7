#pragma once

#include <cstdint>

#include "headroom/v1/load.pb.h"
#include "storage_node/gate/connection_table.h"
#include "storage_node/gate/gate.h"
#include "storage_node/sampler/sampler.h"

namespace headroom {

// What one report is made of. All but the limits, which only the reporter knows the origin of.
struct NodeView {
  GateCounters gate;
  ConnectionCensus census;
  KernelSample kernel;
  int64_t shed_count = 0;  // of gate.closed_idle, those closed because they were shed
};

// Writes the view onto the wire's message. Pure.
void FillNodeLoad(const NodeView& view, v1::NodeLoad& load);

// An idle timeout on the wire, where zero is "for ever", and at the gate, which has no such word.
absl::Duration IdleTimeoutForGate(absl::Duration wire);
absl::Duration IdleTimeoutOnWire(absl::Duration gate);

}  // namespace headroom
