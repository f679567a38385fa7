#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "tests/load/arrivals.h"
#include "tests/load/client_pool.h"
#include "tests/load/profile.h"
#include "tests/load/random.h"
#include "tests/load/recorder.h"
#include "tests/load/response_parser.h"
#include "tests/load/socket.h"
#include "tests/load/targets.h"

namespace headroom::load {

// Traffic: all clients of a run. Takes arrivals, carries each through its attempts over the connections of its client,
// and tells the recorder what happened. One thread, one epoll; nothing here waits but Wait().
//
// A request is in one of five states, and each has one deadline at most:
//
//   kWaiting   in the line of its client's pool; after pool_wait the attempt failed
//   kDialling  its new connection is being opened; after connect_timeout the attempt failed
//   kSent      on a connection; after request_timeout the attempt failed and the connection is closed
//   kBackoff   between two attempts
//   kFree      no request: the place is to be used again
//
// A reused connection that ends before the first byte of a response was dead before it was used: the request goes out
// again at once on a new one, once for each attempt, and no attempt has failed (RFC 9110 9.2.2; GET and PUT may be
// repeated).
class Traffic {
 public:
  // Everything given must outlive this. Clients are in phase 0.
  Traffic(const Profile& profile, const Targets& targets, const Stopwatch& stopwatch, Recorder& recorder);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  void EnterPhase(size_t phase);
  // Call after Targets::Replace.
  void FollowTargets();
  void Offer(const Arrival& arrival);
  // Handles what the network and the deadlines bring, at the latest until `until`; returns after the first batch.
  void Wait(absl::Duration until);
  // Closes what has been idle for longer than idle_timeout.
  void CloseLongIdle();

  int64_t unfinished() const { return static_cast<int64_t>(requests_.size() - free_requests_.size()); }
  int64_t open_connections() const { return static_cast<int64_t>(connections_.size() - free_connections_.size()); }
  // Not OK when this machine, not the target, stood in the way: the run's figures are void.
  const absl::Status& broken() const { return broken_; }

 private:
  enum class RequestState { kFree, kWaiting, kDialling, kSent, kBackoff };
  enum class ConnectionState { kFree, kDialling, kBusy, kIdle };

  struct Request {
    Arrival arrival;
    RequestState state = RequestState::kFree;
    int attempt = 0;
    size_t target = 0;
    ConnectionId connection = 0;
    int64_t sent = 0;  // bytes of head and body
    bool stale_retried = false;
    uint32_t generation = 0;  // changes with each state, so that an older deadline is recognised
  };
  struct Connection {
    int fd = -1;
    ConnectionState state = ConnectionState::kFree;
    size_t client = 0, target = 0;
    RequestId request = 0;
    bool reused = false;
    bool wants_write = false;
    absl::Duration idle_since;
    uint32_t generation = 0;  // changes with each socket, so that an older event is recognised
    ResponseParser parser;
  };
  struct Deadline {
    absl::Duration at;
    RequestId request;
    uint32_t generation;
    bool operator>(const Deadline& other) const { return at > other.at; }
  };

  // Requests.
  void StartAttempt(RequestId id);
  void Acquire(RequestId id);
  void OpenConnection(RequestId id);
  void SendOn(ConnectionId connection_id, RequestId id);
  void FailAttempt(RequestId id, Failure failure);
  void Finish(RequestId id, Failure failure);
  bool TakeRetryToken();
  void Move(RequestId id, RequestState state, absl::Duration until);
  void OnDeadline(RequestId id);
  std::string Head(const Request& request) const;
  int64_t BodyBytes(const Request& request) const;

  // Connections.
  ConnectionId NewConnection(int fd, const Request& request);
  void OnEvent(const epoll_event& event);
  void OnDialled(ConnectionId id);
  void Write(ConnectionId id);
  void Read(ConnectionId id);
  void WatchWrites(ConnectionId id, bool wants_write);
  void Complete(ConnectionId id);
  Failure Judge(const Connection& connection, const Request& request) const;
  void Lose(ConnectionId id, Failure failure);
  void Release(ConnectionId id);
  void Drop(ConnectionId id);
  void DropIdle(ConnectionId id);
  void CloseSocket(ConnectionId id);
  uint64_t Tag(ConnectionId id) const;

  // Pools.
  ClientPool& PoolOf(size_t target, size_t client) { return pools_[target][client]; }
  bool HasLeft(size_t client) const;
  void Pump();
  absl::Duration NextDeadline();
  void RunDeadlines();

  const Profile& profile_;
  const Targets& targets_;
  const Stopwatch& stopwatch_;
  Recorder& recorder_;
  Random random_;  // targets and backoff; apart from the arrivals' so that outcomes never move an arrival
  Poller poller_;
  size_t phase_ = 0;
  absl::Duration now_;
  double retry_tokens_ = 0;
  absl::Status broken_;

  std::vector<Request> requests_;
  std::vector<RequestId> free_requests_;
  std::vector<Connection> connections_;
  std::vector<ConnectionId> free_connections_;
  std::vector<std::vector<ClientPool>> pools_;            // by target, then client
  std::vector<std::string> hosts_;                        // by target: the Host field
  std::deque<std::pair<size_t, size_t>> pools_to_serve_;  // (target, client) where a place became free
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> deadlines_;
  std::array<char, 65536> buffer_{};
};

}  // namespace headroom::load
