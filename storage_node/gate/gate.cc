#include "storage_node/gate/gate.h"

#include <algorithm>

namespace headroom {
namespace {

constexpr int64_t kReservedLeast = 16;
constexpr int64_t kReservedPercent = 2;
constexpr int64_t kReliefPercent =
    5;  // free slots that end an episode of pressure, so that one slot to and fro does not

int64_t ReservedFor(int64_t limit) {
  return std::max(kReservedLeast, limit * kReservedPercent / 100);
}

size_t ThisThread() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t index = threads.fetch_add(1, std::memory_order_relaxed);
  return index;
}

void Add(std::atomic<int64_t>& counter, int64_t by) {
  counter.fetch_add(by, std::memory_order_relaxed);
}
int64_t Get(const std::atomic<int64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

}  // namespace

Gate::Gate(const GateLimits& limits)
    : clients_(limits.connections), reserved_(ReservedFor(limits.connections)), requests_(SlotCounter::kMost) {
  SetInFlightLimit(limits.in_flight);
  SetIdleTimeout(limits.idle_timeout);
  SetShedIdleMinAge(limits.shed_idle_min_age);
}

std::optional<ConnectionSlot> Gate::TryReserved() {
  if (reserved_.TryTake() == 0) return std::nullopt;
  return ConnectionSlot(this, SlotClass::kReserved);
}

std::optional<RequestSlot> Gate::RefuseRequest() {
  Add(requests_rejected_, 1);
  return std::nullopt;
}

void Gate::Record(const RequestOutcome& outcome) {
  RequestShard& shard = shards_[ThisThread() % kShards];
  Add(shard.completed, 1);
  Add(shard.bytes_in, outcome.bytes_in);
  Add(shard.bytes_out, outcome.bytes_out);
  const int bucket = LatencyHistogram::BucketOf(absl::ToInt64Microseconds(outcome.latency));
  Add(shard.latency[static_cast<size_t>(bucket)], 1);
  if (outcome.status < 500) return;
  Add(shard.errors_5xx, 1);
  if (!clients_.full()) Add(shard.errors_while_slots_free, 1);
}

void Gate::NoteWaiting(int64_t newly, int64_t waiting) {
  waiting_.store(std::max<int64_t>(waiting, 0));
  if (newly > 0) {
    Add(rejected_, newly);
    Raise(Pressure::kRejecting);
  } else {
    RelieveIfSo();
  }
}

void Gate::Abandon(SlotClass slot_class) {
  if (slot_class == SlotClass::kReserved) {
    reserved_.Untake();
    return;
  }
  clients_.Untake();
  if (attention_.load()) SlotReturned();
}

// The waiter raises both flags before it looks at the slots, the returning thread frees the slot before it looks at the
// flags, all sequentially consistent: one of the two sees the other, so no wake-up is lost.
bool Gate::WaitForSlot() {
  slot_wanted_.store(true);
  attention_.store(true);
  return clients_.full();
}

void Gate::SlotReturned() {
  if (!clients_.full() && slot_wanted_.exchange(false)) {
    for (const auto& callback : on_slot_free_) callback();
  }
  RelieveIfSo();
}

void Gate::Raise(Pressure pressure) {
  const int level = pressure == Pressure::kRejecting ? 2 : 1;
  int before = pressure_.load();
  while (before < level && !pressure_.compare_exchange_weak(before, level)) {
  }
  attention_.store(true);
  if (before < level) CallOut(pressure);
}

void Gate::RelieveIfSo() {
  const int64_t limit = clients_.limit();
  const int64_t room = std::max<int64_t>(1, limit * kReliefPercent / 100);
  if (waiting_.load() > 0 || limit - clients_.held() < room) return;
  const bool relieved = pressure_.exchange(0) != 0;
  attention_.store(false);
  // Whoever asked for attention between these lines raised its own flag before: look again.
  if (slot_wanted_.load() || pressure_.load() != 0) attention_.store(true);
  if (relieved) CallOut(Pressure::kRelieved);
}

void Gate::CallOut(Pressure pressure) const {
  for (const auto& callback : on_pressure_) callback(pressure);
}

void Gate::SetConnectionLimit(int64_t limit) {
  reserved_.SetLimit(ReservedFor(limit));
  clients_.SetLimit(limit);
  SlotReturned();
}

void Gate::SetInFlightLimit(int64_t limit) {
  requests_.SetLimit(limit <= 0 ? SlotCounter::kMost : limit);
}

void Gate::SetIdleTimeout(absl::Duration timeout) {
  idle_timeout_nanos_.store(absl::ToInt64Nanoseconds(std::max(timeout, absl::Milliseconds(1))));
}

void Gate::SetShedIdleMinAge(absl::Duration min_age) {
  shed_idle_min_age_nanos_.store(absl::ToInt64Nanoseconds(std::max(min_age, absl::ZeroDuration())));
}

GateLimits Gate::limits() const {
  const int64_t in_flight = requests_.limit();
  return {.connections = clients_.limit(),
          .in_flight = in_flight == SlotCounter::kMost ? 0 : in_flight,
          .idle_timeout = absl::Nanoseconds(idle_timeout_nanos_.load()),
          .shed_idle_min_age = absl::Nanoseconds(shed_idle_min_age_nanos_.load())};
}

int64_t Gate::ShedIdle(absl::Time now, int64_t most, absl::Duration min_age) {
  const int64_t chosen = connections_.CloseIdle(now, most, min_age);
  NoteClosedIdle(chosen);
  return chosen;
}

GateCounters Gate::Read() const {
  GateCounters read;
  for (const RequestShard& shard : shards_) {
    read.completed += Get(shard.completed);
    read.errors_5xx += Get(shard.errors_5xx);
    read.errors_while_slots_free += Get(shard.errors_while_slots_free);
    read.bytes_in += Get(shard.bytes_in);
    read.bytes_out += Get(shard.bytes_out);
    for (size_t i = 0; i < shard.latency.size(); ++i) read.latency.counts[i] += Get(shard.latency[i]);
  }
  read.accepted = clients_.taken();
  read.rejected = Get(rejected_);
  read.closed_idle = Get(closed_idle_);
  read.requests_rejected = Get(requests_rejected_);
  read.accept_failures = Get(accept_failures_);
  read.open = clients_.held();
  read.idle = std::min(connections_.idle(), read.open);
  read.active = read.open - read.idle;
  read.reserved_open = reserved_.held();
  read.waiting = waiting_.load();
  read.in_flight = requests_.held();
  read.limits = limits();
  return read;
}

}  // namespace headroom
