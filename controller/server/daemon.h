#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <grpcpp/server.h>

#include "controller/server/admin_router.h"
#include "controller/server/cluster.h"
#include "controller/server/clusters.h"
#include "controller/server/http_server.h"
#include "controller/server/load_service.h"
#include "controller/wire/credentials.h"

namespace headroom {

// Daemon: one pair of ports, and the clusters behind them. A stream or a call is led to the cluster that it names. A
// daemon that was started with its one cluster takes reporters that name none; where clusters come and go they have to
// say, or they would be led to whichever is alone for a moment. Start() opens the ports or says in one sentence why
// not; the destructor stops everything in good order: the loops first, with their last commits, then the ports. Nodes
// keep running under their leases. Methods from the thread that started it; Add() and Remove() from one thread.
class Daemon {
 public:
  struct Options {
    std::string listen = "127.0.0.1";
    int grpc_port = 0;
    int http_port = 0;
    std::string version;
    WireCredentials* credentials = nullptr;  // outlives the daemon; null: the gRPC port is plaintext
    // Where plaintext may be listened on.
    enum class Plaintext { kLoopback, kAnywhere } plaintext = Plaintext::kLoopback;
    // Of whoever keeps the clusters; null: nobody else has a say. Any thread.
    std::function<absl::Status()> keeper_health;
  };
  // With one cluster, which decides once the ports are open. Add() is for daemons without.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const Options& options, Cluster::Parts parts);
  // With none yet.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const Options& options);
  ~Daemon();

  // Opens a cluster and lets it run. ALREADY_EXISTS: another one has its name.
  absl::StatusOr<std::shared_ptr<Cluster>> Add(Cluster::Parts parts);
  // Stops a cluster; its streams end, its nodes go on by themselves. Nothing where there is none.
  void Remove(const std::string& name);
  // Null: there is none.
  std::shared_ptr<Cluster> Find(const std::string& name) const;

  int grpc_port() const { return grpc_port_; }
  int http_port() const { return http_ == nullptr ? 0 : http_->port(); }

  // Of the process, which probes restart: not OK when the loop is late, of several only when all are, for one that
  // hangs must not end the others. A sentence says why. Tells the gRPC health service too.
  absl::Status CheckHealth();

 private:
  enum class Keeps { kOne, kMany };
  Daemon(const Options& options, Keeps keeps);
  absl::StatusOr<std::shared_ptr<LoadIntake>> FindIntake(const std::string& cluster) const;
  absl::StatusOr<std::shared_ptr<Cluster>> Open(Cluster::Options::Among among, Cluster::Parts parts);
  absl::Status Serve();
  absl::Status ServeGrpc();
  absl::Status ServeHttp();
  HttpAnswer Page(absl::string_view path) const;
  absl::Status Health() const;

  const Options options_;
  const Keeps keeps_;
  Clusters clusters_;
  LoadService load_;
  AdminRouter admin_;
  std::unique_ptr<grpc::Server> server_;
  int grpc_port_ = 0;
  std::unique_ptr<HttpServer> http_;
};

// What the gRPC port of these options is served with.
std::shared_ptr<grpc::ServerCredentials> PortCredentials(const Daemon::Options& options);
// FAILED_PRECONDITION where it would be plaintext within reach of others and that was not asked for.
absl::Status CheckExposure(const Daemon::Options& options);

}  // namespace headroom
