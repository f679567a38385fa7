#include "controller/server/checker.h"
#include "controller/server/convert.h"

namespace headroom {
namespace {

constexpr size_t kBootIdMax = 64;
constexpr size_t kAddressMax = 300;
constexpr size_t kClientAddressMax = 64;
constexpr size_t kVersionMax = 256;
constexpr size_t kNameMax = 253;
constexpr size_t kBoundByMax = 32;
constexpr int kCapabilitiesMax = 16;
constexpr int kServersMax = 20'000;
constexpr double kCpusMax = 100'000;

LimitSource ToSource(v1::LimitsInForce::Source source) {
  switch (source) {
    case v1::LimitsInForce::SOURCE_GRANT:
      return LimitSource::kGrant;
    case v1::LimitsInForce::SOURCE_SELF:
      return LimitSource::kSelf;
    case v1::LimitsInForce::SOURCE_FOREIGN:
      return LimitSource::kForeign;
    default:
      return LimitSource::kConfig;
  }
}

// A later release may know more states and urgencies: an unknown one means what an absent one means.
ServerState ToState(v1::ServerState state) {
  switch (state) {
    case v1::SERVER_STATE_DRAINING:
      return ServerState::kDraining;
    case v1::SERVER_STATE_STOPPING:
      return ServerState::kStopping;
    default:
      return ServerState::kServing;
  }
}

Urgency ToUrgency(v1::Urgency urgency) {
  switch (urgency) {
    case v1::URGENCY_REJECTION:
      return Urgency::kRejection;
    case v1::URGENCY_LIMIT_REACHED:
      return Urgency::kLimitReached;
    case v1::URGENCY_PRESSURE:
      return Urgency::kPressure;
    case v1::URGENCY_APPLIED:
      return Urgency::kApplied;
    case v1::URGENCY_STATE:
      return Urgency::kState;
    default:
      return Urgency::kNone;
  }
}

int64_t Connections(Checker& check, const char* field, int64_t value) {
  check.Count(field, value, kConnectionsMax);
  return value;
}
int64_t Counter(Checker& check, const char* field, int64_t value) {
  check.Count(field, value, kCounterMax);
  return value;
}
int64_t Bytes(Checker& check, const char* field, int64_t value) {
  check.Count(field, value, kBytesMax);
  return value;
}
const std::string& Text(Checker& check, const char* field, const std::string& value, size_t max) {
  check.Text(field, value, max);
  return value;
}
const std::string& BootId(Checker& check, const std::string& value) {
  if (value.empty()) check.Fail("boot_id", "missing", "is missing; send a random one per start of the server");
  return Text(check, "boot_id", value, kBootIdMax);
}

void ReadLimits(Checker& check, const v1::LimitsInForce& in, LimitsInForce& out) {
  out.connection_count_max = Connections(check, "limits.connection_count_max", in.connection_count_max());
  out.in_flight_count_max = Connections(check, "limits.in_flight_count_max", in.in_flight_count_max());
  out.idle_timeout = check.Duration("limits.idle_timeout", in.idle_timeout());
  out.grant_id = in.grant_id();
  out.source = ToSource(in.source());
  out.bound_by = Text(check, "limits.bound_by", in.bound_by(), kBoundByMax);
}

// A ceiling of 0 is unknown.
std::optional<int64_t> CeilingCount(Checker& check, const char* field, int64_t value) {
  check.Count(field, value, kCounterMax);
  return value > 0 ? std::optional<int64_t>(value) : std::nullopt;
}

std::optional<absl::Duration> LearnedLatency(Checker& check, const v1::Learned& in) {
  if (!in.has_baseline_latency()) return std::nullopt;
  const absl::Duration latency = check.Duration("learned.baseline_latency", in.baseline_latency());
  return latency > absl::ZeroDuration() ? std::optional<absl::Duration>(latency) : std::nullopt;
}

// A band that contradicts itself is none.
std::optional<Knee> LearnedKnee(const v1::Learned& in) {
  const v1::Knee& knee = in.knee();
  const bool whole = knee.low_count() > 0 && knee.low_count() <= knee.count() && knee.count() <= knee.high_count() &&
                     knee.high_count() <= 1e7 && knee.proven_count() > 0 && knee.proven_count() <= 1e7;
  if (!whole) return std::nullopt;
  return Knee{knee.count(), knee.low_count(), knee.high_count(), knee.proven_count()};
}

void ReadConnections(Checker& check, const v1::Connections& in, NodeReport& out) {
  out.open_count = Connections(check, "connections.open_count", in.open_count());
  out.active_count = Connections(check, "connections.active_count", in.active_count());
  out.client_count = Connections(check, "connections.client_count", in.client_count());
  out.counters.accepted = Counter(check, "connections.accepted_count", in.accepted_count());
  out.counters.rejected = Counter(check, "connections.rejected_count", in.rejected_count());
  out.counters.closed_idle = Counter(check, "connections.closed_idle_count", in.closed_idle_count());
  out.counters.shed = Counter(check, "connections.shed_count", in.shed_count());
  const int ages = in.idle_age_counts_size();
  if (ages != 0 && ages != NodeReport::kIdleAges) {
    check.Fail("connections.idle_age_counts", "buckets",
               absl::StrCat(ages, " counts; it takes ", NodeReport::kIdleAges, ", or none"));
    return;
  }
  for (int i = 0; i < ages; ++i) {
    out.idle_age_counts[static_cast<size_t>(i)] =
        Connections(check, "connections.idle_age_counts", in.idle_age_counts(i));
  }
}

void ReadClients(Checker& check, const v1::Connections& in, NodeReport& out) {
  check.Size("connections.top_clients", in.top_clients_size(), NodeReport::kTopClientsMax);
  if (!check.ok()) return;
  out.top_clients.resize(static_cast<size_t>(in.top_clients_size()));
  for (int i = 0; i < in.top_clients_size(); ++i) {
    check.Enter("connections.top_clients", i);
    ClientConnections& client = out.top_clients[static_cast<size_t>(i)];
    client.address = Text(check, "address", in.top_clients(i).address(), kClientAddressMax);
    client.open_count = Connections(check, "open_count", in.top_clients(i).open_count());
  }
  check.Enter(nullptr, 0);
}

void ReadListener(Checker& check, const v1::Listener& in, NodeReport& out) {
  out.accept_queue_count = Connections(check, "listener.accept_queue_count", in.accept_queue_count());
  out.accept_queue_count_max = Connections(check, "listener.accept_queue_count_max", in.accept_queue_count_max());
  NodeCounters& counters = out.counters;
  counters.drops = Counter(check, "listener.drop_count", in.drop_count());
  counters.accept_emfile = Counter(check, "listener.accept_emfile_count", in.accept_emfile_count());
  if (in.has_overflow_count()) counters.overflows = Counter(check, "listener.overflow_count", in.overflow_count());
  if (in.has_segment_out_count()) {
    counters.segments_out = Counter(check, "listener.segment_out_count", in.segment_out_count());
  }
  if (in.has_retransmit_count()) {
    counters.retransmits = Counter(check, "listener.retransmit_count", in.retransmit_count());
  }
}

void ReadWork(Checker& check, const v1::Work& in, NodeReport& out) {
  NodeCounters& counters = out.counters;
  counters.completed = Counter(check, "work.completed_count", in.completed_count());
  counters.errors = Counter(check, "work.error_count", in.error_count());
  counters.errors_slots_free = Counter(check, "work.error_slots_free_count", in.error_slots_free_count());
  counters.requests_rejected = Counter(check, "work.request_rejected_count", in.request_rejected_count());
  if (in.has_retry_count()) counters.retries = Counter(check, "work.retry_count", in.retry_count());
  counters.received_bytes = Bytes(check, "work.received_bytes", in.received_bytes());
  counters.sent_bytes = Bytes(check, "work.sent_bytes", in.sent_bytes());
  if (in.has_device_time()) counters.device_time = check.Duration("work.device_time", in.device_time());
  out.in_flight_count = Connections(check, "work.in_flight_count", in.in_flight_count());
  out.stored_bytes = Bytes(check, "work.stored_bytes", in.stored_bytes());
  out.capacity_bytes = Bytes(check, "work.capacity_bytes", in.capacity_bytes());
}

std::optional<double> Pressure(Checker& check, const char* field, bool present, double value) {
  if (!present) return std::nullopt;
  check.Ratio(field, value);
  return value;
}

void ReadResources(Checker& check, const v1::Resources& in, NodeReport& out) {
  out.fd_count = Counter(check, "resources.fd_count", in.fd_count());
  out.fd_count_max = Counter(check, "resources.fd_count_max", in.fd_count_max());
  out.memory_bytes = Bytes(check, "resources.memory_bytes", in.memory_bytes());
  out.memory_bytes_max = Bytes(check, "resources.memory_bytes_max", in.memory_bytes_max());
  out.counters.cpu_time = check.Duration("resources.cpu_time", in.cpu_time());
  check.Number("resources.cpu_count", in.cpu_count(), kCpusMax);
  out.cpu_count = in.cpu_count();
  out.cpu_some_ratio = Pressure(check, "resources.cpu_some_ratio", in.has_cpu_some_ratio(), in.cpu_some_ratio());
  out.memory_full_ratio =
      Pressure(check, "resources.memory_full_ratio", in.has_memory_full_ratio(), in.memory_full_ratio());
  out.io_full_ratio = Pressure(check, "resources.io_full_ratio", in.has_io_full_ratio(), in.io_full_ratio());
}

void ReadLatency(Checker& check, const v1::NodeLoad& in, NodeReport& out) {
  const int buckets = in.latency_bucket_counts_size();
  if (buckets == 0) return;
  if (buckets != LatencyHistogram::kBuckets) {
    check.Fail("latency_bucket_counts", "buckets",
               absl::StrCat(buckets, " counts; it takes ", LatencyHistogram::kBuckets, ", or none"));
    return;
  }
  for (int i = 0; i < buckets; ++i) {
    out.counters.latency.counts[static_cast<size_t>(i)] =
        Counter(check, "latency_bucket_counts", in.latency_bucket_counts(i));
  }
}

void ReadServer(Checker& check, const v1::BalancedServer& in, BalancedServer& out) {
  check.Id("node_id", in.node_id());
  out.node = in.node_id();
  out.session_count = Connections(check, "session_count", in.session_count());
  out.queue_count = Connections(check, "queue_count", in.queue_count());
  out.session_count_max = Connections(check, "session_count_max", in.session_count_max());
  out.up = in.up();
  out.draining = in.draining();
  out.connect_errors = Counter(check, "connect_error_count", in.connect_error_count());
  out.errors = Counter(check, "error_count", in.error_count());
  out.completed = Counter(check, "completed_count", in.completed_count());
  out.retries = Counter(check, "retry_count", in.retry_count());
}

void ReadIdentity(Checker& check, const v1::Hello& in, NodeHello& out) {
  out.boot_id = BootId(check, in.boot_id());
  check.Size("capabilities", in.capabilities_size(), kCapabilitiesMax);
  for (const std::string& capability : in.capabilities()) {
    out.capabilities.push_back(Text(check, "capabilities", capability, kBoundByMax));
  }
  out.server_version = Text(check, "server_version", in.server_version(), kVersionMax);
  out.config_hash = Text(check, "config_hash", in.config_hash(), kVersionMax);
  if (in.has_server_version_time()) {
    out.server_version_time = check.Time("server_version_time", in.server_version_time());
  }
  if (in.has_config_time()) out.config_time = check.Time("config_time", in.config_time());
  out.address = Text(check, "address", in.address(), kAddressMax);
  out.admin_address = Text(check, "admin_address", in.admin_address(), kAddressMax);
  out.zone = Text(check, "zone", in.zone(), kNameMax);
  out.launch_id = Text(check, "launch_id", in.launch_id(), kNameMax);
  out.slot_unit = in.slot_unit() == v1::SLOT_UNIT_REQUESTS ? SlotUnit::kRequests : SlotUnit::kSockets;
}

}  // namespace

absl::StatusOr<NodeHello> ToNodeHello(const v1::Hello& in) {
  Checker check;
  NodeHello out;
  ReadIdentity(check, in, out);
  ReadLimits(check, in.limits(), out.limits);
  out.term_max_seen = Counter(check, "term_max_seen", in.term_max_seen());
  out.fd_count_max = CeilingCount(check, "ceilings.fd_connection_count_max", in.ceilings().fd_connection_count_max());
  out.memory_count_max =
      CeilingCount(check, "ceilings.memory_connection_count_max", in.ceilings().memory_connection_count_max());
  out.learned_knee = LearnedKnee(in.learned());
  out.learned_baseline_latency = LearnedLatency(check, in.learned());
  out.learned_proven_count =
      Connections(check, "learned.proven_connection_count", in.learned().proven_connection_count());
  out.learned_bad_count = Connections(check, "learned.bad_connection_count", in.learned().bad_connection_count());
  out.configured_count_max =
      Connections(check, "configured_connection_count_max", in.configured_connection_count_max());
  out.configured_idle_timeout = check.Duration("configured_idle_timeout", in.configured_idle_timeout());
  if (!check.ok()) return check.status();
  return out;
}

absl::StatusOr<NodeReport> ToNodeReport(const v1::NodeLoad& in) {
  Checker check;
  check.Present("uptime", in.has_uptime());
  check.Present("connections", in.has_connections());
  check.Present("limits", in.has_limits());
  check.Present("work", in.has_work());
  absl::StatusOr<NodeReport> result(absl::in_place);
  NodeReport& out = *result;
  out.boot_id = BootId(check, in.boot_id());
  out.sequence = in.sequence();
  out.counters.uptime = check.Duration("uptime", in.uptime());
  ReadConnections(check, in.connections(), out);
  ReadClients(check, in.connections(), out);
  ReadLimits(check, in.limits(), out.limits);
  ReadListener(check, in.listener(), out);
  ReadWork(check, in.work(), out);
  ReadResources(check, in.resources(), out);
  ReadLatency(check, in, out);
  out.state = ToState(in.state());
  out.urgency = ToUrgency(in.urgency());
  out.ceiling_fd_count =
      CeilingCount(check, "ceilings.fd_connection_count_max", in.ceilings().fd_connection_count_max());
  out.ceiling_memory_count =
      CeilingCount(check, "ceilings.memory_connection_count_max", in.ceilings().memory_connection_count_max());
  out.learned_baseline_latency = LearnedLatency(check, in.learned());
  out.learned_proven_count =
      Connections(check, "learned.proven_connection_count", in.learned().proven_connection_count());
  out.learned_bad_count = Connections(check, "learned.bad_connection_count", in.learned().bad_connection_count());
  if (!check.ok()) return check.status();
  return result;
}

absl::StatusOr<BalancerReport> ToBalancerReport(const v1::BalancerLoad& in) {
  Checker check;
  BalancerReport out;
  out.boot_id = BootId(check, in.boot_id());
  out.sequence = in.sequence();
  check.Size("servers", in.servers_size(), kServersMax);
  if (!check.ok()) return check.status();
  out.servers.resize(static_cast<size_t>(in.servers_size()));
  for (int i = 0; i < in.servers_size() && check.ok(); ++i) {
    check.Enter("servers", i);
    ReadServer(check, in.servers(i), out.servers[static_cast<size_t>(i)]);
  }
  check.Enter(nullptr, 0);
  out.session_count = Connections(check, "session_count", in.session_count());
  out.session_count_max = Connections(check, "session_count_max", in.session_count_max());
  out.slot_place = in.slot_place() == v1::SLOT_PLACE_BALANCER ? SlotPlace::kBalancer : SlotPlace::kNode;
  if (!check.ok()) return check.status();
  return out;
}

}  // namespace headroom
