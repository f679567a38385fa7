#include "storage_node/reporter/node_load.h"

#include <algorithm>

#include "storage_node/proto_time.h"

namespace headroom {
namespace {

constexpr absl::Duration kForEver = absl::Hours(24 * 365 * 10);

void FillConnections(const NodeView& view, v1::Connections& connections) {
  connections.set_open_count(view.gate.open);
  connections.set_active_count(view.gate.active);
  for (const int64_t count : view.census.idle_ages) connections.add_idle_age_counts(count);
  for (const ConnectionCensus::Client& client : view.census.top_clients) {
    v1::Client& top = *connections.add_top_clients();
    top.set_address(client.address.ToString());
    top.set_open_count(client.connections);
  }
  connections.set_accepted_count(view.gate.accepted);
  connections.set_rejected_count(view.gate.rejected);
  connections.set_closed_idle_count(std::max<int64_t>(0, view.gate.closed_idle - view.shed_count));
  connections.set_shed_count(view.shed_count);
}

void FillWork(const GateCounters& gate, v1::Work& work) {
  work.set_completed_count(gate.completed);
  work.set_error_count(gate.errors_5xx);
  work.set_error_slots_free_count(gate.errors_while_slots_free);
  work.set_request_rejected_count(gate.requests_rejected);
  work.set_received_bytes(gate.bytes_in);
  work.set_sent_bytes(gate.bytes_out);
  work.set_in_flight_count(gate.in_flight);
}

}  // namespace

void FillNodeLoad(const NodeView& view, v1::NodeLoad& load) {
  FillConnections(view, *load.mutable_connections());
  *load.mutable_listener() = view.kernel.listener;
  load.mutable_listener()->set_accept_emfile_count(view.gate.accept_failures);
  FillWork(view.gate, *load.mutable_work());
  *load.mutable_resources() = view.kernel.resources;
  load.mutable_latency_bucket_counts()->Assign(view.gate.latency.counts.begin(), view.gate.latency.counts.end());
}

absl::Duration IdleTimeoutForGate(absl::Duration wire) {
  return wire == absl::ZeroDuration() ? kForEver : wire;
}

absl::Duration IdleTimeoutOnWire(absl::Duration gate) {
  return gate >= kForEver ? absl::ZeroDuration() : gate;
}

}  // namespace headroom
