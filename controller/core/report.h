#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/base/latency_histogram.h"
#include "controller/core/limits/knee.h"

// What nodes and balancers say, as the core sees it: plain values, already checked at the wire (no NaN, no negative
// number, nothing absurd). Meaning, unit and default of every field: proto/headroom/v1/load.proto.

namespace headroom {

using NodeId = std::string;
using BalancerId = std::string;

enum class LimitSource : uint8_t { kConfig, kGrant, kSelf, kForeign };
enum class ServerState : uint8_t { kServing, kDraining, kStopping };
enum class Urgency : uint8_t { kNone, kRejection, kLimitReached, kPressure, kApplied, kState };
enum class SlotUnit : uint8_t { kSockets, kRequests };
enum class SlotPlace : uint8_t { kNode, kBalancer };

struct LimitsInForce {
  int64_t connection_count_max = 0;  // 0: no limit
  int64_t in_flight_count_max = 0;   // 0: no limit
  absl::Duration idle_timeout;       // zero: for ever
  uint64_t grant_id = 0;
  LimitSource source = LimitSource::kConfig;
  std::string bound_by;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("connections", self.connection_count_max);
    visit("in_flight", self.in_flight_count_max);
    visit("idle_timeout", self.idle_timeout);
    visit("grant_id", self.grant_id);
    visit("source", self.source);
    visit("bound_by", self.bound_by);
  }
};

struct NodeHello {
  std::string boot_id;
  std::vector<std::string> capabilities;
  std::string server_version;
  std::optional<absl::Time> server_version_time;
  std::string config_hash;
  std::optional<absl::Time> config_time;
  LimitsInForce limits;
  int64_t term_max_seen = 0;
  std::string address;
  std::string admin_address;
  std::string zone;
  std::string launch_id;
  SlotUnit slot_unit = SlotUnit::kSockets;
  std::optional<int64_t> fd_count_max, memory_count_max;  // ceilings, in connections
  std::optional<absl::Duration> learned_baseline_latency;
  std::optional<Knee> learned_knee;
  int64_t learned_proven_count = 0, learned_bad_count = 0;
  int64_t configured_count_max = 0;        // the server's own limit; 0: none
  absl::Duration configured_idle_timeout;  // the server's own; zero: for ever

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("configured_max", self.configured_count_max);
    visit("configured_idle_timeout", self.configured_idle_timeout);
    visit("boot_id", self.boot_id);
    visit("capabilities", self.capabilities);
    visit("server_version", self.server_version);
    visit("server_version_time", self.server_version_time);
    visit("config_hash", self.config_hash);
    visit("config_time", self.config_time);
    visit("limits", self.limits);
    visit("term_max_seen", self.term_max_seen);
    visit("address", self.address);
    visit("admin_address", self.admin_address);
    visit("zone", self.zone);
    visit("launch_id", self.launch_id);
    visit("slot_unit", self.slot_unit);
    visit("fd_max", self.fd_count_max);
    visit("memory_max", self.memory_count_max);
    visit("baseline_latency", self.learned_baseline_latency);
    visit("knee", self.learned_knee);
    visit("proven", self.learned_proven_count);
    visit("bad", self.learned_bad_count);
  }
};

struct ClientConnections {
  std::string address;
  int64_t open_count = 0;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("address", self.address);
    visit("open", self.open_count);
  }
};

// Counters since boot. An absent one is unknown, which is not zero.
struct NodeCounters {
  absl::Duration uptime;
  int64_t accepted = 0, rejected = 0, closed_idle = 0, shed = 0;
  int64_t completed = 0, errors = 0, errors_slots_free = 0, requests_rejected = 0;
  std::optional<int64_t> retries;
  int64_t received_bytes = 0, sent_bytes = 0;
  int64_t drops = 0, accept_emfile = 0;
  std::optional<int64_t> overflows, segments_out, retransmits;
  absl::Duration cpu_time;
  std::optional<absl::Duration> device_time;
  LatencyHistogram latency;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("uptime", self.uptime);
    visit("accepted", self.accepted);
    visit("rejected", self.rejected);
    visit("closed_idle", self.closed_idle);
    visit("shed", self.shed);
    visit("completed", self.completed);
    visit("errors", self.errors);
    visit("errors_slots_free", self.errors_slots_free);
    visit("requests_rejected", self.requests_rejected);
    visit("retries", self.retries);
    visit("received_bytes", self.received_bytes);
    visit("sent_bytes", self.sent_bytes);
    visit("drops", self.drops);
    visit("accept_emfile", self.accept_emfile);
    visit("overflows", self.overflows);
    visit("segments_out", self.segments_out);
    visit("retransmits", self.retransmits);
    visit("cpu_time", self.cpu_time);
    visit("device_time", self.device_time);
    visit("latency", self.latency.counts);
  }
};

// How a node stands at the moment of a report.
struct NodeGauges {
  static constexpr int kIdleAges = 7;  // below 1, 5, 15, 30, 60, 300 s, and older
  static constexpr int kTopClientsMax = 8;

  std::string boot_id;
  uint64_t sequence = 0;
  int64_t open_count = 0, active_count = 0, in_flight_count = 0;
  std::array<int64_t, kIdleAges> idle_age_counts{};
  std::vector<ClientConnections> top_clients;
  int64_t client_count = 0;  // 0: unknown
  LimitsInForce limits;
  int64_t accept_queue_count = 0;
  int64_t accept_queue_count_max = 0;  // 0: unknown
  int64_t fd_count = 0, fd_count_max = 0;
  int64_t memory_bytes = 0, memory_bytes_max = 0;
  double cpu_count = 0;  // 0: unknown
  std::optional<double> cpu_some_ratio, memory_full_ratio, io_full_ratio;
  int64_t stored_bytes = 0, capacity_bytes = 0;
  std::optional<int64_t> ceiling_fd_count, ceiling_memory_count;  // in connections, when they changed
  std::optional<absl::Duration> learned_baseline_latency;
  int64_t learned_proven_count = 0, learned_bad_count = 0;
  ServerState state = ServerState::kServing;
  Urgency urgency = Urgency::kNone;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("boot_id", self.boot_id);
    visit("sequence", self.sequence);
    visit("open", self.open_count);
    visit("active", self.active_count);
    visit("in_flight", self.in_flight_count);
    visit("idle_ages", self.idle_age_counts);
    visit("top_clients", self.top_clients);
    visit("clients", self.client_count);
    visit("limits", self.limits);
    visit("accept_queue", self.accept_queue_count);
    visit("accept_queue_max", self.accept_queue_count_max);
    visit("fds", self.fd_count);
    visit("fds_max", self.fd_count_max);
    visit("memory", self.memory_bytes);
    visit("memory_max", self.memory_bytes_max);
    visit("cpus", self.cpu_count);
    visit("cpu_some", self.cpu_some_ratio);
    visit("memory_full", self.memory_full_ratio);
    visit("io_full", self.io_full_ratio);
    visit("stored", self.stored_bytes);
    visit("capacity", self.capacity_bytes);
    visit("ceiling_fds", self.ceiling_fd_count);
    visit("ceiling_memory", self.ceiling_memory_count);
    visit("baseline_latency", self.learned_baseline_latency);
    visit("proven", self.learned_proven_count);
    visit("bad", self.learned_bad_count);
    visit("state", self.state);
    visit("urgency", self.urgency);
  }
};

struct NodeReport : NodeGauges {
  NodeCounters counters;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    NodeGauges::Fields(self, visit);
    visit("counters", self.counters);
  }
};

struct BalancedServer {
  NodeId node;
  int64_t session_count = 0, queue_count = 0, session_count_max = 0;
  bool up = false, draining = false;
  int64_t connect_errors = 0, errors = 0, completed = 0, retries = 0;  // since boot

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("sessions", self.session_count);
    visit("queue", self.queue_count);
    visit("sessions_max", self.session_count_max);
    visit("up", self.up);
    visit("draining", self.draining);
    visit("connect_errors", self.connect_errors);
    visit("errors", self.errors);
    visit("completed", self.completed);
    visit("retries", self.retries);
  }
};

struct BalancerReport {
  std::string boot_id;
  uint64_t sequence = 0;
  std::vector<BalancedServer> servers;
  int64_t session_count = 0, session_count_max = 0;
  SlotPlace slot_place = SlotPlace::kNode;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("boot_id", self.boot_id);
    visit("sequence", self.sequence);
    visit("servers", self.servers);
    visit("sessions", self.session_count);
    visit("sessions_max", self.session_count_max);
    visit("slot_place", self.slot_place);
  }
};

}  // namespace headroom
