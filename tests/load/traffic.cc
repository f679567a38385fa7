#include "tests/load/traffic.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "controller/base/check.h"

namespace headroom::load {
namespace {

constexpr uint64_t kSecondStream = 0x9e3779b97f4a7c15;  // any constant: makes another stream of the same seed

// What uploads hold.
const std::string& Filler() {
  static const std::string filler(65536, 'h');
  return filler;
}

// A problem of this machine's, not of the target's.
bool IsOurs(int error) {
  return error == EMFILE || error == ENFILE || error == EADDRNOTAVAIL || error == ENOBUFS || error == ENOMEM;
}

Failure DialFailure(int error) {
  if (error == ETIMEDOUT) return Failure::kConnectTimeout;
  return error == ECONNRESET || error == ECONNABORTED ? Failure::kReset : Failure::kRefused;
}

}  // namespace

Traffic::Traffic(const Profile& profile, const Targets& targets, const Stopwatch& stopwatch, Recorder& recorder)
    : profile_(profile),
      targets_(targets),
      stopwatch_(stopwatch),
      recorder_(recorder),
      random_(profile.seed ^ kSecondStream) {
  if (profile.retry_budget) retry_tokens_ = profile.retry_budget->capacity;
  FollowTargets();
}

Traffic::~Traffic() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) close(connection.fd);
  }
}

void Traffic::FollowTargets() {
  while (pools_.size() < targets_.known().size()) {
    hosts_.push_back(targets_.known()[pools_.size()].ToString());
    pools_.emplace_back(static_cast<size_t>(profile_.MostClients()));
  }
}

bool Traffic::HasLeft(size_t client) const {
  return client >= static_cast<size_t>(profile_.phases[phase_].clients);
}

void Traffic::EnterPhase(size_t phase) {
  now_ = stopwatch_.Elapsed();
  phase_ = phase;
  for (size_t target = 0; target < pools_.size(); ++target) {
    for (size_t client = 0; client < pools_[target].size(); ++client) {
      pools_to_serve_.emplace_back(target, client);  // the pool may have grown
      if (!HasLeft(client) || profile_.leavers != Leavers::kClose) continue;
      while (!PoolOf(target, client).idle().empty()) DropIdle(PoolOf(target, client).idle().back());
    }
  }
  Pump();
}

void Traffic::Offer(const Arrival& arrival) {
  now_ = stopwatch_.Elapsed();
  recorder_.Offered(arrival.at, now_, arrival.phase);
  RequestId id = 0;
  if (free_requests_.empty()) {
    id = static_cast<RequestId>(requests_.size());
    requests_.emplace_back();
  } else {
    id = free_requests_.back();
    free_requests_.pop_back();
  }
  requests_[id].arrival = arrival;
  requests_[id].attempt = 0;
  StartAttempt(id);
  Pump();
}

void Traffic::StartAttempt(RequestId id) {
  Request& request = requests_[id];
  ++request.attempt;
  request.stale_retried = false;
  request.target = static_cast<size_t>(
      targets_.live()[static_cast<size_t>(random_.Below(static_cast<int>(targets_.live().size())))]);
  recorder_.AttemptStarted(now_, request.attempt);
  Move(id, RequestState::kWaiting, now_ + profile_.pool_wait);
  Acquire(id);
}

void Traffic::Acquire(RequestId id) {
  const Request& request = requests_[id];
  ClientPool& pool = PoolOf(request.target, static_cast<size_t>(request.arrival.client));
  const ClientPool::Answer answer = pool.Acquire(id, profile_.phases[phase_].pool_max);
  if (answer.grant == ClientPool::Grant::kReuse) {
    connections_[answer.connection].reused = true;
    SendOn(answer.connection, id);
  } else if (answer.grant == ClientPool::Grant::kOpen) {
    OpenConnection(id);
  }
}

void Traffic::OpenConnection(RequestId id) {
  Request& request = requests_[id];
  const auto client = static_cast<size_t>(request.arrival.client);
  const Dial dial =
      StartConnecting(profile_.sources[client % profile_.sources.size()], targets_.known()[request.target]);
  if (dial.fd < 0) {
    if (IsOurs(dial.error)) {
      broken_ = absl::ErrnoToStatus(dial.error, absl::StrCat("cannot open a connection to ", hosts_[request.target],
                                                             " (more source_addresses give more ports)"));
    }
    PoolOf(request.target, client).Closed();
    pools_to_serve_.emplace_back(request.target, client);
    return FailAttempt(id, DialFailure(dial.error));
  }
  request.connection = NewConnection(dial.fd, request);
  connections_[request.connection].request = id;
  Move(id, RequestState::kDialling, now_ + profile_.connect_timeout);
  if (dial.error == 0) OnDialled(request.connection);
}

void Traffic::SendOn(ConnectionId connection_id, RequestId id) {
  Connection& connection = connections_[connection_id];
  connection.state = ConnectionState::kBusy;
  connection.request = id;
  connection.parser.Reset();
  requests_[id].connection = connection_id;
  requests_[id].sent = 0;
  Move(id, RequestState::kSent, now_ + profile_.request_timeout);
  Write(connection_id);
}

void Traffic::FailAttempt(RequestId id, Failure failure) {
  recorder_.AttemptFailed(failure);
  const int retry = requests_[id].attempt;  // 1 is the first retry
  if (retry > profile_.retries || !TakeRetryToken()) return Finish(id, failure);
  Move(id, RequestState::kBackoff, now_ + random_.Uniform() * std::ldexp(1.0, retry - 1) * profile_.backoff);
}

bool Traffic::TakeRetryToken() {
  if (!profile_.retry_budget) return true;
  if (retry_tokens_ < 1) {
    recorder_.RetryBudgetRefused();
    return false;
  }
  retry_tokens_ -= 1;
  return true;
}

void Traffic::Finish(RequestId id, Failure failure) {
  Request& request = requests_[id];
  if (failure == Failure::kNone && profile_.retry_budget) {
    retry_tokens_ = std::min(retry_tokens_ + profile_.retry_budget->per_success, profile_.retry_budget->capacity);
  }
  recorder_.Finished({.intended = request.arrival.at,
                      .finished = now_,
                      .phase = request.arrival.phase,
                      .attempts = request.attempt,
                      .failure = failure});
  request.state = RequestState::kFree;
  ++request.generation;
  free_requests_.push_back(id);
}

void Traffic::Move(RequestId id, RequestState state, absl::Duration until) {
  requests_[id].state = state;
  deadlines_.push({.at = until, .request = id, .generation = ++requests_[id].generation});
}

void Traffic::OnDeadline(RequestId id) {
  const Request& request = requests_[id];
  switch (request.state) {
    case RequestState::kWaiting:
      PoolOf(request.target, static_cast<size_t>(request.arrival.client)).Leave(id);
      return FailAttempt(id, Failure::kPoolTimeout);
    case RequestState::kDialling:
      Drop(request.connection);
      return FailAttempt(id, Failure::kConnectTimeout);
    case RequestState::kSent:
      Drop(request.connection);  // HTTP/1.1 has no other way to take a request back
      return FailAttempt(id, Failure::kTimeout);
    case RequestState::kBackoff:
      return StartAttempt(id);
    case RequestState::kFree:
      HR_CHECK(false);
  }
}

std::string Traffic::Head(const Request& request) const {
  // amz-sdk-request is how S3 clients tell a server which attempt this is.
  const std::string fields =
      absl::StrCat(" HTTP/1.1\r\nHost: ", hosts_[request.target], "\r\nUser-Agent: headroom-load\r\n",
                   "amz-sdk-request: attempt=", request.attempt, "; max=", profile_.retries + 1, "\r\n");
  const auto object = static_cast<size_t>(request.arrival.object);
  if (request.arrival.method == Method::kGet)
    return absl::StrCat("GET ", profile_.objects[object].path, fields, "\r\n");
  return absl::StrCat("PUT ", profile_.puts.path_prefix, object, fields, "Content-Length: ", profile_.puts.bytes,
                      "\r\n\r\n");
}

int64_t Traffic::BodyBytes(const Request& request) const {
  return request.arrival.method == Method::kPut ? profile_.puts.bytes : 0;
}

uint64_t Traffic::Tag(ConnectionId id) const {
  return (uint64_t{connections_[id].generation} << 32) | id;
}

ConnectionId Traffic::NewConnection(int fd, const Request& request) {
  ConnectionId id = 0;
  if (free_connections_.empty()) {
    id = static_cast<ConnectionId>(connections_.size());
    connections_.emplace_back();
  } else {
    id = free_connections_.back();
    free_connections_.pop_back();
  }
  Connection& connection = connections_[id];
  connection.fd = fd;
  connection.state = ConnectionState::kDialling;
  connection.client = static_cast<size_t>(request.arrival.client);
  connection.target = request.target;
  connection.reused = false;
  connection.wants_write = true;
  ++connection.generation;
  poller_.Add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, Tag(id));
  return id;
}

void Traffic::OnEvent(const epoll_event& event) {
  const auto id = static_cast<ConnectionId>(event.data.u64 & 0xffffffff);
  if (event.data.u64 != Tag(id)) return;  // the socket was closed earlier in this batch
  switch (connections_[id].state) {
    case ConnectionState::kDialling:
      return OnDialled(id);
    case ConnectionState::kIdle:
      return DropIdle(id);  // closed by the server, or it said something that nobody asked for
    case ConnectionState::kBusy:
      // A response wins over an upload that can no longer be written.
      if ((event.events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) return Read(id);
      return Write(id);
    case ConnectionState::kFree:
      HR_CHECK(false);
  }
}

void Traffic::OnDialled(ConnectionId id) {
  const RequestId request = connections_[id].request;
  if (const int error = ConnectError(connections_[id].fd); error != 0) {
    Drop(id);
    return FailAttempt(request, DialFailure(error));
  }
  recorder_.Connected(now_);
  SendOn(id, request);
}

void Traffic::Write(ConnectionId id) {
  Request& request = requests_[connections_[id].request];
  std::string head = Head(request);
  const auto head_bytes = static_cast<int64_t>(head.size());
  const int64_t total = head_bytes + BodyBytes(request);
  while (request.sent < total) {
    const auto head_sent = static_cast<size_t>(std::min(request.sent, head_bytes));
    const int64_t body_left = total - std::max(request.sent, head_bytes);
    std::array<iovec, 2> pieces{
        {{head.data() + head_sent, head.size() - head_sent},
         {const_cast<char*>(Filler().data()), std::min(Filler().size(), static_cast<size_t>(body_left))}}};
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    const ssize_t sent = sendmsg(connections_[id].fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    // What the server said before it closed may still be unread, and says more than the broken pipe.
    if (sent < 0) return Read(id);
    request.sent += sent;
  }
  WatchWrites(id, request.sent < total);
}

void Traffic::WatchWrites(ConnectionId id, bool wants_write) {
  Connection& connection = connections_[id];
  if (connection.wants_write == wants_write) return;
  connection.wants_write = wants_write;
  poller_.Modify(connection.fd, EPOLLIN | EPOLLRDHUP | (wants_write ? uint32_t{EPOLLOUT} : 0), Tag(id));
}

void Traffic::Read(ConnectionId id) {
  Connection& connection = connections_[id];
  while (true) {
    const ssize_t received = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0 && errno == EAGAIN) return;
    if (received < 0) return Lose(id, Failure::kReset);
    const auto bytes = static_cast<size_t>(received);
    const ResponseParser::Progress progress =
        bytes == 0 ? connection.parser.EndOfStream() : connection.parser.Feed({buffer_.data(), bytes});
    if (progress == ResponseParser::Progress::kDone) return Complete(id);
    if (progress == ResponseParser::Progress::kBad) {
      return Lose(id, connection.parser.started() ? Failure::kBadBody : Failure::kReset);
    }
    if (bytes < buffer_.size()) return;
  }
}

Failure Traffic::Judge(const Connection& connection, const Request& request) const {
  if (connection.parser.status() >= 500) return Failure::kHttp5xx;
  if (connection.parser.status() >= 400) return Failure::kHttp4xx;
  const std::optional<int64_t>& expected = profile_.objects[static_cast<size_t>(request.arrival.object)].bytes;
  const bool is_other =
      request.arrival.method == Method::kGet && expected && *expected != connection.parser.body_bytes();
  return is_other ? Failure::kBadBody : Failure::kNone;
}

void Traffic::Complete(ConnectionId id) {
  const RequestId request = connections_[id].request;
  const int status = connections_[id].parser.status();
  const Failure failure = Judge(connections_[id], requests_[request]);
  Release(id);
  if (failure == Failure::kNone) return Finish(request, failure);
  // A client error stays one however often it is asked; 408 and 429 ask to come again.
  const bool is_final = failure == Failure::kHttp4xx && status != 408 && status != 429;
  if (!is_final) return FailAttempt(request, failure);
  recorder_.AttemptFailed(failure);
  Finish(request, failure);
}

void Traffic::Lose(ConnectionId id, Failure failure) {
  const Connection& connection = connections_[id];
  const RequestId request = connection.request;
  if (connection.reused && !connection.parser.started() && !requests_[request].stale_retried) {
    requests_[request].stale_retried = true;
    recorder_.StaleRetry();
    CloseSocket(id);  // its place in the pool goes to the new connection
    return OpenConnection(request);
  }
  Drop(id);
  FailAttempt(request, failure);
}

void Traffic::Release(ConnectionId id) {
  Connection& connection = connections_[id];
  const bool leaves = HasLeft(connection.client) && profile_.leavers == Leavers::kClose;
  // An answer that came before the request was out leaves the rest of the request in the way.
  if (!connection.parser.keep_alive() || connection.wants_write || leaves) return Drop(id);
  connection.state = ConnectionState::kIdle;
  connection.idle_since = now_;
  PoolOf(connection.target, connection.client).Return(id);
  pools_to_serve_.emplace_back(connection.target, connection.client);
}

void Traffic::Drop(ConnectionId id) {
  const Connection& connection = connections_[id];
  PoolOf(connection.target, connection.client).Closed();
  pools_to_serve_.emplace_back(connection.target, connection.client);
  CloseSocket(id);
}

void Traffic::DropIdle(ConnectionId id) {
  const Connection& connection = connections_[id];
  PoolOf(connection.target, connection.client).ClosedIdle(id);
  CloseSocket(id);
}

void Traffic::CloseSocket(ConnectionId id) {
  Connection& connection = connections_[id];
  close(connection.fd);
  connection.fd = -1;
  connection.state = ConnectionState::kFree;
  ++connection.generation;
  free_connections_.push_back(id);
}

void Traffic::CloseLongIdle() {
  now_ = stopwatch_.Elapsed();
  for (ConnectionId id = 0; id < connections_.size(); ++id) {
    const Connection& connection = connections_[id];
    if (connection.state != ConnectionState::kIdle) continue;
    if (now_ - connection.idle_since >= profile_.idle_timeout) DropIdle(id);
  }
}

void Traffic::Pump() {
  // Serving one may free the place of another (a dial that is refused at once): those come to the end of the list.
  while (!pools_to_serve_.empty()) {
    const auto [target, client] = pools_to_serve_.front();
    pools_to_serve_.pop_front();
    ClientPool& pool = PoolOf(target, client);
    while (pool.CanServe(profile_.phases[phase_].pool_max)) Acquire(pool.TakeFirst());
  }
}

absl::Duration Traffic::NextDeadline() {
  while (!deadlines_.empty() && deadlines_.top().generation != requests_[deadlines_.top().request].generation) {
    deadlines_.pop();
  }
  return deadlines_.empty() ? absl::InfiniteDuration() : deadlines_.top().at;
}

void Traffic::RunDeadlines() {
  while (NextDeadline() <= now_) {
    const RequestId request = deadlines_.top().request;
    deadlines_.pop();
    OnDeadline(request);
    Pump();
  }
}

void Traffic::Wait(absl::Duration until) {
  const absl::Duration timeout = std::min(until, NextDeadline()) - stopwatch_.Elapsed();
  for (const epoll_event& event : poller_.Wait(timeout)) {
    now_ = stopwatch_.Elapsed();
    OnEvent(event);
    Pump();
  }
  now_ = stopwatch_.Elapsed();
  RunDeadlines();
}

}  // namespace headroom::load
