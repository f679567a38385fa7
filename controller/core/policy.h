#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/calendar/calendar.h"
#include "controller/core/limits/law.h"

// The policy as the core uses it: valid by construction (policy_parse.h makes one from a file), copied, never changed
// in use. The default of every setting stands here, once. Meaning: proto/headroom/v1/policy.proto.

namespace headroom {

enum class Mode : uint8_t { kDryRun, kLive };
enum class DataPlacement : uint8_t { kGateway, kBearing };
// Which node leaves: any that is named, or only the one whose id ends in the highest number, as of a StatefulSet.
enum class Removal : uint8_t { kNamed, kHighestOrdinal };

struct NodePolicy {
  int min = 1;
  int max = 1;
  DataPlacement data = DataPlacement::kGateway;
  int data_floor = 0;
  std::vector<std::string> zones;
  absl::Duration stabilization = absl::Minutes(5);
  absl::Duration cooldown = absl::Minutes(10);
  int remove_count_max = 0;  // 0: as many as the others carry above their targets
  double growth_ratio_max = 10.0;
  absl::Duration lead_time = absl::Minutes(2);
  absl::Duration drain_timeout = absl::Minutes(10);
  absl::Duration launch_timeout = absl::Minutes(15);
  absl::Duration restart_grace = absl::Minutes(2);
  int launch_failures_max = 3;
  absl::Duration launch_backoff = absl::Seconds(30);
  absl::Duration paid_min;  // from a launch; zero: a machine is paid as long as it runs
  Removal removal = Removal::kNamed;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("min", self.min);
    visit("max", self.max);
    visit("data", self.data);
    visit("data_floor", self.data_floor);
    visit("zones", self.zones);
    visit("stabilization", self.stabilization);
    visit("cooldown", self.cooldown);
    visit("remove_count_max", self.remove_count_max);
    visit("growth_ratio_max", self.growth_ratio_max);
    visit("lead_time", self.lead_time);
    visit("drain_timeout", self.drain_timeout);
    visit("launch_timeout", self.launch_timeout);
    visit("restart_grace", self.restart_grace);
    visit("launch_failures_max", self.launch_failures_max);
    visit("launch_backoff", self.launch_backoff);
    visit("paid_min", self.paid_min);
    visit("removal", self.removal);
  }
};

struct FleetLimitPolicy {
  bool enabled = true;
  LimitPolicy law;
  absl::Duration peak_window = absl::Hours(1);
  absl::Duration lease = absl::Seconds(30);
  int64_t budget_count = 0;  // 0: no budget

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("enabled", self.enabled);
    visit("floor", self.law.floor_count);
    visit("ceiling", self.law.ceiling_count);
    visit("reserve", self.law.reserve_count);
    visit("raise_at", self.law.raise_at_ratio);
    visit("headroom", self.law.headroom_ratio);
    visit("step_max", self.law.step_ratio_max);
    visit("decay_at", self.law.decay_at_ratio);
    visit("decay_after", self.law.decay_after);
    visit("decay_half_life", self.law.decay_half_life);
    visit("idle_timeout_min", self.law.idle_timeout_min);
    visit("watch", self.law.watch);
    visit("latency_ratio_max", self.law.latency_ratio_max);
    visit("peak_window", self.peak_window);
    visit("lease", self.lease);
    visit("budget", self.budget_count);
  }
};

struct ConnectionSignalPolicy {
  bool enabled = true;
  int64_t per_node_count = 0;  // 0: the configured limit of the nodes
  double target_ratio = 0.7;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("enabled", self.enabled);
    visit("per_node", self.per_node_count);
    visit("target", self.target_ratio);
  }
};
struct ThroughputSignalPolicy {
  int64_t bytes_per_second_per_node = 0;  // 0: not used
  double target_ratio = 0.7;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("bytes_per_node", self.bytes_per_second_per_node);
    visit("target", self.target_ratio);
  }
};
struct LatencySignalPolicy {
  absl::Duration objective;  // zero: not used
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("objective", self.objective);
  }
};
struct ForecastSignalPolicy {
  bool enabled = true;
  double quantile_ratio = 0.975;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("enabled", self.enabled);
    visit("quantile", self.quantile_ratio);
  }
};

struct AnomalyPolicy {
  bool enabled = true;
  absl::Duration hold = absl::Minutes(15);
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("enabled", self.enabled);
    visit("hold", self.hold);
  }
};

struct InFlightSignalPolicy {
  int64_t per_node_count = 0;  // 0: not used
  double target_ratio = 0.7;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("per_node", self.per_node_count);
    visit("target", self.target_ratio);
  }
};
struct StoredSignalPolicy {
  int64_t bytes_per_node = 0;  // 0: the capacity that nodes report
  double target_ratio = 0;     // 0: not used
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("bytes_per_node", self.bytes_per_node);
    visit("target", self.target_ratio);
  }
};
struct HotNodeSignalPolicy {
  bool enabled = true;
  double at_ratio = 0.9;
  double skew_ratio_max = 1.5;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("enabled", self.enabled);
    visit("at", self.at_ratio);
    visit("skew_max", self.skew_ratio_max);
  }
};

struct ControlPolicy {
  absl::Duration tick = absl::Seconds(1);
  absl::Duration urgent_tick = absl::Milliseconds(50);
  absl::Duration report_interval = absl::Seconds(1);
  absl::Duration silent_after = absl::Seconds(5);
  absl::Duration lost_after = absl::Seconds(30);
  double quorum_ratio = 0.9;
  absl::Duration list_interval = absl::Seconds(30);
  absl::Duration unknown_alarm = absl::Minutes(30);
  absl::Duration baseline_window = absl::Minutes(10);
  absl::Duration deploy_window = absl::Minutes(30);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("tick", self.tick);
    visit("urgent_tick", self.urgent_tick);
    visit("report_interval", self.report_interval);
    visit("silent_after", self.silent_after);
    visit("lost_after", self.lost_after);
    visit("quorum", self.quorum_ratio);
    visit("list_interval", self.list_interval);
    visit("unknown_alarm", self.unknown_alarm);
    visit("baseline_window", self.baseline_window);
    visit("deploy_window", self.deploy_window);
  }
};

struct Policy {
  std::string cluster = "default";
  Mode mode = Mode::kDryRun;
  NodePolicy nodes;
  FleetLimitPolicy limits;
  ConnectionSignalPolicy connections;
  ThroughputSignalPolicy throughput;
  LatencySignalPolicy latency;
  ForecastSignalPolicy forecast;
  InFlightSignalPolicy in_flight;
  StoredSignalPolicy stored;
  HotNodeSignalPolicy hot_nodes;
  std::vector<CalendarEntry> calendar;
  AnomalyPolicy anomaly;
  ControlPolicy control;
  std::string source;  // the text it came from

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("cluster", self.cluster);
    visit("mode", self.mode);
    visit("nodes", self.nodes);
    visit("limits", self.limits);
    visit("connections", self.connections);
    visit("throughput", self.throughput);
    visit("latency", self.latency);
    visit("forecast", self.forecast);
    visit("in_flight", self.in_flight);
    visit("stored", self.stored);
    visit("hot_nodes", self.hot_nodes);
    visit("calendar", self.calendar);
    visit("anomaly", self.anomaly);
    visit("control", self.control);
    visit("source", self.source);
  }
};

}  // namespace headroom
