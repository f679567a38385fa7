// The side of the nodes: the accept queue, slots, service, idle connections, controls and reports.
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kCpuPerRequest = absl::Microseconds(150);
constexpr absl::Duration kIdleAgeBounds[NodeReport::kIdleAges - 1] = {
    absl::Seconds(1), absl::Seconds(5), absl::Seconds(15), absl::Seconds(30), absl::Seconds(60), absl::Seconds(300)};

absl::Status NoSuchNode(absl::string_view node) {
  return absl::NotFoundError(absl::StrCat("no node ", node));
}

}  // namespace

int32_t ClusterModel::Find(absl::string_view id) const {
  const auto found = node_index_.find(id);
  return found == node_index_.end() ? Connection::kNone : found->second;
}

bool ClusterModel::IsFull(const Node& node) const {
  return node.limits.connection_count_max > 0 && node.open_count >= node.limits.connection_count_max;
}

void ClusterModel::Accept(int32_t index) {
  Node& node = At(index);
  while (!node.queue.empty() && !IsFull(node)) {
    const Waiting waiting = node.queue.front();
    node.queue.pop_front();
    ++node.counters.accepted;
    if (!IsCurrent(waiting.request, waiting.serial)) continue;  // the client left; seen and closed only now
    const int32_t client = requests_[waiting.request].client;
    const int32_t connection = connections_.Take(index, client);
    ++node.open_count;
    if (static_cast<size_t>(client) >= node.open_by_client.size()) {
      node.open_by_client.resize(static_cast<size_t>(client) + 1);
    }
    ++node.open_by_client[static_cast<size_t>(client)];
    if (IsFull(node)) Turn(index, Urgency::kLimitReached);
    Serve(connection, waiting.request);
  }
}

double ClusterModel::ServiceSeconds(const Node& node) {
  const NodeSettings& law = settings_.node;
  const auto active = static_cast<double>(node.active_count);
  double factor = node.slowness * (1 + law.linear * (active - 1));
  if (law.knee > 0) {
    const auto knee = static_cast<double>(law.knee);
    factor += node.slowness * (1 - law.linear) / (knee * knee) * active * (active - 1);
  }
  return Exponential(random_) * absl::ToDoubleSeconds(law.service_time) * factor;
}

void ClusterModel::Serve(int32_t index, uint32_t request) {
  Connection& connection = connections_[index];
  Node& node = At(connection.node);
  ++node.active_count;
  requests_[request].state = RequestState::kServing;
  connection.busy = true;
  connection.since_nanos = now_;
  connection.request = request;
  connection.attempt = requests_[request].serial;
  Schedule(kFinish, static_cast<uint32_t>(index), connection.serial, static_cast<int64_t>(ServiceSeconds(node) * 1e9));
}

void ClusterModel::Finish(int32_t index) {
  Connection& connection = connections_[index];
  const int32_t at = connection.node;
  Node& node = At(at);
  const absl::Duration took = absl::Nanoseconds(now_ - connection.since_nanos);
  --node.active_count;
  connection.busy = false;
  ++node.counters.completed;
  node.counters.latency.Add(took);
  node.counters.device_time = node.counters.device_time.value_or(absl::ZeroDuration()) + took;
  if (!IsCurrent(connection.request, connection.attempt)) {
    Close(index);  // zombie work: the client had given up
  } else {
    requests_[connection.request].holds_connection = false;
    End(connection.request, &ClientStatistics::completed);
    node.state == NodeState::kDraining ? CloseServed(index) : KeepAlive(index);
  }
  Accept(at);
}

void ClusterModel::KeepAlive(int32_t index) {
  Connection& connection = connections_[index];
  connection.since_nanos = now_;
  Node& node = At(connection.node);
  connections_.LinkIdle(node.idle, Newest(node), index);
  ArmExpiry(connection.node);
  WakeWaiting(connection.client);
}

void ClusterModel::Close(int32_t index) {
  Node& node = At(connections_[index].node);
  --node.open_count;
  --node.open_by_client[static_cast<size_t>(connections_[index].client)];
  connections_.GiveBack(index);
}

void ClusterModel::CloseServed(int32_t index) {
  const int32_t client = connections_[index].client;
  Close(index);
  ReleaseConnection(client);
}

void ClusterModel::CloseIdle(int32_t index, int64_t NodeCounters::*counter) {
  Node& node = At(connections_[index].node);
  ++(node.counters.*counter);
  const int32_t client = connections_[index].client;
  connections_.UnlinkIdle(node.idle, Newest(node), index);
  Close(index);
  ReleaseConnection(client);
}

void ClusterModel::ArmExpiry(int32_t index) {
  Node& node = At(index);
  const int64_t timeout = absl::ToInt64Nanoseconds(node.limits.idle_timeout);
  if (node.expiry_armed_nanos != 0 || node.idle.oldest == Connection::kNone || timeout == 0) return;
  const int64_t due = connections_[node.idle.oldest].since_nanos + timeout;
  node.expiry_armed_nanos = std::max(due, now_ + 1);
  Schedule(kIdleExpiry, static_cast<uint32_t>(index), node.boot, node.expiry_armed_nanos - now_);
}

void ClusterModel::ExpireIdle(int32_t index) {
  Node& node = At(index);
  if (node.expiry_armed_nanos != now_) return;  // armed anew since, for a shorter timeout
  node.expiry_armed_nanos = 0;
  const int64_t timeout = absl::ToInt64Nanoseconds(node.limits.idle_timeout);
  while (timeout > 0 && node.idle.oldest != Connection::kNone &&
         connections_[node.idle.oldest].since_nanos + timeout <= now_) {
    CloseIdle(node.idle.oldest, &NodeCounters::closed_idle);
  }
  ArmExpiry(index);
  Accept(index);
}

void ClusterModel::Turn(int32_t index, Urgency urgency) {
  Node& node = At(index);
  if (!node.is_calm) return;
  node.is_calm = false;
  changes_.push_back({.node = node.id, .what = NodeChange::What::kTurned, .urgency = urgency});
}

void ClusterModel::RefreshServing() {
  serving_.clear();
  for (const auto& [id, index] : node_index_) {
    if (At(index).state == NodeState::kServing) serving_.push_back(index);
  }
}

NodeId ClusterModel::Launch(const LaunchSettings& settings) {
  const auto index = static_cast<int32_t>(nodes_.size());
  nodes_.push_back(std::make_unique<Node>());
  Node& node = *nodes_.back();
  node.id = absl::StrCat("sim-", nodes_.size());
  node.zone = settings.zone;
  node.launch_id = settings.launch_id;
  node_index_.emplace(node.id, index);
  Schedule(kBooted, static_cast<uint32_t>(index), node.boot, absl::ToInt64Nanoseconds(settings.boot));
  return node.id;
}

void ClusterModel::Boot(int32_t index) {
  Node& node = At(index);
  node.state = NodeState::kServing;
  node.limits = {.connection_count_max = settings_.node.connection_limit, .idle_timeout = settings_.node.idle_timeout};
  node.booted_nanos = now_;
  node.sequence = 0;
  node.counters = {};
  node.counters.overflows = 0;
  node.counters.device_time = absl::ZeroDuration();
  node.is_calm = true;
  node.rejected_reported = 0;
  changes_.push_back({.node = node.id, .what = NodeChange::What::kServing});
  RefreshServing();
}

void ClusterModel::ResetConnections(int32_t index) {
  Node& node = At(index);
  ++node.boot;
  node.expiry_armed_nanos = 0;
  const std::deque<Waiting> queue = std::exchange(node.queue, {});
  for (const Waiting& waiting : queue) {
    if (IsCurrent(waiting.request, waiting.serial)) FailAttempt(waiting.request);
  }
  while (node.idle.oldest != Connection::kNone) CloseIdle(node.idle.oldest, &NodeCounters::closed_idle);
  for (int32_t connection = 0; connection < connections_.size(); ++connection) {
    const Connection reset = connections_[connection];
    if (reset.node != index) continue;
    Close(connection);
    if (IsCurrent(reset.request, reset.attempt)) FailAttempt(reset.request);
  }
  node.active_count = 0;
}

absl::Status ClusterModel::Terminate(absl::string_view id) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  const bool was_heard = node.state != NodeState::kBooting;
  node.state = NodeState::kGone;
  node_index_.erase(node.id);
  RefreshServing();
  ResetConnections(index);
  if (was_heard) changes_.push_back({.node = node.id, .what = NodeChange::What::kStopped});
  return absl::OkStatus();
}

absl::Status ClusterModel::Restart(absl::string_view id, absl::Duration down) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  const bool was_heard = node.state != NodeState::kBooting;
  node.state = NodeState::kBooting;
  RefreshServing();
  ResetConnections(index);
  Schedule(kBooted, static_cast<uint32_t>(index), node.boot, absl::ToInt64Nanoseconds(down));
  if (was_heard) changes_.push_back({.node = node.id, .what = NodeChange::What::kStopped});
  return absl::OkStatus();
}

absl::Status ClusterModel::SetLimits(absl::string_view id, const LimitsInForce& limits) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  node.limits = limits;
  node.expiry_armed_nanos = 0;
  ArmExpiry(index);
  Accept(index);
  return absl::OkStatus();
}

absl::Status ClusterModel::Shed(absl::string_view id, const ShedConnections& order) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  const int64_t youngest = now_ - absl::ToInt64Nanoseconds(order.idle_min);
  for (int64_t closed = 0; closed < order.connection_count && node.idle.oldest != Connection::kNone &&
                           connections_[node.idle.oldest].since_nanos <= youngest;
       ++closed) {
    CloseIdle(node.idle.oldest, &NodeCounters::shed);
  }
  Accept(index);
  return absl::OkStatus();
}

absl::Status ClusterModel::Drain(absl::string_view id) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  if (node.state != NodeState::kServing) return absl::FailedPreconditionError(absl::StrCat(id, " does not serve"));
  node.state = NodeState::kDraining;
  RefreshServing();
  while (node.idle.oldest != Connection::kNone) CloseIdle(node.idle.oldest, &NodeCounters::shed);
  Accept(index);
  return absl::OkStatus();
}

absl::Status ClusterModel::Undrain(absl::string_view id) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  if (node.state == NodeState::kDraining) node.state = NodeState::kServing;
  RefreshServing();
  return absl::OkStatus();
}

absl::Status ClusterModel::SetSlowness(absl::string_view id, double factor) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  At(index).slowness = factor;
  return absl::OkStatus();
}

std::vector<Machine> ClusterModel::Machines() const {
  std::vector<Machine> machines;
  for (const auto& [id, index] : node_index_) {
    const Node& node = *nodes_[static_cast<size_t>(index)];
    const bool booting = node.state == NodeState::kBooting && node.boot == 0;
    machines.push_back({.node = id,
                        .state = booting ? Machine::State::kStarting : Machine::State::kRunning,
                        .zone = node.zone,
                        .launch_id = node.launch_id});
  }
  return machines;
}

bool ClusterModel::IsServing(absl::string_view id) const {
  const int32_t index = Find(id);
  return index != Connection::kNone && nodes_[static_cast<size_t>(index)]->state != NodeState::kBooting;
}

const LimitsInForce& ClusterModel::Limits(absl::string_view id) const {
  HR_CHECK(IsServing(id));
  return nodes_[static_cast<size_t>(Find(id))]->limits;
}

// Unlike that of any other run: a controller that remembers an earlier one must not take this for it.
std::string ClusterModel::BootId(const Node& node) const {
  return absl::StrCat(node.id, "-", absl::ToUnixSeconds(settings_.start), "-", node.boot);
}

NodeHello ClusterModel::Hello(absl::string_view id) const {
  HR_CHECK(IsServing(id));
  const Node& node = *nodes_[static_cast<size_t>(Find(id))];
  return {.boot_id = BootId(node),
          .capabilities = {"limit", "idle_timeout", "shed", "drain"},
          .server_version = "simulated/1",
          .limits = node.limits,
          .address = absl::StrCat(node.id, ":80"),
          .zone = node.zone,
          .launch_id = node.launch_id,
          .fd_count_max = settings_.node.fd_count_max,
          .configured_count_max = settings_.node.connection_limit,
          .configured_idle_timeout = settings_.node.idle_timeout};
}

NodeReport ClusterModel::Report(absl::string_view id) {
  HR_CHECK(IsServing(id));
  Node& node = At(Find(id));
  NodeReport report{{.boot_id = BootId(node),
                     .sequence = ++node.sequence,
                     .open_count = node.open_count,
                     .active_count = node.active_count,
                     .in_flight_count = node.active_count,
                     .limits = node.limits,
                     .accept_queue_count = static_cast<int64_t>(node.queue.size()),
                     .accept_queue_count_max = settings_.node.backlog,
                     .fd_count = node.open_count + 32,
                     .fd_count_max = settings_.node.fd_count_max,
                     .cpu_count = 2},
                    {}};
  node.counters.uptime = absl::Nanoseconds(now_ - node.booted_nanos);
  node.counters.cpu_time = static_cast<double>(node.counters.completed) * kCpuPerRequest;
  node.counters.sent_bytes = node.counters.completed * settings_.node.object_bytes;
  report.counters = node.counters;
  if (node.state == NodeState::kDraining) report.state = ServerState::kDraining;
  node.is_calm = !IsFull(node) && node.counters.rejected == node.rejected_reported;
  node.rejected_reported = node.counters.rejected;
  FillIdleAges(node, report);
  FillClients(node, report);
  return report;
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
