#pragma once

#include <array>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/anomaly/watch.h"
#include "controller/core/calendar/usual_demand.h"
#include "controller/core/decision.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/forecast/demand_forecast.h"
#include "controller/core/policy.h"

namespace headroom {

struct SignalInput {
  const Fleet& fleet;
  const FleetSummary& summary;
  const forecast::DemandForecast& forecast;
  const AnomalyWatch& anomaly;
  const Policy& policy;
  absl::Time now;
  const UsualDemand* usual = nullptr;  // null: nothing is known of it
};

// A signal says how many nodes are needed, or that it cannot tell. Pure: history lives in the fleet. To add one: a file
// here, a row in the array, a message in policy.proto.
struct Signal {
  absl::string_view name;
  bool (*enabled)(const Policy&);
  Demand (*evaluate)(const SignalInput&);
};

Demand ConnectionDemand(const SignalInput& in);  // slots: demand position in mid-range
Demand ThroughputDemand(const SignalInput& in);  // bytes a second
Demand LatencyDemand(const SignalInput& in);     // p99 against its objective
Demand ForecastDemand(const SignalInput& in);    // slots, when a node that is asked for now serves
Demand InFlightDemand(const SignalInput& in);    // requests in service
Demand StoredDemand(const SignalInput& in);      // bytes on disk
Demand HotNodeDemand(const SignalInput& in);     // the fullest nodes, and how uneven the load is
Demand CalendarDemand(const SignalInput& in);    // what the policy says is to come
Demand SurgeDemand(const SignalInput& in);       // slots, if an unusual rise goes on

inline constexpr std::array<Signal, 9> kSignals = {{
    {"connections", [](const Policy& policy) { return policy.connections.enabled; }, ConnectionDemand},
    {"throughput", [](const Policy& policy) { return policy.throughput.bytes_per_second_per_node > 0; },
     ThroughputDemand},
    {"latency", [](const Policy& policy) { return policy.latency.objective > absl::ZeroDuration(); }, LatencyDemand},
    {"forecast", [](const Policy& policy) { return policy.connections.enabled && policy.forecast.enabled; },
     ForecastDemand},
    {"surge", [](const Policy& policy) { return policy.connections.enabled && policy.anomaly.enabled; }, SurgeDemand},
    {"in_flight", [](const Policy& policy) { return policy.in_flight.per_node_count > 0; }, InFlightDemand},
    {"stored", [](const Policy& policy) { return policy.stored.target_ratio > 0; }, StoredDemand},
    {"hot_nodes", [](const Policy& policy) { return policy.connections.enabled && policy.hot_nodes.enabled; },
     HotNodeDemand},
    {"calendar", [](const Policy& policy) { return !policy.calendar.empty(); }, CalendarDemand},
}};

// Connections that are wanted of the cluster: open and waiting. Nothing: it cannot be told.
std::optional<double> KnownDemand(const FleetSummary& summary, const Policy& policy);

// Nodes for so many connections, each filled to connections.target; `per_node` is over 0.
double NodesFor(double demand, int64_t per_node, const Policy& policy);

// The answer of a signal that cannot tell: too few serving nodes have a fresh report.
Demand Unknown(absl::string_view signal, const FleetSummary& summary);

// Connections that one node is held against: the policy's number, else the configured limit of the nodes. Never a limit
// that we granted: that is a peak-hold which lags by design, and steering on it winds up. 0: unknown.
int64_t ConnectionsPerNode(const Policy& policy, const FleetSummary& summary);

}  // namespace headroom
