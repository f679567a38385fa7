#pragma once

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include <sys/epoll.h>

#include "tests/load/endpoint.h"

namespace headroom::load {

// Stopwatch: monotonic time since it was made.
class Stopwatch {
 public:
  Stopwatch() : start_(Monotonic()) {}
  absl::Duration Elapsed() const { return Monotonic() - start_; }

 private:
  static absl::Duration Monotonic();
  absl::Duration start_;
};

// Dial: a connection that was begun. `error` is 0 when it is open already, EINPROGRESS while it is not, else what
// connect(2) said, and then there is no socket.
struct Dial {
  int fd = -1;
  int error = 0;
};

// Begins a non-blocking connection from a loopback source address. The port is left to connect(2)
// (IP_BIND_ADDRESS_NO_PORT), so each source has the whole range towards each target.
Dial StartConnecting(uint32_t source, const Endpoint& target);
// How the connecting ended: 0 or an errno. Clears it.
int ConnectError(int fd);

// Raises the soft limit of open files to the hard one. ResourceExhausted where that is below `needed`.
absl::Status RaiseFileLimit(int64_t needed);

// Poller: epoll, level triggered, with a wait that is exact to the microsecond where the kernel can
// (epoll_pwait2, Linux 5.11), else to the millisecond. Not thread-safe.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void Add(int fd, uint32_t events, uint64_t tag) { Control(EPOLL_CTL_ADD, fd, events, tag); }
  void Modify(int fd, uint32_t events, uint64_t tag) { Control(EPOLL_CTL_MOD, fd, events, tag); }
  // What is ready, valid until the next call; empty at the end of `timeout` or at a signal.
  absl::Span<const epoll_event> Wait(absl::Duration timeout);

 private:
  // Small, so that arrivals never wait for a long batch.
  static constexpr int kBatch = 64;

  void Control(int operation, int fd, uint32_t events, uint64_t tag);

  int fd_;
  bool has_exact_wait_ = true;
  std::array<epoll_event, kBatch> events_{};
};

}  // namespace headroom::load
