#include "storage_node/adapters/haproxy/stats_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/base/status.h"

namespace headroom::haproxy {
namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::Status Errno(absl::string_view what, int code) {
  const std::string text = absl::StrCat(what, ": ", std::strerror(code));
  if (code == EACCES || code == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

absl::Status CheckCommand(absl::string_view command) {
  if (command.empty() || command.size() > StatsSocket::kCommandBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("command of ", command.size(), " bytes"));
  }
  const bool unprintable = std::any_of(command.begin(), command.end(), [](char c) { return c < ' ' || c > '~'; });
  if (unprintable || absl::StrContains(command, ";") || absl::StrContains(command, "<<")) {
    return absl::InvalidArgumentError("command holds a separator or a control character");
  }
  return absl::OkStatus();
}

absl::Status WaitFor(const Socket& socket, short events, absl::Time deadline) {
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError("no answer in time");
    pollfd entry{.fd = socket.fd(), .events = events, .revents = 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 60'000)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Errno("poll", errno);
  }
}

absl::Status Connect(const Socket& socket, const std::string& path, absl::Time deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("a path of ", path.size(), " bytes is no unix socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  // EAGAIN: HAProxy's accept queue is full for the moment.
  while (connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno != EAGAIN && errno != EINTR) return Errno("connect", errno);
    if (absl::Now() > deadline) return absl::DeadlineExceededError("connect: HAProxy does not accept");
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

absl::Status Send(const Socket& socket, absl::string_view text, absl::Time deadline) {
  while (!text.empty()) {
    const ssize_t sent = send(socket.fd(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      text.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      HR_RETURN_IF_ERROR(WaitFor(socket, POLLOUT, deadline));
    } else if (errno != EINTR) {
      return Errno("send", errno);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReceiveAll(const Socket& socket, size_t bytes_max, absl::Time deadline) {
  std::string reply;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t got = recv(socket.fd(), chunk.data(), chunk.size(), 0);
    if (got == 0) return reply;
    if (got > 0) {
      if (reply.size() + static_cast<size_t>(got) > bytes_max) {
        return absl::ResourceExhaustedError(absl::StrCat("reply larger than ", bytes_max, " bytes"));
      }
      reply.append(chunk.data(), static_cast<size_t>(got));
    } else if (errno == EAGAIN) {
      HR_RETURN_IF_ERROR(WaitFor(socket, POLLIN, deadline));
    } else if (errno != EINTR) {
      return Errno("recv", errno);
    }
    if (absl::Now() > deadline) return absl::DeadlineExceededError("the reply does not end");
  }
}

}  // namespace

absl::StatusOr<std::string> StatsSocket::Ask(absl::string_view command) {
  HR_RETURN_IF_ERROR(CheckCommand(command));
  const absl::Time deadline = absl::Now() + options_.timeout;
  const Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd() < 0) return Errno("socket", errno);
  const std::string where = absl::StrCat("haproxy at ", options_.path);
  HR_RETURN_IF_ERROR(Annotate(Connect(socket, options_.path, deadline), where));
  HR_RETURN_IF_ERROR(Annotate(Send(socket, absl::StrCat(command, "\n"), deadline), where));
  HR_ASSIGN_OR_RETURN(std::string reply, Annotate(ReceiveAll(socket, options_.reply_bytes_max, deadline), where));
  // HAProxy ends every answer with at least an empty line: silence is a process on its way out.
  if (reply.empty()) return absl::UnavailableError(absl::StrCat(where, ": closed without an answer"));
  return reply;
}

}  // namespace headroom::haproxy
