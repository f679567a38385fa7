// The side of the clients: arrivals, attempts, SYNs, time-outs, retries, and the order of events.
#include <algorithm>
#include <cmath>
#include <utility>

#include "controller/base/check.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

constexpr int64_t kNanos = 1'000'000'000;
constexpr int kSynsLinear = 4;  // tcp_syn_linear_timeouts: a second apart, then doubling

int64_t Nanos(double seconds) {
  return static_cast<int64_t>(seconds * static_cast<double>(kNanos));
}

}  // namespace

ClientStatistics& ClientStatistics::operator+=(const ClientStatistics& other) {
  offered += other.offered;
  completed += other.completed;
  failed += other.failed;
  attempts += other.attempts;
  syn_drops += other.syn_drops;
  latency_sum += other.latency_sum;
  latency += other.latency;
  return *this;
}

ClusterModel::ClusterModel(ClusterSettings settings)
    : settings_(std::move(settings)),
      connect_timeout_nanos_(absl::ToInt64Nanoseconds(settings_.client.connect_timeout)),
      request_timeout_nanos_(absl::ToInt64Nanoseconds(settings_.client.request_timeout)),
      processor_nanos_(absl::ToInt64Nanoseconds(settings_.node.processor_time)),
      random_(settings_.seed) {
  for (const Phase& phase : settings_.phases) {
    HR_CHECK(phase.duration > absl::ZeroDuration() && phase.clients > 0);
    clients_end_ = std::max(clients_end_, static_cast<int32_t>(phase.clients));
  }
  if (!settings_.phases.empty()) EnterPhase(0);
}

absl::Time ClusterModel::AdvanceTo(absl::Time until) {
  const int64_t until_nanos = absl::ToInt64Nanoseconds(until - settings_.start);
  while (changes_.empty() && timers_.NextAt() <= until_nanos) {
    const Timer timer = timers_.Pop();
    now_ = timer.at_nanos;
    ++events_;
    Handle(timer);
  }
  if (changes_.empty()) now_ = std::max(now_, until_nanos);
  return now();
}

std::vector<NodeChange> ClusterModel::TakeChanges() {
  return std::exchange(changes_, {});
}

void ClusterModel::Handle(const Timer& timer) {
  const auto index = static_cast<int32_t>(timer.subject);
  switch (static_cast<Kind>(timer.kind)) {
    case kArrival:
      if (timer.serial == phase_serial_) Arrive();
      return;
    case kPhase:
      return EnterPhase((phase_ + 1) % settings_.phases.size());
    case kSyn:
      if (IsCurrent(timer.subject, timer.serial)) SendSyn(timer.subject);
      return;
    case kFinish:
      if (connections_[index].serial == timer.serial) Finish(index);
      return;
    case kRetry:
      if (IsCurrent(timer.subject, timer.serial)) Attempt(timer.subject);
      return;
    case kConnectDeadline:
      if (IsCurrent(timer.subject, timer.serial) && requests_[timer.subject].state == RequestState::kConnecting) {
        FailAttempt(timer.subject);
      }
      return;
    case kDeadline:
      if (IsCurrent(timer.subject, timer.serial)) FailAttempt(timer.subject);
      return;
    case kLeak:
      if (timer.serial == leak_serial_) Leak();
      return;
    default:
      if (At(index).boot == timer.serial) HandleNode(timer);
  }
}

void ClusterModel::Schedule(Kind kind, uint32_t subject, uint32_t serial, int64_t delay_nanos) {
  const Timer timer{.at_nanos = now_ + delay_nanos, .subject = subject, .serial = serial, .kind = kind};
  if (kind == kConnectDeadline) {
    timers_.AddInOrder(kConnectQueue, timer);
  } else if (kind == kDeadline && delay_nanos == request_timeout_nanos_) {
    timers_.AddInOrder(kRequestQueue, timer);
  } else {
    timers_.Add(timer);
  }
}

ClientStatistics& ClusterModel::Second() {
  const int64_t second = now_ / kNanos;
  while (first_second_ + static_cast<int64_t>(seconds_.size()) <= second) {
    seconds_.emplace_back();
    if (static_cast<int64_t>(seconds_.size()) > kSecondsMax) {
      seconds_.pop_front();
      ++first_second_;
    }
  }
  return seconds_[static_cast<size_t>(second - first_second_)];
}

void ClusterModel::Count(int64_t ClientStatistics::*counter) {
  ++(Second().*counter);
  ++(total_.*counter);
}

ClientStatistics ClusterModel::Statistics(absl::Time from, absl::Time to) const {
  const int64_t begin = std::max(absl::ToInt64Seconds(from - settings_.start), first_second_);
  const int64_t end =
      std::min(absl::ToInt64Seconds(to - settings_.start), first_second_ + static_cast<int64_t>(seconds_.size()));
  ClientStatistics sum;
  for (int64_t second = begin; second < end; ++second) sum += seconds_[static_cast<size_t>(second - first_second_)];
  return sum;
}

void ClusterModel::EnterPhase(size_t phase) {
  phase_ = phase;
  ++phase_serial_;  // the exponential has no memory: the pending arrival of the old rate is drawn again
  Schedule(kPhase, 0, 0, absl::ToInt64Nanoseconds(settings_.phases[phase].duration));
  ScheduleArrival();
}

void ClusterModel::ScheduleArrival() {
  const double rate = settings_.phases[phase_].requests_per_second;
  if (rate > 0) Schedule(kArrival, 0, phase_serial_, Nanos(Exponential(random_) / rate));
}

void ClusterModel::Arrive() {
  ScheduleArrival();
  Count(&ClientStatistics::offered);
  uint32_t index = static_cast<uint32_t>(requests_.size());
  if (free_requests_.empty()) {
    requests_.emplace_back();
  } else {
    index = free_requests_.back();
    free_requests_.pop_back();
  }
  Request& request = requests_[index];
  request = {.serial = request.serial, .begun_nanos = now_};
  request.client = static_cast<int32_t>(Index(random_, static_cast<uint32_t>(settings_.phases[phase_].clients)));
  const auto client = static_cast<size_t>(request.client);
  if (client >= clients_.size()) clients_.resize(client + 1);
  Attempt(index);
}

void ClusterModel::Attempt(uint32_t index) {
  Count(&ClientStatistics::attempts);
  Route(index);
}

// A node that lacks the object passes the request on.
int32_t ClusterModel::ChooseByData(int32_t node) {
  constexpr int kPassesMax = 16;
  const auto whole = static_cast<double>(settings_.node.data.bytes_per_node);
  if (whole <= 0) return node;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    if (Uniform(random_) * whole < static_cast<double>(StoredBytes(At(node)))) break;
    node = serving_[Index(random_, static_cast<uint32_t>(serving_.size()))];
  }
  return node;
}

int32_t ClusterModel::ChooseNode() {
  Serving();
  if (!wanted_.empty()) {
    double draw = Uniform(random_);
    for (const int32_t node : wanted_) {
      if (draw < At(node).condition.attraction) return node;
      draw -= At(node).condition.attraction;
    }
  }
  const auto count = static_cast<uint32_t>(serving_.size());
  const uint32_t begin = Index(random_, count);
  if (settings_.client.spread == Spread::kRequests) return ChooseByData(serving_[begin]);
  const auto load = [this](int32_t node) { return At(node).open_count + static_cast<int64_t>(At(node).queue.size()); };
  int32_t best = serving_[begin];
  for (uint32_t step = 1; step < count && load(best) > 0; ++step) {
    const int32_t node = serving_[(begin + step) % count];
    if (load(node) < load(best)) best = node;
  }
  return best;
}

void ClusterModel::Route(uint32_t index) {
  Request& request = requests_[index];
  ++request.serial;
  request.syns = 0;
  if (Serving().empty()) return FailAttempt(index);
  Client& client = clients_[static_cast<size_t>(request.client)];
  const bool spreads_requests = settings_.client.spread == Spread::kRequests;
  if (spreads_requests) request.node = ChooseNode();
  const NewestOfClient& newest = spreads_requests ? At(request.node).newest_of_client : newest_of_client_;
  const int32_t kept = ConnectionPool::NewestOf(newest, request.client);
  if (kept != Connection::kNone) return UseConnection(index, kept);
  if (settings_.client.connections_max > 0 && client.connection_count >= settings_.client.connections_max) {
    request.state = RequestState::kPooled;
    client.waiting.push_back({index, request.serial});
    return Schedule(kDeadline, index, request.serial, RequestTimeout());
  }
  if (!spreads_requests) request.node = ChooseNode();
  request.state = RequestState::kConnecting;
  request.holds_connection = true;
  ++client.connection_count;
  Schedule(kConnectDeadline, index, request.serial, connect_timeout_nanos_);
  SendSyn(index);
}

void ClusterModel::UseConnection(uint32_t index, int32_t connection) {
  Request& request = requests_[index];
  Node& node = At(connections_[connection].node);
  request.node = connections_[connection].node;
  request.holds_connection = true;
  connections_.UnlinkIdle(node.idle, Newest(node), connection);
  Schedule(kDeadline, index, request.serial, RequestTimeout());
  Serve(connection, index);
}

void ClusterModel::ReleaseConnection(int32_t client) {
  --clients_[static_cast<size_t>(client)].connection_count;
  WakeWaiting(client);
}

void ClusterModel::WakeWaiting(int32_t index) {
  std::deque<Waiting>& waiting = clients_[static_cast<size_t>(index)].waiting;
  while (!waiting.empty()) {
    const Waiting next = waiting.front();
    waiting.pop_front();
    if (IsCurrent(next.request, next.serial)) return Route(next.request);
  }
}

void ClusterModel::SendSyn(uint32_t index) {
  Request& request = requests_[index];
  Node& node = At(request.node);
  if (node.state == NodeState::kBooting || node.state == NodeState::kGone) return FailAttempt(index);
  if (node.state == NodeState::kDark) return SendSynAgain(index);
  if (node.condition.loss_ratio > 0 && Uniform(random_) < node.condition.loss_ratio) return SendSynAgain(index);
  const bool queued = Enqueue(request.node, {index, request.serial});
  if (!queued) {
    Count(&ClientStatistics::syn_drops);
    return SendSynAgain(index);
  }
  // The kernel has answered: the client takes itself for connected, and its request's time runs.
  request.state = RequestState::kQueued;
  Schedule(kDeadline, index, request.serial, RequestTimeout());
  Accept(request.node);
}

void ClusterModel::SendSynAgain(uint32_t index) {
  Request& request = requests_[index];
  const int doublings = std::max(0, request.syns - kSynsLinear + 1);
  ++request.syns;
  Schedule(kSyn, index, request.serial, kNanos << std::min(doublings, 6));
}

// False: the queue is full, the kernel has dropped it.
bool ClusterModel::Enqueue(int32_t index, Waiting waiting) {
  Node& node = At(index);
  const bool is_full = IsFull(node);
  if (is_full) {
    ++node.counters.rejected;
    Turn(index, Urgency::kRejection);
  }
  const auto waiting_max = static_cast<size_t>(settings_.node.backlog) + 1;
  if (node.queue.size() < waiting_max || (waiting_max == 0 && !is_full)) {
    node.queue.push_back(waiting);
    return true;
  }
  ++node.counters.drops;
  node.counters.overflows = node.counters.drops;
  return false;
}

void ClusterModel::FailAttempt(uint32_t index) {
  Request& request = requests_[index];
  ++request.serial;
  const bool held_connection = std::exchange(request.holds_connection, false);
  const int32_t client = request.client;
  if (MayRetry(request)) {
    Pause(index);
  } else {
    End(index, &ClientStatistics::failed);
  }
  if (held_connection) ReleaseConnection(client);
}

bool ClusterModel::MayRetry(const Request& request) {
  if (request.retries >= client_condition_.retries_max.value_or(settings_.client.retries_max)) return false;
  if (settings_.client.retry_budget_ratio <= 0) return true;
  if (retry_tokens_ < 1) return false;
  --retry_tokens_;
  return true;
}

void ClusterModel::Pause(uint32_t index) {
  Request& request = requests_[index];
  const absl::Duration backoff = client_condition_.backoff.value_or(settings_.client.backoff);
  const double pause = absl::ToDoubleSeconds(backoff) * std::ldexp(Uniform(random_), request.retries);
  ++request.retries;
  request.state = RequestState::kPausing;
  Schedule(kRetry, index, request.serial, Nanos(pause));
}

void ClusterModel::End(uint32_t index, int64_t ClientStatistics::*outcome) {
  Request& request = requests_[index];
  Count(outcome);
  if (outcome == &ClientStatistics::completed) {
    retry_tokens_ = std::min(ClientSettings::kRetryTokensMax, retry_tokens_ + settings_.client.retry_budget_ratio);
    const absl::Duration latency = absl::Nanoseconds(now_ - request.begun_nanos);
    for (ClientStatistics* statistics : {&Second(), &total_}) {
      statistics->latency_sum += latency;
      statistics->latency.Add(latency);
    }
  }
  ++request.serial;
  request.state = RequestState::kFree;
  free_requests_.push_back(index);
}

absl::Status ClusterModel::SetCondition(const ClientCondition& condition) {
  client_condition_ = condition;
  ++leak_serial_;
  if (condition.leaked_per_second > 0) {
    Schedule(kLeak, 0, leak_serial_, Nanos(Exponential(random_) / condition.leaked_per_second));
  }
  return absl::OkStatus();
}

void ClusterModel::Leak() {
  Schedule(kLeak, 0, leak_serial_, Nanos(Exponential(random_) / client_condition_.leaked_per_second));
  const auto leaking = static_cast<uint32_t>(client_condition_.leaking_clients);
  const uint32_t client = static_cast<uint32_t>(clients_end_) + Index(random_, leaking);
  if (Serving().empty()) return;
  const int32_t node = ChooseNode();
  if (Enqueue(node, {Waiting::kLeaked, client})) Accept(node);
}

}  // namespace headroom::sim
