#pragma once

#include <functional>
#include <vector>

#include "absl/time/clock.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/check.h"

namespace headroom {

// A listener on a free loopback port that never accepts, and clients that come to it without waiting.
class CrowdedListener {
 public:
  explicit CrowdedListener(int backlog) {
    HR_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address_), sizeof address_) == 0);
    HR_CHECK(listen(listener_, backlog) == 0);
    socklen_t length = sizeof address_;
    HR_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &length) == 0);
  }
  ~CrowdedListener() {
    for (const int client : clients_) close(client);
    close(listener_);
  }
  CrowdedListener(const CrowdedListener&) = delete;
  CrowdedListener& operator=(const CrowdedListener&) = delete;

  void Come(int count) {
    for (int i = 0; i < count; ++i) {
      clients_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      (void)connect(clients_.back(), reinterpret_cast<sockaddr*>(&address_), sizeof address_);
    }
  }
  int socket_fd() const { return listener_; }
  uint16_t port() const { return ntohs(address_.sin_port); }

 private:
  int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address_{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  std::vector<int> clients_;
};

// Bounded: false when it has not come true within 20 s.
inline bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace headroom
