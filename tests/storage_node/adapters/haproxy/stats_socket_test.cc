#include "storage_node/adapters/haproxy/stats_socket.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace headroom::haproxy {
namespace {

// A unix socket that serves one connection with `serve`.
class OneServer {
 public:
  explicit OneServer(std::function<void(int fd, const std::string& command)> serve) {
    char folder[] = "/tmp/headroom-XXXXXX";
    folder_ = mkdtemp(folder);
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_, 4), 0);
    thread_ = std::thread([this, serve = std::move(serve)] {
      const int peer = accept(fd_, nullptr, nullptr);
      if (peer < 0) return;
      std::string command;
      for (char c = 0; recv(peer, &c, 1, 0) == 1 && c != '\n';) command += c;
      serve(peer, command);
      close(peer);
    });
  }
  ~OneServer() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
    unlink(path().c_str());
    rmdir(folder_.c_str());
  }
  std::string path() const { return folder_ + "/socket"; }

 private:
  std::string folder_;
  int fd_ = -1;
  std::thread thread_;
};

void SendAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t sent = send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return;
    at += static_cast<size_t>(sent);
  }
}

TEST(StatsSocket, SendsOneLineAndReadsToTheEnd) {
  const std::string big(300'000, 'x');
  OneServer server([&](int fd, const std::string& command) { SendAll(fd, command + big); });
  StatsSocket line({.path = server.path(), .timeout = absl::Seconds(30)});
  const auto reply = line.Ask("show info");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(*reply, "show info" + big);
}

TEST(StatsSocket, RefusesWhatWouldBeMoreThanOneCommand) {
  StatsSocket line({.path = "/nowhere"});
  for (const std::string& bad :
       {std::string(), std::string("show info\nshutdown frontend f"), std::string("a;b"), std::string("a <<"),
        std::string("a\0b", 3), std::string("\xff"), std::string(5000, 'a')}) {
    EXPECT_EQ(line.Ask(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad.substr(0, 40);
  }
}

TEST(StatsSocket, SaysThatNobodyIsThere) {
  EXPECT_EQ(StatsSocket({.path = "/tmp/headroom-no-such-socket"}).Ask("show info").status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(StatsSocket({.path = std::string(200, 'a')}).Ask("show info").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(StatsSocket, GivesUpOnAReplyThatIsTooLarge) {
  OneServer server([&](int fd, const std::string&) { SendAll(fd, std::string(5000, 'x')); });
  StatsSocket line({.path = server.path(), .timeout = absl::Seconds(30), .reply_bytes_max = 4000});
  EXPECT_EQ(line.Ask("show stat").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(StatsSocket, GivesUpOnSilenceAndOnAClosedConnection) {
  OneServer silent([](int fd, const std::string&) {
    char c = 0;
    recv(fd, &c, 1, 0);  // until the client gives up
  });
  EXPECT_EQ(StatsSocket({.path = silent.path(), .timeout = absl::Milliseconds(50)}).Ask("show stat").status().code(),
            absl::StatusCode::kDeadlineExceeded);
  OneServer closing([](int, const std::string&) {});
  EXPECT_EQ(StatsSocket({.path = closing.path(), .timeout = absl::Seconds(30)}).Ask("show stat").status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace headroom::haproxy
