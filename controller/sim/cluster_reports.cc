// What reporters on the nodes would say.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kIdleAgeBounds[NodeReport::kIdleAges - 1] = {
    absl::Seconds(1), absl::Seconds(5), absl::Seconds(15), absl::Seconds(30), absl::Seconds(60), absl::Seconds(300)};
// Of the memory limit, what connections may take of it.
constexpr double kMemoryShareMax = 0.85;

}  // namespace

// Unlike that of any other run: a controller that remembers an earlier one must not take this for it.
std::string ClusterModel::BootId(const Node& node) const {
  return absl::StrCat(node.id, "-", absl::ToUnixSeconds(settings_.start), "-", node.boot);
}

NodeHello ClusterModel::Hello(absl::string_view id) const {
  HR_CHECK(IsServing(id));
  const Node& node = *nodes_[static_cast<size_t>(Find(id))];
  std::optional<absl::Time> released;
  if (node.release_nanos >= 0) released = At(node.release_nanos);
  return {.boot_id = BootId(node),
          .capabilities = {"limit", "idle_timeout", "shed", "drain"},
          .server_version = node.release.version,
          .server_version_time = released,
          .config_hash = node.release.config_hash,
          .config_time = node.release.config_hash.empty() ? std::nullopt : released,
          .limits = node.limits,
          .address = absl::StrCat(node.id, ":80"),
          .zone = node.zone,
          .launch_id = node.launch_id,
          .fd_count_max = settings_.node.fd_count_max,
          .memory_count_max = MemoryCeiling(node),
          .configured_count_max = settings_.node.connection_limit,
          .configured_idle_timeout = settings_.node.idle_timeout};
}

int64_t ClusterModel::OpenCount(absl::string_view id) const {
  HR_CHECK(IsServing(id));
  return nodes_[static_cast<size_t>(Find(id))]->open_count;
}

void ClusterModel::FillReport(absl::string_view id, NodeReport& report) {
  HR_CHECK(IsServing(id));
  Node& node = At(Find(id));
  static_cast<NodeGauges&>(report) = {.boot_id = BootId(node),
                                      .sequence = ++node.sequence,
                                      .open_count = node.open_count,
                                      .active_count = node.active_count,
                                      .in_flight_count = node.active_count,
                                      .limits = node.limits,
                                      .accept_queue_count = static_cast<int64_t>(node.queue.size()),
                                      .accept_queue_count_max = settings_.node.backlog,
                                      .fd_count = node.open_count + 32,
                                      .fd_count_max = settings_.node.fd_count_max,
                                      .memory_bytes = MemoryBytes(node),
                                      .memory_bytes_max = settings_.node.memory.bytes_max,
                                      .cpu_count = settings_.node.cores,
                                      .ceiling_memory_count = MemoryCeiling(node)};
  if (settings_.node.data.bytes_per_node > 0) {
    report.stored_bytes = StoredBytes(node);
    report.capacity_bytes = settings_.node.data.capacity_bytes;
  }
  FillWork(node, report);
  FillPressure(node, report);
  if (node.state == NodeState::kDraining) report.state = ServerState::kDraining;
  node.is_calm = !IsFull(node) && node.counters.rejected == node.rejected_reported;
  node.rejected_reported = node.counters.rejected;
  FillIdleAges(node, report);
  FillClients(node, report);
}

int64_t ClusterModel::StoredBytes(const Node& node) const {
  const DataSettings& data = settings_.node.data;
  if (node.launch_id.empty()) return data.bytes_per_node;
  const double seconds = absl::ToDoubleSeconds(absl::Nanoseconds(now_ - node.launched_nanos));
  const double received = seconds * static_cast<double>(data.received_per_second);
  return static_cast<int64_t>(std::min(received, static_cast<double>(data.bytes_per_node)));
}

std::optional<int64_t> ClusterModel::MemoryCeiling(const Node& node) const {
  const MemorySettings& memory = settings_.node.memory;
  if (memory.bytes_max == 0) return std::nullopt;
  const double room = kMemoryShareMax * static_cast<double>(memory.bytes_max) - static_cast<double>(memory.base_bytes) -
                      static_cast<double>(node.active_count * memory.bytes_per_request);
  return std::max<int64_t>(1, static_cast<int64_t>(room / static_cast<double>(memory.bytes_per_connection)));
}

void ClusterModel::FillWork(Node& node, NodeReport& report) {
  NodeCounters& counters = node.counters;
  counters.uptime = absl::Nanoseconds(now_ - node.booted_nanos);
  const int64_t ahead = std::max<int64_t>(0, node.cores.free_nanos - now_);
  const double ahead_work = static_cast<double>(ahead) * settings_.node.cores;
  counters.cpu_time = absl::Nanoseconds(node.cores.work_nanos - static_cast<int64_t>(ahead_work));
  counters.device_time = absl::Nanoseconds(node.device_nanos);
  counters.sent_bytes = counters.completed * settings_.node.object_bytes;
  counters.segments_out = counters.completed * Segments() + node.retransmits;
  counters.retransmits = node.retransmits;
  report.counters = counters;
}

// The shares of time since the last report, averaged as the kernel does.
void ClusterModel::FillPressure(Node& node, NodeReport& report) {
  const double span = static_cast<double>(now_ - node.processor_pressure.at_nanos);
  const int64_t stalled = node.cores.stalled_nanos - std::max<int64_t>(0, node.cores.stalled_until_nanos - now_);
  const double waited = span <= 0 ? 0 : static_cast<double>(stalled - node.stalled_reported_nanos) / span;
  node.stalled_reported_nanos = stalled;
  report.cpu_some_ratio = node.processor_pressure.Add(waited, now_);
  // Of the time with work, what the device took beyond its usual share.
  const double slowness = node.condition.device_slowness;
  const double stall = node.active_count > 0 && slowness > 1 ? 1 - 1 / slowness : 0;
  report.io_full_ratio = node.device_pressure.Add(stall, now_);
  if (settings_.node.memory.bytes_max == 0) return;
  const double full = std::clamp((MemoryShare(node) - 0.95) * 10, 0.0, 1.0);
  report.memory_full_ratio = node.memory_pressure.Add(full, now_);
}

double ClusterModel::Pressure::Add(double share, int64_t now_nanos) {
  constexpr double kSpanNanos = 10e9;
  const double weight = -std::expm1(-static_cast<double>(now_nanos - at_nanos) / kSpanNanos);
  at_nanos = now_nanos;
  ratio += weight * (share - ratio);
  return ratio;
}

void ClusterModel::FillIdleAges(const Node& node, NodeReport& report) const {
  for (int32_t at = node.idle.oldest; at != Connection::kNone; at = connections_[at].newer) {
    const absl::Duration age = absl::Nanoseconds(now_ - connections_[at].since_nanos);
    const auto* bucket = std::upper_bound(std::begin(kIdleAgeBounds), std::end(kIdleAgeBounds), age);
    ++report.idle_age_counts[static_cast<size_t>(bucket - std::begin(kIdleAgeBounds))];
  }
}

void ClusterModel::FillClients(const Node& node, NodeReport& report) const {
  std::vector<std::pair<int32_t, int32_t>> top;  // open connections, client: negative, so that ties go to the lowest
  for (size_t client = 0; client < node.open_by_client.size(); ++client) {
    if (node.open_by_client[client] > 0) top.emplace_back(node.open_by_client[client], -static_cast<int32_t>(client));
  }
  report.client_count = static_cast<int64_t>(top.size());
  const auto shown = std::min<size_t>(top.size(), NodeReport::kTopClientsMax);
  std::partial_sort(top.begin(), top.begin() + static_cast<ptrdiff_t>(shown), top.end(), std::greater<>());
  for (size_t at = 0; at < shown; ++at) {
    report.top_clients.push_back({.address = absl::StrCat("client-", -top[at].second), .open_count = top[at].first});
  }
}

}  // namespace headroom::sim
