#include "tests/load/socket.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "absl/strings/str_cat.h"
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/check.h"

namespace headroom::load {
namespace {

void SetFlag(int fd, int level, int option) {
  const int on = 1;
  HR_CHECK(setsockopt(fd, level, option, &on, sizeof on) == 0);
}

// The file descriptor goes, what went wrong stays.
Dial Failed(int fd) {
  const int error = errno;
  if (fd >= 0) close(fd);
  return {.fd = -1, .error = error};
}

}  // namespace

absl::Duration Stopwatch::Monotonic() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

Dial StartConnecting(uint32_t source, const Endpoint& target) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed(fd);
  SetFlag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  SetFlag(fd, IPPROTO_TCP, TCP_NODELAY);
  const sockaddr_in from = Endpoint{.address = source, .port = 0}.ToSocketAddress();
  if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) return Failed(fd);
  const sockaddr_in to = target.ToSocketAddress();
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return {.fd = fd, .error = 0};
  if (errno == EINPROGRESS) return {.fd = fd, .error = EINPROGRESS};
  return Failed(fd);
}

int ConnectError(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  HR_CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
  return error;
}

absl::Status RaiseFileLimit(int64_t needed) {
  rlimit limit{};
  HR_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_max != RLIM_INFINITY && static_cast<rlim_t>(needed) > limit.rlim_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the profile can need ", needed, " open files, but the hard limit is ", limit.rlim_max,
                     ": fewer clients or a smaller pool, or raise the limit (ulimit -Hn, LimitNOFILE=)"));
  }
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot raise the limit of open files to ", limit.rlim_max));
}

Poller::Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
  HR_CHECK(fd_ >= 0);
}

Poller::~Poller() {
  close(fd_);
}

void Poller::Control(int operation, int fd, uint32_t events, uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  HR_CHECK(epoll_ctl(fd_, operation, fd, &event) == 0);
}

absl::Span<const epoll_event> Poller::Wait(absl::Duration timeout) {
  timeout = std::max(timeout, absl::ZeroDuration());
  int count = -1;
  if (has_exact_wait_) {
    const timespec exact = absl::ToTimespec(timeout);
    count = epoll_pwait2(fd_, events_.data(), kBatch, &exact, nullptr);
    has_exact_wait_ = count >= 0 || errno != ENOSYS;
  }
  if (!has_exact_wait_) {
    const auto millis = static_cast<int>(absl::ToInt64Milliseconds(timeout + absl::Microseconds(999)));
    count = epoll_wait(fd_, events_.data(), kBatch, millis);
  }
  HR_CHECK(count >= 0 || errno == EINTR);
  return absl::MakeConstSpan(events_.data(), static_cast<size_t>(std::max(count, 0)));
}

}  // namespace headroom::load
