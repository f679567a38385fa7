#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/event.h"
#include "controller/core/report.h"
#include "controller/sim/connections.h"
#include "controller/sim/random.h"
#include "controller/sim/timers.h"
#include "controller/sim/world.h"

namespace headroom::sim {

// ClusterModel: a cluster at the level of single requests. Keep-alive connections that occupy slots while idle, an
// accept queue with backlog, SYN retries, client time-outs and retries, zombie work, a service law with a knee, boot
// times. It is the world without the world: no threads, no clock, all chance from one seed, same seed = same run.
// Held against Little's law, Erlang B and the reference outcomes of docs/planning.md. Not thread-safe.
//
// Not modelled: a node's own law after its lease ended, balancers' queues.
class ClusterModel final : public World {
 public:
  explicit ClusterModel(ClusterSettings settings);

  absl::Time now() const override { return At(now_); }
  absl::Time AdvanceTo(absl::Time until) override;
  std::vector<NodeChange> TakeChanges() override;

  NodeId Launch(const LaunchSettings& settings) override;
  absl::Status Terminate(absl::string_view node) override;
  absl::Status Restart(absl::string_view node, absl::Duration down) override {
    return TakeDown(node, Outage::kRestart, down);
  }
  absl::Status SetLimits(absl::string_view node, const LimitsInForce& limits) override;
  absl::Status Shed(absl::string_view node, const ShedConnections& order) override;
  absl::Status Drain(absl::string_view node) override;
  absl::Status Undrain(absl::string_view node) override;
  absl::Status SetSlowness(absl::string_view node, double factor) override {
    return SetCondition(node, {.device_slowness = factor});
  }
  absl::Status SetCondition(absl::string_view node, const NodeCondition& condition) override;
  absl::Status SetCondition(const ClientCondition& condition) override;
  absl::Status TakeDown(absl::string_view node, Outage how, absl::Duration down) override;
  absl::Status SetRelease(absl::string_view node, const Release& release) override;

  std::vector<Machine> Machines() const override;
  bool Exists(absl::string_view node) const override { return Find(node) != Connection::kNone; }
  bool IsServing(absl::string_view node) const override;
  const LimitsInForce& Limits(absl::string_view node) const override;
  NodeHello Hello(absl::string_view node) const override;
  void FillReport(absl::string_view node, NodeReport& fresh) override;
  int64_t OpenCount(absl::string_view node) const override;

  ClientStatistics Statistics(absl::Time from, absl::Time to) const override;
  const ClientStatistics& total() const override { return total_; }
  int64_t in_flight_count() const { return total_.offered - total_.completed - total_.failed; }
  int64_t event_count() const { return events_; }

 private:
  enum class NodeState : uint8_t { kBooting, kServing, kDraining, kDark, kGone };  // kDark: gone, and not yet noticed
  enum class RequestState : uint8_t { kFree, kPooled, kConnecting, kQueued, kServing, kPausing };
  enum Kind : uint8_t {
    kArrival,
    kPhase,
    kSyn,
    kFinish,
    kRetry,
    kIdleExpiry,
    kBooted,
    kConnectDeadline,
    kDeadline,
    kNoticed,
    kLeak,
    kProbe,
    kProbeDeadline,
    kOutOfMemory
  };
  enum Queue : int { kConnectQueue, kRequestQueue };

  struct Request {
    uint32_t serial = 0;  // grows with each attempt
    RequestState state = RequestState::kFree;
    int32_t client = 0, node = 0, retries = 0, syns = 0;
    bool holds_connection = false;  // of its client's, made or in the making
    int64_t begun_nanos = 0;
  };
  // In an accept queue, or for a connection of its client. Two kinds of callers are no requests.
  struct Waiting {
    static constexpr uint32_t kProbe = std::numeric_limits<uint32_t>::max();  // serial: of the probe
    static constexpr uint32_t kLeaked = kProbe - 1;                           // serial: the client
    uint32_t request = 0, serial = 0;
  };
  struct Service {
    int64_t nanos = 0;           // in the server
    int64_t device_nanos = 0;    // of them in its device
    int64_t transfer_nanos = 0;  // then, until the client has the answer
    bool is_error = false;
  };
  // The cores of a node: one queue of work.
  struct Cores {
    int64_t free_nanos = 0, stalled_until_nanos = 0;  // when they are done with, and nobody waits for, what is known
    int64_t work_nanos = 0, stalled_nanos = 0;        // up to then: core time used, and time in which somebody waited
  };
  // As the kernel's: a share of time, over about 10 s.
  struct Pressure {
    double ratio = 0;
    int64_t at_nanos = 0;
    double Add(double share, int64_t now_nanos);
  };
  struct Client {
    int connection_count = 0;     // as the client counts: idle, busy and in the making
    std::deque<Waiting> waiting;  // for one of them
  };
  struct Node {
    NodeId id;
    std::string zone;
    ActionId launch_id;
    NodeState state = NodeState::kBooting;
    uint32_t boot = 0;  // serial of its timers
    LimitsInForce limits;
    NodeCondition condition;
    bool is_ill = false;  // condition says anything of service
    Release release;
    int64_t release_nanos = -1;  // since when; -1: long ago
    Cores cores;
    Pressure processor_pressure, memory_pressure, device_pressure;
    int64_t retransmits = 0, device_nanos = 0, stalled_reported_nanos = 0;
    uint32_t probe = 0, probe_answered = 0;
    int probe_failures = 0;
    int64_t launched_nanos = -1;                       // when it served for the first time; -1: not yet
    int64_t booted_nanos = 0, expiry_armed_nanos = 0;  // 0: not armed
    uint64_t sequence = 0;
    int64_t open_count = 0, active_count = 0;
    std::deque<Waiting> queue;
    IdleList idle;
    NewestOfClient newest_of_client;  // where requests are spread
    std::vector<int32_t> open_by_client;
    NodeCounters counters;
    bool is_calm = true;  // nothing urgent since the last report
    int64_t rejected_reported = 0;
  };

  absl::Time At(int64_t nanos) const { return settings_.start + absl::Nanoseconds(nanos); }
  Node& At(int32_t node) { return *nodes_[static_cast<size_t>(node)]; }
  int32_t Find(absl::string_view id) const;
  int64_t StoredBytes(const Node& node) const;
  ClientStatistics& Second();
  void Count(int64_t ClientStatistics::*counter);
  void Schedule(Kind kind, uint32_t subject, uint32_t serial, int64_t delay_nanos);
  void Handle(const Timer& timer);
  void HandleNode(const Timer& timer);

  // Clients.
  void EnterPhase(size_t phase);
  void ScheduleArrival();
  void Arrive();
  void Attempt(uint32_t request);
  void Route(uint32_t request);
  void UseConnection(uint32_t request, int32_t connection);
  int32_t ChooseNode();
  int32_t ChooseByData(int32_t node);
  void ReleaseConnection(int32_t client);
  void WakeWaiting(int32_t client);
  void SendSyn(uint32_t request);
  void SendSynAgain(uint32_t request);
  bool Enqueue(int32_t node, Waiting waiting);
  void FailAttempt(uint32_t request);
  void Pause(uint32_t request);
  int64_t RequestTimeout() const {
    return client_condition_.request_timeout.has_value() ? absl::ToInt64Nanoseconds(*client_condition_.request_timeout)
                                                         : request_timeout_nanos_;
  }
  bool MayRetry(const Request& request);
  void Leak();
  void End(uint32_t request, int64_t ClientStatistics::*outcome);
  NewestOfClient& Newest(Node& node) {
    return settings_.client.spread == Spread::kRequests ? node.newest_of_client : newest_of_client_;
  }
  bool IsCurrent(uint32_t request, uint32_t serial) const { return requests_[request].serial == serial; }

  // Nodes.
  void Accept(int32_t node);
  void AcceptOther(int32_t node, const Waiting& waiting);
  int32_t Open(int32_t node, int32_t client);
  void Serve(int32_t connection, uint32_t request);
  Service DrawService(Node& node);
  void Worsen(Node& node, Service& service);
  int64_t TransferNanos(Node& node);
  int64_t Segments() const;  // of an answer
  int64_t WaitForCores(Node& node);
  int64_t MemoryBytes(const Node& node) const;
  double MemoryShare(const Node& node) const;
  std::optional<int64_t> MemoryCeiling(const Node& node) const;
  void CheckMemory(int32_t node);
  void Probe(int32_t node);
  void JudgeProbe(int32_t node);
  void Finish(int32_t connection);
  void CountWork(Node& node, const Connection& connection);
  void KeepAlive(int32_t connection);
  void Close(int32_t connection);
  void CloseServed(int32_t connection);
  void CloseIdle(int32_t connection, int64_t NodeCounters::*counter);
  void ExpireIdle(int32_t node);
  void ArmExpiry(int32_t node);
  void ResetConnections(int32_t node, Outage how);
  void Boot(int32_t node);
  void Turn(int32_t node, Urgency urgency);
  void RefreshServing() { serving_is_stale_ = true; }
  const std::vector<int32_t>& Serving();
  void ListServing();
  double LawSeconds(const Node& node) const;
  static bool Speaks(const Node& node) {
    return node.state == NodeState::kServing || node.state == NodeState::kDraining;
  }
  bool IsFull(const Node& node) const;
  std::string BootId(const Node& node) const;
  void FillClients(const Node& node, NodeReport& report) const;
  void FillIdleAges(const Node& node, NodeReport& report) const;
  void FillWork(Node& node, NodeReport& report);
  void FillPressure(Node& node, NodeReport& report);

  const ClusterSettings settings_;
  const int64_t connect_timeout_nanos_, request_timeout_nanos_, processor_nanos_;
  ClientCondition client_condition_;
  double retry_tokens_ = ClientSettings::kRetryTokensMax / 10;
  uint32_t leak_serial_ = 0;
  int32_t clients_end_ = 0;  // no request's client has this index or a higher one
  Random random_;
  Timers timers_;
  int64_t now_ = 0, events_ = 0;
  size_t phase_ = 0;
  uint32_t phase_serial_ = 0;
  std::vector<Request> requests_;
  std::vector<uint32_t> free_requests_;
  std::vector<Client> clients_;
  ConnectionPool connections_;
  NewestOfClient newest_of_client_;           // where connections are spread
  std::vector<std::unique_ptr<Node>> nodes_;  // gone ones stay, empty
  std::map<NodeId, int32_t, std::less<>> node_index_;
  bool serving_is_stale_ = false;
  std::vector<int32_t> serving_;  // get new requests
  std::vector<int32_t> wanted_;   // of them, those with an attraction
  std::vector<NodeChange> changes_;
  std::deque<ClientStatistics> seconds_;
  int64_t first_second_ = 0;
  ClientStatistics total_;
};

}  // namespace headroom::sim
