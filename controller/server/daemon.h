#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <grpcpp/server.h>

#include "controller/base/clock.h"
#include "controller/providers/provider.h"
#include "controller/runtime/config.h"
#include "controller/runtime/control_loop.h"
#include "controller/runtime/journal.h"
#include "controller/server/access.h"
#include "controller/server/admin_service.h"
#include "controller/server/decision_feed.h"
#include "controller/server/dry_run_executor.h"
#include "controller/server/http_server.h"
#include "controller/server/live_executor.h"
#include "controller/server/load_service.h"
#include "controller/server/metrics.h"
#include "controller/server/node_channels.h"
#include "controller/server/policy_keeper.h"
#include "controller/server/term_keeper.h"
#include "controller/wire/credentials.h"

namespace headroom {

// Daemon: one running controller: the loop on a thread of its own, the services around it, and what connects them.
// Start() brings it up or says in one sentence why not; the destructor stops it in good order: the loop first, with its
// last commit, then the ports. Nodes keep running under their leases. Methods from the thread that started it.
class Daemon {
 public:
  struct Options {
    std::string config_path;  // for reloads and messages
    std::string listen = "127.0.0.1";
    int grpc_port = 0;
    int http_port = 0;
    std::string version;
    WireCredentials* credentials = nullptr;  // outlives the daemon; null: the gRPC port is plaintext
    // Where plaintext may be listened on.
    enum class Plaintext { kLoopback, kAnywhere } plaintext = Plaintext::kLoopback;
  };
  // What the caller has opened.
  struct Parts {
    Config config;
    std::string yaml;  // the text of `config`
    std::unique_ptr<Journal> journal;
    std::unique_ptr<Provider> provider;
    NodeControl* nodes = nullptr;  // the way to the nodes; null: their streams
    const Clock* clock = nullptr;  // of the cluster; null: the system's
    double clock_speed = 1;        // its seconds per real second
    // Called once the ports are open and before the first decision: a controller that cannot serve starts no nodes, and
    // one that decides does not find an empty cluster that is only about to be filled. Null: nothing is to be done.
    std::function<absl::Status()> first_nodes;
  };
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(Options options, Parts parts);
  ~Daemon();

  // Into the loop, for a provider whose nodes live in this process. Not after the daemon's end.
  Post poster() {
    return [this](Event event) { return loop_->Post(std::move(event)); };
  }
  int grpc_port() const { return grpc_port_; }
  int http_port() const { return http_ == nullptr ? 0 : http_->port(); }

  // Reads the policy file again, and keeps the old policy when the new one is bad.
  void ReloadPolicy();
  // OK when the loop decided within three of its tick intervals; else a sentence. Tells the gRPC health service too.
  absl::Status CheckHealth();

 private:
  Daemon(Options options, Parts parts);
  absl::Status Recover();
  Finish Finisher();
  Executor& ExecutorOf(Mode mode);
  Executor& SwitchMode(Mode mode);
  void ResumeInFlight(const Autoscaler& core);
  absl::Status ServeGrpc();
  absl::Status ServeHttp();
  HttpAnswer Page(absl::string_view path);

  void RunLoop();
  void SettleTerm();
  void OnDecision(const std::shared_ptr<const Decision>& decision);
  void OnRefused(const NodeId& node);
  void OnFinished(const Action& action, ActionFinished outcome);
  void OnPolicy(const Config& config);
  absl::Status Health() const;

  const Options options_;
  const SystemClock system_clock_;
  const Clock& clock_;  // of the cluster
  const double clock_speed_;
  NodeControl* const nodes_;
  std::unique_ptr<Provider> provider_;
  std::unique_ptr<Journal> journal_;
  PolicyKeeper policy_;
  Metrics metrics_;
  DecisionFeed feed_;
  const Access access_;
  std::unique_ptr<TermKeeper> term_;
  std::unique_ptr<ControlLoop> loop_;
  std::unique_ptr<CoreClock> core_clock_;
  std::unique_ptr<StreamRegistry> registry_;
  // The loop has one executor, and its type is the mode. The live one and its channels are made when this process first
  // goes live or finds actions of a live one under way; in a dry run it is there for their outcomes, out of the loop's
  // reach.
  std::unique_ptr<DryRunExecutor> dry_run_;
  std::unique_ptr<NodeChannels> channels_;
  std::unique_ptr<LiveExecutor> live_;
  std::unique_ptr<LoadService> load_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<grpc::Server> server_;
  int grpc_port_ = 0;
  std::unique_ptr<HttpServer> http_;
  std::atomic<int64_t> decided_at_nanos_{0};         // by the system clock; 0: not yet
  absl::Time term_retry_at_ = absl::InfinitePast();  // of the loop thread
  std::atomic<bool> stopping_{false};
  std::thread loop_thread_;
};

// What the gRPC port of these options is served with.
std::shared_ptr<grpc::ServerCredentials> PortCredentials(const Daemon::Options& options);
// FAILED_PRECONDITION where it would be plaintext within reach of others and that was not asked for.
absl::Status CheckExposure(const Daemon::Options& options);

}  // namespace headroom
