#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "storage_node/file_server/device_model.h"
#include "storage_node/file_server/session.h"
#include "storage_node/gate/gate.h"
#include "storage_node/gate/limit_applier.h"

namespace headroom {

struct FileServerOptions {
  std::string data_directory;
  std::string listen = "127.0.0.1:8080";        // port 0: the kernel picks one
  std::string admin_listen = "127.0.0.1:8081";  // probes and operators; beyond loopback only if somebody says so
  int64_t backlog = 128;                        // of the accept queue at the configured limit; grows with the limit
  int threads = 0;                              // 0: one a core
  SessionOptions session;
  DeviceModel::Options device;
  absl::Duration boot_delay = absl::ZeroDuration();  // until it listens and is ready
  absl::Duration stop_delay = absl::Seconds(1);      // from "not ready" to the drain, so that balancers notice
  absl::Duration drain_timeout = absl::Seconds(10);
  // A drain leaves an idle connection this long for a last request, answered "Connection: close", before it closes it.
  absl::Duration drain_idle_grace = absl::Seconds(1);
};

enum class ServerState { kStarting, kServing, kDraining, kStopping };
const char* Name(ServerState state);  // "starting", ...

// FileServer: an HTTP/1.1 gateway over a directory, with its data port behind a gate and an admin port beside it that
// is served however full the data port is. One thread accepts, answers the admin port and keeps time; `threads` serve.
//
//   Gate gate({.connections = 1000});
//   HR_ASSIGN_OR_RETURN(auto server, FileServer::Start(gate, {.data_directory = "/srv", .listen = "127.0.0.1:0"}));
//   ... server->port() ...
//   server->Stop();
//
// An orderly Stop fails no request behind a balancer that checks /readyz: not ready at once; after `stop_delay` a
// drain, in which each answer says "Connection: close" and idle connections are closed; requests in flight finish.
// Every member from any thread; Stop and destruction by one. The gate outlives the server, which registers callbacks
// there on Start.
class FileServer {
 public:
  // FailedPrecondition or Unavailable with one sentence: directory missing or unwritable, port in use, bad address.
  static absl::StatusOr<std::unique_ptr<FileServer>> Start(Gate& gate, FileServerOptions options);
  ~FileServer();  // without Stop: ends at once and drops what is open

  int port() const;
  int admin_port() const;
  int listener() const;  // the data listener, for who reads its kernel counters
  ServerState state() const { return state_.load(); }
  // Why it will never serve after its boot delay: Unavailable, as the port was taken meanwhile. OK: nothing is known.
  absl::Status problem() const;
  const FileServerOptions& options() const { return options_; }
  Gate& gate() { return gate_; }

  // Raises or lowers the connection limit: descriptors, backlog, gate, read back (LimitApplier).
  absl::StatusOr<AppliedLimit> ApplyConnectionLimit(int64_t limit);
  LimitApplier& limit_applier();
  // Time that requests waited for and spent in the declared device since the start. Absent: there is none.
  std::optional<absl::Duration> device_time() const;
  // No keep-alive and no idle connections any more; new ones are still let in. Drained when gate().open() is 0.
  void Drain();
  void Undrain();
  // Not ready, stop delay, drain, end. True: nothing was open when it ended.
  bool Stop();

 private:
  struct Parts;  // sockets, threads and sessions
  FileServer(Gate& gate, FileServerOptions options);
  absl::Status Open();
  absl::Status BeginServing();
  void Run();
  bool Drained() const;
  void EndNow();
  Awaitable<void> Boot();
  Awaitable<void> Sweep();

  Gate& gate_;
  const FileServerOptions options_;
  std::atomic<ServerState> state_{ServerState::kStarting};
  std::unique_ptr<Parts> parts_;
  mutable absl::Mutex problem_mutex_;
  absl::Status problem_ ABSL_GUARDED_BY(problem_mutex_);
};

}  // namespace headroom
