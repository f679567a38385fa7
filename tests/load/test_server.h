#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "tests/load/endpoint.h"

namespace headroom::load {

class TestServer;

// Conversation: one accepted connection, as a test's handler sees it. The connection closes when the handler returns.
class Conversation {
 public:
  Conversation(int fd, int number, TestServer& server) : fd_(fd), number_(number), server_(server) {}
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // Reads one request with its body; false at the end of the connection.
  bool ReadRequest();
  absl::string_view head() const { return head_; }
  size_t body_bytes() const { return body_bytes_; }
  int number() const { return number_; }  // 0 is the server's first connection

  void Write(absl::string_view bytes);
  void Answer(absl::string_view body) { Write(Response("200 OK", body)); }
  // Ends the connection with a reset.
  void Reset();
  // Until the client hangs up or the server ends.
  void WaitForTheEnd();
  // Stalls; less when the server ends.
  void Stall(absl::Duration duration);

  static std::string Response(absl::string_view status, absl::string_view body, absl::string_view fields = "");

 private:
  int fd_;
  int number_;
  TestServer& server_;
  std::string head_, unread_;
  size_t body_bytes_ = 0;
};

// TestServer: a listener on a free loopback port with one thread for each connection. Ends all of them with itself.
class TestServer {
 public:
  using Handler = std::function<void(Conversation&)>;

  // Without a handler nothing is ever accepted.
  explicit TestServer(Handler handler, int backlog = 512);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  Endpoint endpoint() const { return endpoint_; }
  int accepted() const { return accepted_; }

 private:
  friend class Conversation;
  void Accept();

  Handler handler_;
  int listener_;
  Endpoint endpoint_;
  std::atomic<int> accepted_{0};
  std::mutex mutex_;
  std::condition_variable ending_changed_;
  bool ending_ = false;                     // under mutex_
  std::vector<int> open_;                   // under mutex_
  std::vector<std::thread> conversations_;  // the acceptor's until it has ended
  std::thread acceptor_;
};

}  // namespace headroom::load
