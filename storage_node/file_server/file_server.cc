#include "storage_node/file_server/file_server.h"

#include <algorithm>
#include <csignal>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <sys/socket.h>

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "storage_node/file_server/acceptor.h"
#include "storage_node/file_server/admin.h"
#include "storage_node/file_server/object_store.h"

namespace headroom {
namespace {

constexpr absl::Duration kSweepEvery = absl::Milliseconds(100);  // idle timeouts and deadlines are this exact
constexpr size_t kDiskThreads = 4;
constexpr int kAdminBacklog = 64;

using Endpoint = asio::ip::tcp::endpoint;
using Listener = asio::ip::tcp::acceptor;

absl::StatusOr<Endpoint> ParseEndpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  ErrorCode error;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(text, " is not ADDRESS:PORT"));
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat(host, " in ", text, " is not an IP address"));
  return Endpoint(address, static_cast<uint16_t>(port));
}

// Bound, not listening yet.
absl::Status Bind(Listener& listener, const std::string& text) {
  HR_ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(text));
  ErrorCode error;
  listener.open(endpoint.protocol(), error);
  if (!error) listener.set_option(Listener::reuse_address(true), error);
  if (!error) listener.bind(endpoint, error);
  if (!error) listener.native_non_blocking(true, error);
  if (!error) return absl::OkStatus();
  const std::string what = absl::StrCat("cannot listen on ", text, ": ", error.message());
  if (error == asio::error::address_in_use) return absl::UnavailableError(what);
  return absl::FailedPreconditionError(what);
}

int ThreadCount(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// sendfile(2) to a closed connection raises SIGPIPE and takes no flag against it.
void RunLoop(asio::io_context& context) {
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  context.run();
}

// A thread with its own event loop: its connections never leave it.
struct Worker {
  asio::io_context context{1};
  asio::executor_work_guard<Executor> guard{context.get_executor()};
  // Opens nothing, but makes the context take its own descriptors now: the first connection may come when there are
  // none.
  Socket first{context.get_executor()};
};

}  // namespace

struct FileServer::Parts {
  explicit Parts(const FileServerOptions& options) : device(options.device) {
    for (int i = 0; i < ThreadCount(options.threads); ++i) workers.push_back(std::make_unique<Worker>());
  }

  DeviceModel device;
  std::optional<ObjectStore> store;
  asio::thread_pool disk{kDiskThreads};
  std::unique_ptr<SessionContext> sessions;
  Worker control;  // accepts, admin port, sweeps
  std::vector<std::unique_ptr<Worker>> workers;
  size_t next_worker = 0;
  Listener listener{control.context}, admin_listener{control.context};
  std::optional<Acceptor> acceptor;
  std::optional<LimitApplier> applier;
  std::vector<std::thread> threads;

  void HandOver(Acceptor::Accepted accepted) {
    Worker& worker = *workers[next_worker++ % workers.size()];
    asio::post(worker.context, [this, &worker, accepted = std::move(accepted)]() mutable {
      Socket socket(worker.context.get_executor());
      ErrorCode error;
      socket.assign(asio::ip::tcp::v4(), accepted.socket.get(), error);
      if (error) return;
      accepted.socket.Release();
      asio::co_spawn(
          worker.context.get_executor(),
          ServeConnection(*sessions,
                          {.slot = std::move(accepted.slot), .socket = std::move(socket), .client = accepted.client}),
          asio::detached);
    });
  }
};

const char* Name(ServerState state) {
  switch (state) {
    case ServerState::kStarting:
      return "starting";
    case ServerState::kServing:
      return "serving";
    case ServerState::kDraining:
      return "draining";
    case ServerState::kStopping:
      return "stopping";
  }
  return "unknown";
}

FileServer::FileServer(Gate& gate, FileServerOptions options)
    : gate_(gate), options_(std::move(options)), parts_(std::make_unique<Parts>(options_)) {}

FileServer::~FileServer() {
  EndNow();
}

absl::StatusOr<std::unique_ptr<FileServer>> FileServer::Start(Gate& gate, FileServerOptions options) {
  auto server = std::unique_ptr<FileServer>(new FileServer(gate, std::move(options)));
  HR_RETURN_IF_ERROR(server->Open());
  server->Run();
  return server;
}

absl::Status FileServer::Open() {
  Parts& parts = *parts_;
  HR_ASSIGN_OR_RETURN(parts.store, ObjectStore::Open(options_.data_directory));
  HR_RETURN_IF_ERROR(Bind(parts.listener, options_.listen));
  HR_RETURN_IF_ERROR(Annotate(Bind(parts.admin_listener, options_.admin_listen), "admin port"));
  ErrorCode error;
  parts.admin_listener.listen(kAdminBacklog, error);
  if (error) return absl::UnavailableError(absl::StrCat("admin port ", options_.admin_listen, ": ", error.message()));
  // new: it holds an atomic, so it is built in place.
  parts.sessions.reset(new SessionContext{
      .gate = gate_, .store = *parts.store, .device = parts.device, .disk = parts.disk, .options = options_.session});
  const int listener = parts.listener.native_handle();
  parts.applier.emplace(
      gate_, LimitApplier::Options{
                 .listener = listener, .connection_limit = gate_.limits().connections, .backlog = options_.backlog});
  parts.acceptor.emplace(parts.control.context.get_executor(), gate_, listener,
                         [&parts](Acceptor::Accepted accepted) { parts.HandOver(std::move(accepted)); });
  if (options_.boot_delay > absl::ZeroDuration()) return absl::OkStatus();
  return BeginServing();
}

absl::Status FileServer::BeginServing() {
  Parts& parts = *parts_;
  ErrorCode error;
  parts.listener.listen(static_cast<int>(options_.backlog), error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot listen on ", options_.listen, ": ", error.message()));
  HR_RETURN_IF_ERROR(parts.applier->Apply(gate_.limits().connections).status());
  asio::co_spawn(parts.control.context.get_executor(), parts.acceptor->Run(), asio::detached);
  ServerState starting = ServerState::kStarting;
  state_.compare_exchange_strong(starting, ServerState::kServing);
  return absl::OkStatus();
}

void FileServer::Run() {
  Parts& parts = *parts_;
  const Executor control = parts.control.context.get_executor();
  asio::co_spawn(control, ServeAdmin(*this, parts.admin_listener, control), asio::detached);
  asio::co_spawn(control, Sweep(), asio::detached);
  if (options_.boot_delay > absl::ZeroDuration()) asio::co_spawn(control, Boot(), asio::detached);
  parts.threads.emplace_back(&RunLoop, std::ref(parts.control.context));
  for (auto& worker : parts.workers) parts.threads.emplace_back(&RunLoop, std::ref(worker->context));
}

Awaitable<void> FileServer::Boot() {
  co_await Sleep(parts_->control.context.get_executor(), options_.boot_delay);
  if (state() == ServerState::kStopping) co_return;
  // Bound is not taken: with SO_REUSEADDR two may be bound to one port, and the first that listens has it.
  absl::Status begun = BeginServing();
  absl::MutexLock lock(&problem_mutex_);
  problem_ = std::move(begun);
}

absl::Status FileServer::problem() const {
  absl::MutexLock lock(&problem_mutex_);
  return problem_;
}

// Idle timeouts, deadlines and the drain's idle connections, all by one timer for the whole server.
Awaitable<void> FileServer::Sweep() {
  while (true) {
    co_await Sleep(parts_->control.context.get_executor(), kSweepEvery);
    const absl::Time now = MonotonicNow();
    const absl::Duration timeout = gate_.limits().idle_timeout;
    const bool draining = parts_->sessions->keep_alive.load() == KeepAlive::kRefused;
    const absl::Duration min_age = draining ? std::min(timeout, options_.drain_idle_grace) : timeout;
    gate_.ShedIdle(now, SlotCounter::kMost, min_age);
    gate_.connections().Expire(now);
  }
}

int FileServer::port() const {
  return parts_->listener.local_endpoint().port();
}
int FileServer::admin_port() const {
  return parts_->admin_listener.local_endpoint().port();
}
int FileServer::listener() const {
  // The handle does not change while the server lives; only the accessor is not const.
  return const_cast<Listener&>(parts_->listener).native_handle();
}

absl::StatusOr<AppliedLimit> FileServer::ApplyConnectionLimit(int64_t limit) {
  return parts_->applier->Apply(limit);
}

LimitApplier& FileServer::limit_applier() {
  return *parts_->applier;
}

std::optional<absl::Duration> FileServer::device_time() const {
  if (!parts_->device.enabled()) return std::nullopt;
  return parts_->device.time_spent();
}

void FileServer::Drain() {
  ServerState serving = ServerState::kServing;
  state_.compare_exchange_strong(serving, ServerState::kDraining);
  parts_->sessions->keep_alive = KeepAlive::kRefused;
}

void FileServer::Undrain() {
  ServerState draining = ServerState::kDraining;
  if (state_.compare_exchange_strong(draining, ServerState::kServing)) {
    parts_->sessions->keep_alive = KeepAlive::kOffered;
  }
}

bool FileServer::Drained() const {
  const auto queue = ReadAcceptQueue(listener());
  return gate_.open() == 0 && (!queue.ok() || queue->waiting == 0);
}

bool FileServer::Stop() {
  state_ = ServerState::kStopping;
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(options_.stop_delay));
  parts_->sessions->keep_alive = KeepAlive::kRefused;
  const absl::Time deadline = MonotonicNow() + options_.drain_timeout;
  while (!Drained() && MonotonicNow() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const bool drained = Drained();
  EndNow();
  return drained;
}

void FileServer::EndNow() {
  Parts& parts = *parts_;
  parts.control.context.stop();
  for (auto& worker : parts.workers) worker->context.stop();
  for (std::thread& thread : parts.threads) thread.join();
  parts.threads.clear();
  parts.disk.join();
}

}  // namespace headroom
