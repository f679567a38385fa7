#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace headroom::haproxy {

// Child: a process that ends with this object, or with the test. `environment` is added to the test's own.
class Child {
 public:
  Child(const std::vector<std::string>& command, const std::vector<std::string>& environment);
  ~Child() { End(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool IsRunning();
  // Kills it and waits. Again: does nothing.
  void End();
  // SIGTERM, then its exit status; -1: it did not end in good order.
  int Stop();
  // Its exit status when it ends by itself; -1: it did not end in good order, or not at all.
  int Wait();

 private:
  int pid_ = -1;
};

// RealHaproxy: HAProxy in the foreground with one of deploy/examples' configurations, on a port of its own that stays
// the same over restarts.
class RealHaproxy {
 public:
  // `example`: "haproxy-tcp.cfg". `extra_lines` are added to its backend.
  explicit RealHaproxy(const std::string& example, const std::string& extra_lines = "");
  ~RealHaproxy();
  RealHaproxy(const RealHaproxy&) = delete;
  RealHaproxy& operator=(const RealHaproxy&) = delete;

  void Start();  // returns when it answers
  void Kill() { child_.reset(); }

  int port() const { return port_; }
  std::string socket_path() const { return folder_ + "/haproxy.sock"; }

 private:
  std::string folder_;
  int port_fd_ = -1, port_ = 0;
  std::unique_ptr<Child> child_;
};

// Backend: a node as HAProxy sees it. The data port answers every request with the node's name over keep-alive, and
// "/hold" only once Release() was called; the admin port answers probes. Thread-safe.
class Backend {
 public:
  explicit Backend(std::string name);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  const std::string& name() const { return name_; }
  std::string data_address() const;
  std::string admin_address() const;
  void SetReady(bool ready);
  void Release();  // all that hold, now and later

 private:
  struct Listener;
  struct State;

  const std::string name_;
  std::unique_ptr<State> state_;
  std::unique_ptr<Listener> data_, admin_;
};

// Client: one connection to HAProxy.
class Client {
 public:
  explicit Client(int port);
  ~Client();
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&&) = delete;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(const std::string& path);
  std::string Receive();  // the body of the next answer; "": refused, closed, or an error status
  std::string Get(const std::string& path) {
    Send(path);
    return Receive();
  }

 private:
  int fd_ = -1;
};

}  // namespace headroom::haproxy
