#include "tests/storage_node/adapters/haproxy/real_haproxy.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/base/check.h"
#include "storage_node/adapters/haproxy/stats_socket.h"

extern char** environ;

namespace headroom::haproxy {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int BoundSocket(int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  sockaddr_in address = Loopback(0);
  HR_CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  socklen_t size = sizeof(address);
  HR_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

void SendAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<size_t>(sent));
  }
}

// Up to and with the empty line that ends a head; "": the connection ended before.
std::string ReceiveHead(int fd) {
  std::string head;
  for (char c = 0; head.size() < 65536 && recv(fd, &c, 1, 0) == 1;) {
    head += c;
    if (absl::EndsWith(head, "\r\n\r\n")) return head;
  }
  return "";
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Child::Child(const std::vector<std::string>& command, const std::vector<std::string>& environment) {
  std::vector<std::string> arguments = command, variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  const std::vector<char*> argv = Pointers(arguments), envp = Pointers(variables);
  pid_ = fork();
  HR_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
}

bool Child::IsRunning() {
  return pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0;
}

void Child::End() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int Child::Stop() {
  if (pid_ <= 0) return -1;
  kill(pid_, SIGTERM);
  return Wait();
}

int Child::Wait() {
  if (pid_ <= 0) return -1;
  int status = 0;
  for (const absl::Time deadline = absl::Now() + kPatience; absl::Now() < deadline;
       absl::SleepFor(absl::Milliseconds(10))) {
    if (waitpid(pid_, &status, WNOHANG) != pid_) continue;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  return -1;
}

RealHaproxy::RealHaproxy(const std::string& example, const std::string& extra_lines) {
  char folder[] = "/tmp/headroom-XXXXXX";
  folder_ = mkdtemp(folder);
  // Bound and never listened on: holds the port for HAProxy, which binds it a second time.
  port_fd_ = BoundSocket(&port_);
  const char* source = std::getenv("HEADROOM_SOURCE");
  std::ifstream template_file(absl::StrCat(source == nullptr ? "." : source, "/deploy/examples/", example));
  HR_CHECK(template_file.good());
  std::stringstream text;
  text << template_file.rdbuf();
  std::ofstream(folder_ + "/haproxy.cfg") << text.str() << extra_lines;
  Start();
}

RealHaproxy::~RealHaproxy() {
  Kill();
  close(port_fd_);
  unlink(socket_path().c_str());
  unlink((folder_ + "/haproxy.cfg").c_str());
  rmdir(folder_.c_str());
}

void RealHaproxy::Start() {
  child_ = std::make_unique<Child>(
      std::vector<std::string>{"/usr/sbin/haproxy", "-db", "-q", "-f", folder_ + "/haproxy.cfg"},
      std::vector<std::string>{absl::StrCat("HEADROOM_FRONT_PORT=", port_), "HEADROOM_FRONT_MAXCONN=1000",
                               absl::StrCat("HEADROOM_HAPROXY_SOCKET=", socket_path())});
  StatsSocket line({.path = socket_path()});
  const absl::Time deadline = absl::Now() + kPatience;
  while (!line.Ask("show info").ok()) {
    HR_CHECK(absl::Now() < deadline);
    HR_CHECK(child_->IsRunning());
    absl::SleepFor(absl::Milliseconds(20));
  }
}

struct Backend::State {
  std::string name;
  std::atomic<bool> ready{true};
  absl::Notification release;
};

// Accepts on a port, one thread per connection.
struct Backend::Listener {
  enum class Kind { kData, kAdmin };
  Listener(State& shared, Kind serves) : state(shared), kind(serves), fd(BoundSocket(&port)) {
    HR_CHECK(listen(fd, 128) == 0);
    acceptor = std::thread([this] { Accept(); });
  }
  ~Listener() {
    shutdown(fd, SHUT_RDWR);
    acceptor.join();
    {
      absl::MutexLock lock(&mutex);
      for (const int peer : peers) shutdown(peer, SHUT_RDWR);
    }
    for (std::thread& thread : threads) thread.join();
    close(fd);
  }
  void Accept() {
    for (;;) {
      const int peer = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0 && errno == EINTR) continue;
      if (peer < 0) return;
      absl::MutexLock lock(&mutex);
      peers.insert(peer);
      threads.emplace_back([this, peer] { Serve(peer); });
    }
  }
  void Serve(int peer) {
    for (std::string head = ReceiveHead(peer); !head.empty(); head = ReceiveHead(peer)) {
      if (absl::StrContains(head, " /hold ")) state.release.WaitForNotificationWithTimeout(kPatience);
      const bool fine = kind == Kind::kData || state.ready;
      SendAll(peer, absl::StrCat("HTTP/1.1 ", fine ? "200 OK" : "503 Service Unavailable",
                                 "\r\nContent-Length: ", state.name.size(), "\r\n\r\n", state.name));
    }
    absl::MutexLock lock(&mutex);
    peers.erase(peer);
    close(peer);
  }

  State& state;
  const Kind kind;
  int port = 0, fd = -1;
  std::thread acceptor;
  std::vector<std::thread> threads;  // of the acceptor, then of the destructor
  absl::Mutex mutex;
  std::set<int> peers;
};

Backend::Backend(std::string name) : name_(std::move(name)), state_(std::make_unique<State>()) {
  state_->name = name_;
  data_ = std::make_unique<Listener>(*state_, Listener::Kind::kData);
  admin_ = std::make_unique<Listener>(*state_, Listener::Kind::kAdmin);
}
Backend::~Backend() {
  Release();
}
std::string Backend::data_address() const {
  return absl::StrCat("127.0.0.1:", data_->port);
}
std::string Backend::admin_address() const {
  return absl::StrCat("127.0.0.1:", admin_->port);
}
void Backend::SetReady(bool ready) {
  state_->ready = ready;
}
void Backend::Release() {
  if (!state_->release.HasBeenNotified()) state_->release.Notify();
}

Client::Client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval patience{.tv_sec = 30, .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const sockaddr_in address = Loopback(port);
  HR_CHECK(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}
Client::~Client() {
  if (fd_ >= 0) close(fd_);
}
void Client::Send(const std::string& path) {
  SendAll(fd_, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: t\r\n\r\n"));
}
std::string Client::Receive() {
  const std::string head = ReceiveHead(fd_);
  if (!absl::StartsWith(head, "HTTP/1.1 200")) return "";
  size_t length = 0;
  const std::string lower = absl::AsciiStrToLower(head);
  const size_t at = lower.find("content-length: ");
  if (at == std::string::npos || !absl::SimpleAtoi(lower.substr(at + 16, lower.find('\r', at) - at - 16), &length))
    return "";
  std::string body(length, '\0');
  return recv(fd_, body.data(), length, MSG_WAITALL) == static_cast<ssize_t>(length) ? body : "";
}

}  // namespace headroom::haproxy
