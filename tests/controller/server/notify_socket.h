#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace headroom {

// What systemd hears: a socket of datagrams whose path is in the environment as long as this object lives.
class NotifySocket {
 public:
  NotifySocket() {
    char folder[] = "/tmp/headroom-notify-XXXXXX";
    folder_ = mkdtemp(folder);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder_ + "/socket";
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  NotifySocket(const NotifySocket&) = delete;
  ~NotifySocket() {
    unsetenv("NOTIFY_SOCKET");
    close(fd_);
    std::filesystem::remove_all(folder_);
  }

  // What has come since the last call.
  std::vector<std::string> Heard() const {
    std::vector<std::string> heard;
    char buffer[4096];
    for (ssize_t size; (size = recv(fd_, buffer, sizeof buffer, 0)) >= 0;)
      heard.emplace_back(buffer, static_cast<size_t>(size));
    return heard;
  }

 private:
  std::string folder_;
  int fd_;
};

}  // namespace headroom
