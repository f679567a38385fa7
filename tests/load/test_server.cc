#include "tests/load/test_server.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/check.h"

namespace headroom::load {

Conversation::~Conversation() {
  const std::lock_guard lock(server_.mutex_);
  server_.open_.erase(std::remove(server_.open_.begin(), server_.open_.end(), fd_), server_.open_.end());
  if (fd_ >= 0) close(fd_);
}

bool Conversation::ReadRequest() {
  std::array<char, 16384> piece{};
  const auto receive = [&] {
    const ssize_t received = recv(fd_, piece.data(), piece.size(), 0);
    if (received > 0) unread_.append(piece.data(), static_cast<size_t>(received));
    return received > 0;
  };
  size_t end = 0;
  while ((end = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (!receive()) return false;
  }
  head_ = unread_.substr(0, end);
  unread_.erase(0, end + 4);
  constexpr absl::string_view kLength = "Content-Length: ";
  const size_t length = head_.find(std::string(kLength));
  body_bytes_ = 0;
  if (length != std::string::npos) {
    HR_CHECK(absl::SimpleAtoi(head_.substr(length + kLength.size()), &body_bytes_));
  }
  while (unread_.size() < body_bytes_) {
    if (!receive()) return false;
  }
  unread_.erase(0, body_bytes_);
  return true;
}

void Conversation::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void Conversation::Reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  HR_CHECK(setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
}

void Conversation::WaitForTheEnd() {
  while (ReadRequest()) {
  }
}

void Conversation::Stall(absl::Duration duration) {
  std::unique_lock lock(server_.mutex_);
  server_.ending_changed_.wait_for(lock, absl::ToChronoNanoseconds(duration), [&] { return server_.ending_; });
}

std::string Conversation::Response(absl::string_view status, absl::string_view body, absl::string_view fields) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\n", fields, "Content-Length: ", body.size(), "\r\n\r\n", body);
}

TestServer::TestServer(Handler handler, int backlog)
    : handler_(std::move(handler)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = endpoint_.ToSocketAddress();
  HR_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  HR_CHECK(listen(listener_, backlog) == 0);
  socklen_t size = sizeof address;
  HR_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  endpoint_.port = ntohs(address.sin_port);
  if (handler_) acceptor_ = std::thread([this] { Accept(); });
}

TestServer::~TestServer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    ending_changed_.notify_all();
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);  // wakes the acceptor
  if (acceptor_.joinable()) acceptor_.join();
  for (std::thread& conversation : conversations_) conversation.join();
  close(listener_);
}

void TestServer::Accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    if (ending_) {
      close(fd);
      return;
    }
    open_.push_back(fd);
    conversations_.emplace_back([this, fd, number = accepted_++] {
      Conversation conversation(fd, number, *this);
      handler_(conversation);
    });
  }
}

}  // namespace headroom::load
