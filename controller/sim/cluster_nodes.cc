// The side of the nodes: the accept queue, slots, service, idle connections, controls and reports.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

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
    if (waiting.request >= Waiting::kLeaked) {
      AcceptOther(index, waiting);
      continue;
    }
    if (!IsCurrent(waiting.request, waiting.serial)) continue;  // the client left; seen and closed only now
    const int32_t client = requests_[waiting.request].client;
    const int32_t connection = Open(index, client);
    Serve(connection, waiting.request);
  }
}

int32_t ClusterModel::Open(int32_t index, int32_t client) {
  Node& node = At(index);
  const int32_t connection = connections_.Take(index, client);
  ++node.open_count;
  if (static_cast<size_t>(client) >= node.open_by_client.size()) {
    node.open_by_client.resize(static_cast<size_t>(client) + 1);
  }
  ++node.open_by_client[static_cast<size_t>(client)];
  if (IsFull(node)) Turn(index, Urgency::kLimitReached);
  return connection;
}

void ClusterModel::AcceptOther(int32_t index, const Waiting& waiting) {
  Node& node = At(index);
  if (waiting.request == Waiting::kProbe) {  // answered and closed at once
    node.probe_answered = waiting.serial;
    return;
  }
  if (node.state == NodeState::kDraining) return;  // closed at once, as any connection that becomes idle there
  const int32_t connection = Open(index, static_cast<int32_t>(waiting.serial));
  connections_[connection].leaked = true;
  connections_[connection].since_nanos = now_;
  connections_.LinkIdle(node.idle, Newest(node), connection);
  ArmExpiry(index);
  CheckMemory(index);
}

double ClusterModel::LawSeconds(const Node& node) const {
  const NodeSettings& law = settings_.node;
  const auto active = static_cast<double>(node.active_count);
  double factor = 1 + law.linear * (active - 1);
  if (law.knee > 0) {
    const auto knee = static_cast<double>(law.knee);
    factor += (1 - law.linear) / (knee * knee) * active * (active - 1);
  }
  return absl::ToDoubleSeconds(law.service_time) * factor;
}

void ClusterModel::Serve(int32_t index, uint32_t request) {
  Connection& connection = connections_[index];
  Node& node = At(connection.node);
  ++node.active_count;
  requests_[request].state = RequestState::kServing;
  const Service service = DrawService(node);
  connection.busy = true;
  connection.since_nanos = now_;
  connection.service_nanos = service.nanos;
  connection.device_nanos = service.device_nanos;
  connection.is_error = service.is_error;
  connection.is_retry = requests_[request].retries > 0;
  connection.request = request;
  connection.attempt = requests_[request].serial;
  Schedule(kFinish, static_cast<uint32_t>(index), connection.serial, service.nanos + service.transfer_nanos);
  if (settings_.node.memory.bytes_max > 0) CheckMemory(connection.node);
}

void ClusterModel::Finish(int32_t index) {
  Connection& connection = connections_[index];
  const int32_t at = connection.node;
  Node& node = At(at);
  --node.active_count;
  connection.busy = false;
  CountWork(node, connection);
  if (!IsCurrent(connection.request, connection.attempt)) {
    Close(index);  // zombie work: the client had given up
    return Accept(at);
  }
  const bool is_error = connection.is_error;
  const uint32_t request = connection.request;
  requests_[request].holds_connection = false;
  if (!is_error) End(request, &ClientStatistics::completed);
  node.state == NodeState::kDraining ? CloseServed(index) : KeepAlive(index);
  if (is_error) FailAttempt(request);
  Accept(at);
}

void ClusterModel::CountWork(Node& node, const Connection& connection) {
  NodeCounters& counters = node.counters;
  ++counters.completed;
  counters.latency.Add(absl::Nanoseconds(connection.service_nanos));
  node.device_nanos += connection.device_nanos;
  if (connection.is_retry && counters.retries.has_value()) ++*counters.retries;
  if (!connection.is_error) return;
  ++counters.errors;
  if (!IsFull(node)) ++counters.errors_slots_free;
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
  const bool leaked = connections_[index].leaked;
  connections_.UnlinkIdle(node.idle, Newest(node), index);
  Close(index);
  if (!leaked) ReleaseConnection(client);
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

// Thousands of nodes that turn at one moment cost one walk over them, not one each.
const std::vector<int32_t>& ClusterModel::Serving() {
  if (std::exchange(serving_is_stale_, false)) ListServing();
  return serving_;
}

void ClusterModel::ListServing() {
  serving_.clear();
  wanted_.clear();
  std::vector<int32_t> shunned;
  for (const auto& [id, index] : node_index_) {
    const Node& node = At(index);
    if (node.state != NodeState::kServing && node.state != NodeState::kDark) continue;
    (node.condition.shunned ? shunned : serving_).push_back(index);
    if (node.condition.attraction > 0) wanted_.push_back(index);
  }
  if (serving_.empty()) serving_ = std::move(shunned);
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
  if (node.launched_nanos < 0) node.launched_nanos = now_;
  node.sequence = 0;
  node.counters = {};
  node.counters.overflows = 0;
  if (settings_.client.tells_attempts) node.counters.retries = 0;
  node.is_calm = true;
  node.rejected_reported = 0;
  node.cores = {.free_nanos = now_, .stalled_until_nanos = now_};
  node.processor_pressure = node.memory_pressure = node.device_pressure = {.at_nanos = now_};
  node.retransmits = node.stalled_reported_nanos = node.device_nanos = 0;
  node.probe = node.probe_answered = 0;
  node.probe_failures = 0;
  changes_.push_back({.node = node.id, .what = NodeChange::What::kServing});
  RefreshServing();
  const ProbeSettings& probes = settings_.node.probes;
  if (probes.way == ProbeSettings::Way::kShared) {
    const auto first = static_cast<int64_t>(Uniform(random_) * absl::ToDoubleSeconds(probes.interval) * 1e9);
    Schedule(kProbe, static_cast<uint32_t>(index), node.boot, first);
  }
}

void ClusterModel::ResetConnections(int32_t index, Outage how) {
  Node& node = At(index);
  ++node.boot;
  node.expiry_armed_nanos = 0;
  const std::deque<Waiting> queue = std::exchange(node.queue, {});
  const bool is_silent = how == Outage::kPowerLoss;  // clients find out when their time is over
  for (const Waiting& waiting : queue) {
    if (waiting.request >= Waiting::kLeaked || is_silent) continue;
    if (IsCurrent(waiting.request, waiting.serial)) FailAttempt(waiting.request);
  }
  while (node.idle.oldest != Connection::kNone) CloseIdle(node.idle.oldest, &NodeCounters::closed_idle);
  for (int32_t connection = 0; connection < connections_.size(); ++connection) {
    const Connection reset = connections_[connection];
    if (reset.node != index) continue;
    Close(connection);
    if (!is_silent && IsCurrent(reset.request, reset.attempt)) FailAttempt(reset.request);
  }
  node.active_count = 0;
}

absl::Status ClusterModel::Terminate(absl::string_view id) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  const bool was_heard = Speaks(node);
  node.state = NodeState::kGone;
  node_index_.erase(node.id);
  RefreshServing();
  ResetConnections(index, Outage::kCrash);
  if (was_heard) changes_.push_back({.node = node.id, .what = NodeChange::What::kStopped});
  return absl::OkStatus();
}

absl::Status ClusterModel::TakeDown(absl::string_view id, Outage how, absl::Duration down) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return NoSuchNode(id);
  Node& node = At(index);
  const bool was_heard = Speaks(node), booting_still = node.state == NodeState::kBooting && node.boot == 0;
  if (booting_still) return absl::FailedPreconditionError(absl::StrCat(id, " has not booted yet"));
  node.state = how == Outage::kPowerLoss ? NodeState::kDark : NodeState::kBooting;
  RefreshServing();
  ResetConnections(index, how);
  const auto subject = static_cast<uint32_t>(index);
  Schedule(kBooted, subject, node.boot, absl::ToInt64Nanoseconds(down));
  if (how == Outage::kPowerLoss) {
    Schedule(kNoticed, subject, node.boot, absl::ToInt64Nanoseconds(settings_.client.detection));
  }
  if (!was_heard) return absl::OkStatus();
  const NodeChange::What whats[] = {NodeChange::What::kStopped, NodeChange::What::kCrashed, NodeChange::What::kSilent};
  changes_.push_back({.node = node.id, .what = whats[static_cast<size_t>(how)]});
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
  return index != Connection::kNone && Speaks(*nodes_[static_cast<size_t>(index)]);
}

const LimitsInForce& ClusterModel::Limits(absl::string_view id) const {
  HR_CHECK(IsServing(id));
  return nodes_[static_cast<size_t>(Find(id))]->limits;
}

}  // namespace headroom::sim
