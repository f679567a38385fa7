#include "storage_node/file_server/acceptor.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "controller/base/check.h"
#include "storage_node/gate/limit_applier.h"

namespace headroom {
namespace {

constexpr absl::Duration kLookAtQueueEvery = absl::Milliseconds(5);
constexpr absl::Duration kBackOffFirst = absl::Milliseconds(5);
constexpr absl::Duration kBackOffMost = absl::Seconds(1);
constexpr int kAcceptsAtOnce = 64;  // then the other work of this thread has its turn

bool SomebodyWaits(int listener) {
  pollfd poll{.fd = listener, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLIN) != 0;
}

bool LacksResources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Acceptor::Acceptor(Executor executor, Gate& gate, int listener, HandOver hand_over)
    : gate_(gate),
      listener_(listener),
      hand_over_(std::move(hand_over)),
      readiness_(executor),
      at_limit_(std::make_shared<Timer>(executor)) {
  const int duplicate = ::fcntl(listener, F_DUPFD_CLOEXEC, 0);
  HR_CHECK(duplicate >= 0);
  readiness_.assign(asio::ip::tcp::v4(), duplicate);
  gate.OnSlotFree([weak = std::weak_ptr(at_limit_)] {
    const auto timer = weak.lock();  // the gate may outlive us
    if (!timer) return;
    asio::post(timer->get_executor(), [weak] {
      if (const auto mine = weak.lock()) mine->cancel();
    });
  });
}

Awaitable<void> Acceptor::Run() {
  ErrorCode error;
  while (!error) {
    co_await readiness_.async_wait(Socket::wait_read, asio::redirect_error(kAwait, error));
    if (!error) co_await AcceptAllWaiting();
  }
}

Awaitable<void> Acceptor::AcceptAllWaiting() {
  for (int accepted = 0; accepted < kAcceptsAtOnce && SomebodyWaits(listener_); ++accepted) {
    std::optional<ConnectionSlot> slot = gate_.TryConnect();
    if (!slot) {
      co_await WaitAtLimit();
    } else if (AcceptOne(*std::move(slot)) == AcceptResult::kBackOff) {
      back_off_ = std::clamp(back_off_ * 2, kBackOffFirst, kBackOffMost);
      co_await Sleep(readiness_.get_executor(), back_off_);
    } else {
      back_off_ = absl::ZeroDuration();
    }
  }
  if (!SomebodyWaits(listener_)) QueueIsEmpty();
}

Acceptor::AcceptResult Acceptor::AcceptOne(ConnectionSlot slot) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  Descriptor socket(::accept4(listener_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket) {
    const bool lacking = LacksResources(errno);
    slot.Abandon();
    if (lacking) gate_.NoteAcceptFailure();
    return lacking ? AcceptResult::kBackOff : AcceptResult::kAgain;
  }
  counted_ = std::max<int64_t>(counted_ - 1, 0);
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  hand_over_({.slot = std::move(slot), .socket = std::move(socket), .client = ClientAddress::Of(peer)});
  return AcceptResult::kAgain;
}

Awaitable<void> Acceptor::WaitAtLimit() {
  while (gate_.full()) {
    CountWaiting();
    at_limit_->expires_after(absl::ToChronoNanoseconds(kLookAtQueueEvery));
    if (!gate_.WaitForSlot()) co_return;
    ErrorCode woken;
    co_await at_limit_->async_wait(asio::redirect_error(kAwait, woken));
  }
}

void Acceptor::CountWaiting() {
  const auto queue = ReadAcceptQueue(listener_);
  const int64_t waiting = queue.ok() ? queue->waiting : 1;  // one at least: that is why we are here
  gate_.NoteWaiting(std::max<int64_t>(waiting - counted_, 0), waiting);
  counted_ = waiting;
  const absl::Duration min_age = gate_.limits().shed_idle_min_age;
  if (min_age == absl::ZeroDuration()) return;
  // Slots whose connections are on their way out, or in, are not shed for a second time.
  const int64_t in_transit = gate_.open() - gate_.connections().live();
  gate_.ShedIdle(MonotonicNow(), waiting - in_transit, min_age);
}

void Acceptor::QueueIsEmpty() {
  counted_ = 0;
  gate_.NoteWaiting(0, 0);
}

}  // namespace headroom
