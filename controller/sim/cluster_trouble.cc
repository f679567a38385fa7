// What slows a node down or kills it: cores, memory, its condition, lost packets and probes.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

constexpr int64_t kSegmentBytes = 1448;
constexpr int kTailSegments = 3;  // losses among the last ones are noticed by time only, as is a lost request
constexpr int64_t kFastRetransmitNanos = 2'000'000;
constexpr int64_t kRetransmitTimeoutNanos = 200'000'000;  // doubles with each further loss
constexpr int kTimeoutsMax = 8;
// Garbage collection takes kCollection x share / (1 - share) of the time; past the limit swapping takes over.
constexpr double kCollection = 0.05, kCollectionMax = 0.95, kSwapping = 20, kKilledAt = 1.1;

}  // namespace

absl::Status ClusterModel::SetCondition(absl::string_view id, const NodeCondition& condition) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return absl::NotFoundError(absl::StrCat("no node ", id));
  Node& node = At(index);
  node.condition = condition;
  node.is_ill = condition.device_slowness != 1 || condition.code_slowness != 1 || condition.processor_cost != 1 ||
                condition.error_ratio > 0 || condition.loss_ratio > 0;
  RefreshServing();
  return absl::OkStatus();
}

absl::Status ClusterModel::SetRelease(absl::string_view id, const Release& release) {
  const int32_t index = Find(id);
  if (index == Connection::kNone) return absl::NotFoundError(absl::StrCat("no node ", id));
  At(index).release = release;
  At(index).release_nanos = now_;
  return absl::OkStatus();
}

ClusterModel::Service ClusterModel::DrawService(Node& node) {
  Service service;
  service.nanos = static_cast<int64_t>(Exponential(random_) * LawSeconds(node) * 1e9);
  service.device_nanos = service.nanos;
  if (node.is_ill) Worsen(node, service);
  service.nanos += WaitForCores(node);
  if (settings_.node.memory.bytes_max > 0) {
    const double share = MemoryShare(node);
    const double collected = std::min(kCollectionMax, share < 1 ? kCollection * share / (1 - share) : kCollectionMax);
    const double swapped = 1 + kSwapping * std::max(0.0, share - 1);
    service.nanos = static_cast<int64_t>(static_cast<double>(service.nanos) * swapped / (1 - collected));
  }
  return service;
}

void ClusterModel::Worsen(Node& node, Service& service) {
  const NodeCondition& condition = node.condition;
  const auto usual = static_cast<double>(service.nanos);
  const double more_work = (condition.processor_cost - 1) * static_cast<double>(processor_nanos_);
  service.device_nanos = static_cast<int64_t>(usual * condition.device_slowness);
  service.nanos = service.device_nanos + static_cast<int64_t>(usual * (condition.code_slowness - 1) + more_work);
  if (condition.error_ratio > 0) service.is_error = Uniform(random_) < condition.error_ratio;
  if (condition.loss_ratio > 0) service.transfer_nanos = TransferNanos(node);
}

int64_t ClusterModel::Segments() const {
  return settings_.node.object_bytes / kSegmentBytes + 2;
}

// What the losses of one request and its answer cost in time. Segments that get through take none.
int64_t ClusterModel::TransferNanos(Node& node) {
  const double loss = node.condition.loss_ratio;
  const int64_t answer = Segments();
  int64_t nanos = 0;
  bool tail_lost = false;
  for (int64_t segment = 0; segment <= answer; ++segment) {  // the last one stands for the request
    if (Uniform(random_) >= loss) continue;
    if (segment < answer) ++node.retransmits;
    if (segment >= answer - kTailSegments) tail_lost = true;
    nanos = std::max(nanos, kFastRetransmitNanos);
  }
  if (!tail_lost) return nanos;
  int64_t timeout = kRetransmitTimeoutNanos;
  for (int lost = 0; lost < kTimeoutsMax; ++lost, timeout *= 2) {
    nanos += timeout;
    if (Uniform(random_) >= loss) break;
    ++node.retransmits;
  }
  return nanos;
}

// Work on the cores is done in the order in which it comes, by all of them at once.
int64_t ClusterModel::WaitForCores(Node& node) {
  Cores& cores = node.cores;
  const double work = static_cast<double>(processor_nanos_) * node.condition.processor_cost;
  const int64_t begin = std::max(cores.free_nanos, now_);
  cores.work_nanos += static_cast<int64_t>(work);
  cores.free_nanos = begin + static_cast<int64_t>(work / settings_.node.cores);
  if (begin == now_) return 0;
  cores.stalled_nanos += begin - std::max(cores.stalled_until_nanos, now_);
  cores.stalled_until_nanos = begin;
  return begin - now_;
}

int64_t ClusterModel::MemoryBytes(const Node& node) const {
  const MemorySettings& memory = settings_.node.memory;
  if (memory.bytes_max == 0) return 0;
  return memory.base_bytes + node.open_count * memory.bytes_per_connection +
         node.active_count * memory.bytes_per_request;
}

double ClusterModel::MemoryShare(const Node& node) const {
  return static_cast<double>(MemoryBytes(node)) / static_cast<double>(settings_.node.memory.bytes_max);
}

void ClusterModel::CheckMemory(int32_t index) {
  const Node& node = At(index);
  if (settings_.node.memory.bytes_max == 0 || MemoryShare(node) < kKilledAt) return;
  Schedule(kOutOfMemory, static_cast<uint32_t>(index), node.boot, 0);  // not in the midst of an accept
}

void ClusterModel::HandleNode(const Timer& timer) {
  const auto index = static_cast<int32_t>(timer.subject);
  Node& node = At(index);
  switch (static_cast<Kind>(timer.kind)) {
    case kIdleExpiry:
      return ExpireIdle(index);
    case kBooted:
      return Boot(index);
    case kNoticed:
      if (node.state == NodeState::kDark) node.state = NodeState::kBooting;
      return RefreshServing();
    case kProbe:
      return Probe(index);
    case kProbeDeadline:
      return JudgeProbe(index);
    case kOutOfMemory:
      return TakeDown(node.id, Outage::kCrash, settings_.node.restart).IgnoreError();  // it is there
    default:
      HR_CHECK(false);
  }
}

void ClusterModel::Probe(int32_t index) {
  Node& node = At(index);
  ++node.probe;
  const auto subject = static_cast<uint32_t>(index);
  Schedule(kProbe, subject, node.boot, absl::ToInt64Nanoseconds(settings_.node.probes.interval));
  Schedule(kProbeDeadline, subject, node.boot, absl::ToInt64Nanoseconds(settings_.node.probes.timeout));
  if (Enqueue(index, {Waiting::kProbe, node.probe})) Accept(index);
}

void ClusterModel::JudgeProbe(int32_t index) {
  Node& node = At(index);
  if (node.probe_answered == node.probe) {
    node.probe_failures = 0;
  } else if (++node.probe_failures >= settings_.node.probes.failures_max) {
    TakeDown(node.id, Outage::kRestart, settings_.node.probes.down).IgnoreError();  // it is there
  }
}

}  // namespace headroom::sim
