#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "controller/base/latency_histogram.h"
#include "storage_node/gate/connection_table.h"
#include "storage_node/gate/slot_counter.h"

namespace headroom {

// Who asks for a slot. Probes and operators have slots of their own, so that a full gate never looks like a dead node.
enum class SlotClass { kClient, kReserved };

// What the gate calls out when it turns, each once per episode: all slots taken; the first arrival left outside; and,
// after either, that nobody waits and at least 5 % of the slots (one at least) are free again.
enum class Pressure { kLimitReached, kRejecting, kRelieved };

struct GateLimits {
  int64_t connections = 1000;
  int64_t in_flight = 0;  // requests being served at once; 0: no limit
  absl::Duration idle_timeout = absl::Seconds(60);
  // Under pressure, connections idle for longer than this are closed to let waiting ones in; zero: never.
  absl::Duration shed_idle_min_age = absl::ZeroDuration();
};

// GateCounters: one look at a gate. Counters are cumulative since it was made; the rest is now.
struct GateCounters {
  int64_t accepted = 0;                 // client connections admitted
  int64_t rejected = 0;                 // arrivals not admitted: left in the accept queue at the limit, or refused
  int64_t closed_idle = 0;              // closed by the server while idle: timeout, shed or drain
  int64_t completed = 0;                // requests answered, whatever the answer
  int64_t errors_5xx = 0;               // of these, with a status of 500 or more
  int64_t errors_while_slots_free = 0;  // of these, while connection slots were free: not the limit's fault
  int64_t requests_rejected = 0;        // requests refused at the in-flight limit
  int64_t accept_failures = 0;          // accept(2) failed for want of descriptors or memory
  int64_t bytes_in = 0;                 // request bodies
  int64_t bytes_out = 0;                // response bodies
  LatencyHistogram latency;             // of completed requests

  int64_t open = 0, active = 0, idle = 0;  // client connections; open = active + idle
  int64_t reserved_open = 0;
  int64_t waiting = 0;  // connections in the accept queue when it was last looked at; 0 below the limit
  int64_t in_flight = 0;
  GateLimits limits;  // in force
};

// What became of one request.
struct RequestOutcome {
  int status = 200;
  int64_t bytes_in = 0, bytes_out = 0;
  absl::Duration latency;
};

class Gate;

// ConnectionSlot, RequestSlot: leave to hold one open connection, or to serve one request; given back on destruction.
class ConnectionSlot {
 public:
  ConnectionSlot(ConnectionSlot&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), class_(other.class_) {}
  ConnectionSlot& operator=(ConnectionSlot&&) = delete;
  inline ~ConnectionSlot();
  // Gives the slot back as though it had never been taken: nobody was there to be accepted.
  inline void Abandon();

 private:
  friend class Gate;
  ConnectionSlot(Gate* gate, SlotClass slot_class) : gate_(gate), class_(slot_class) {}
  Gate* gate_;
  SlotClass class_;
};

class RequestSlot {
 public:
  RequestSlot(RequestSlot&& other) noexcept : requests_(std::exchange(other.requests_, nullptr)) {}
  RequestSlot& operator=(RequestSlot&&) = delete;
  ~RequestSlot() {
    if (requests_ != nullptr) requests_->Return();
  }

 private:
  friend class Gate;
  explicit RequestSlot(SlotCounter* requests) : requests_(requests) {}
  SlotCounter* requests_;
};

// Gate: admission control for a server. It says who may come in, counts what happens, and calls out when it turns; the
// server does what the gate says. How a server uses it:
//
//   while (somebody waits at the listener) {
//     std::optional<ConnectionSlot> slot = gate.TryConnect();
//     if (!slot) { gate.NoteWaiting(newly_waiting, queue_length); if (gate.WaitForSlot()) return; else continue; }
//     int socket = accept4(...);                                   // at the limit the kernel's queue holds the rest
//     TrackedConnection tracked = gate.connections().Track({.descriptor = socket, .client = peer}, MonotonicNow());
//     ... for each request: tracked.MarkBusy(deadline); gate.TryBegin(); gate.Record(outcome); tracked.MarkIdle(now);
//   }
//
// The promise: client connections admitted never outnumber the limit in force when each was admitted. Every limit may
// be changed at any time; a lower one closes nothing, it admits nobody until enough have left. Slots are taken and
// given back without locks, in one atomic operation each. Every member from any thread, save the two that register
// callbacks: those before the first slot is asked for. Callbacks run on the thread that caused them, inside TryConnect,
// NoteWaiting, a slot's return or a limit's change, and must be quick. Outlives its slots.
class Gate {
 public:
  explicit Gate(const GateLimits& limits = {});

  [[nodiscard]] std::optional<ConnectionSlot> TryConnect(SlotClass slot_class = SlotClass::kClient) {
    if (slot_class == SlotClass::kReserved) return TryReserved();
    const int64_t held = clients_.TryTake();
    if (held == 0) return std::nullopt;
    if (held >= clients_.limit()) [[unlikely]]
      Raise(Pressure::kLimitReached);
    return ConnectionSlot(this, SlotClass::kClient);
  }
  // Leave to serve one request. Refused requests are counted; answer them 503.
  [[nodiscard]] std::optional<RequestSlot> TryBegin() {
    if (requests_.TryTake() == 0) [[unlikely]]
      return RefuseRequest();
    return RequestSlot(&requests_);
  }
  void Record(const RequestOutcome& outcome);

  // At the limit: `newly` more connections were found waiting in the accept queue, which now holds `waiting`.
  // Each new one is a rejection.
  void NoteWaiting(int64_t newly, int64_t waiting);
  void NoteClosedIdle(int64_t count) { closed_idle_.fetch_add(count, std::memory_order_relaxed); }
  void NoteAcceptFailure() { accept_failures_.fetch_add(1, std::memory_order_relaxed); }

  // After TryConnect() failed: asks for one OnSlotFree call. False: a slot is free by now, try again instead.
  [[nodiscard]] bool WaitForSlot();
  void OnSlotFree(std::function<void()> callback) { on_slot_free_.push_back(std::move(callback)); }
  void OnPressure(std::function<void(Pressure)> callback) { on_pressure_.push_back(std::move(callback)); }

  // Values beyond 0..SlotCounter::kMost are brought to the nearer end; idle timeouts below 1 ms to 1 ms.
  void SetConnectionLimit(int64_t limit);
  void SetInFlightLimit(int64_t limit);  // 0: no limit
  void SetIdleTimeout(absl::Duration timeout);
  void SetShedIdleMinAge(absl::Duration min_age);  // zero or less: never
  GateLimits limits() const;
  // Slots for probes and operators, on top of the limit: 2 % of it, 16 at least.
  int64_t reserved_limit() const { return reserved_.limit(); }

  // Closes up to `most` connections that have been idle for `min_age`, longest idle first; returns how many it chose.
  int64_t ShedIdle(absl::Time now, int64_t most, absl::Duration min_age);

  int64_t open() const { return clients_.held(); }
  bool full() const { return clients_.full(); }
  GateCounters Read() const;
  ConnectionTable& connections() { return connections_; }
  const ConnectionTable& connections() const { return connections_; }

 private:
  friend class ConnectionSlot;
  // Counters of finished requests, one shard for a few threads, so that recording shares no cache line.
  struct alignas(64) RequestShard {
    std::atomic<int64_t> completed{0}, errors_5xx{0}, errors_while_slots_free{0}, bytes_in{0}, bytes_out{0};
    std::array<std::atomic<int64_t>, LatencyHistogram::kBuckets> latency{};
  };
  static constexpr size_t kShards = 16;

  std::optional<ConnectionSlot> TryReserved();
  std::optional<RequestSlot> RefuseRequest();
  void Return(SlotClass slot_class) {
    if (slot_class == SlotClass::kReserved) {
      reserved_.Return();
      return;
    }
    clients_.Return();
    if (attention_.load()) [[unlikely]]
      SlotReturned();
  }
  void Abandon(SlotClass slot_class);
  void SlotReturned();
  void Raise(Pressure pressure);
  void RelieveIfSo();
  void CallOut(Pressure pressure) const;

  SlotCounter clients_, reserved_, requests_;
  alignas(64) std::atomic<bool> attention_{false};  // a returned slot matters: somebody waits, or pressure is on
  std::atomic<bool> slot_wanted_{false};
  std::atomic<int> pressure_{0};  // 0: none, 1: limit reached, 2: rejecting
  std::atomic<int64_t> waiting_{0};

  std::atomic<int64_t> idle_timeout_nanos_, shed_idle_min_age_nanos_;
  std::atomic<int64_t> rejected_{0}, closed_idle_{0}, requests_rejected_{0}, accept_failures_{0};
  std::array<RequestShard, kShards> shards_;
  std::vector<std::function<void()>> on_slot_free_;
  std::vector<std::function<void(Pressure)>> on_pressure_;
  ConnectionTable connections_;
};

inline ConnectionSlot::~ConnectionSlot() {
  if (gate_ != nullptr) gate_->Return(class_);
}
inline void ConnectionSlot::Abandon() {
  if (gate_ != nullptr) std::exchange(gate_, nullptr)->Abandon(class_);
}

}  // namespace headroom
