#include "controller/core/signals/signal.h"

namespace headroom {

Demand ThroughputDemand(const SignalInput& in) {
  if (!in.summary.Known(in.policy.control)) return Unknown("throughput", in.summary);
  const double bytes = in.summary.sent_bytes + in.summary.received_bytes;
  const auto per_node = static_cast<double>(in.policy.throughput.bytes_per_second_per_node);
  const double nodes = bytes / (per_node * in.policy.throughput.target_ratio);
  return {"throughput", nodes, MakeReason(ReasonCode::kSignalThroughput, bytes, per_node, nodes)};
}

}  // namespace headroom
