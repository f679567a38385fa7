#include "controller/server/daemon.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/server/log.h"

namespace headroom {
namespace {

// Of gRPC; an operator's call that finds them all busy is told RESOURCE_EXHAUSTED.
constexpr int kThreadsMax = 64;
// Streams have no end of their own.
constexpr auto kStopWait = std::chrono::milliseconds(100);

bool IsLoopback(const std::string& address) {
  return address == "::1" || IsLoopbackV4(address);
}

void Tune(grpc::ServerBuilder& builder) {
  // Without this a second controller would share the port, and half of the nodes would report to each.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A node that vanished without a word is noticed by its missing answer; reporters may ping too.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // The synchronous calls are an operator's.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 4);
  builder.SetResourceQuota(grpc::ResourceQuota("headroomd").SetMaxThreads(kThreadsMax));
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> PortCredentials(const Daemon::Options& options) {
  return options.credentials != nullptr ? options.credentials->ForPort() : grpc::InsecureServerCredentials();
}

absl::Status CheckExposure(const Daemon::Options& options) {
  if (options.credentials != nullptr || options.plaintext == Daemon::Options::Plaintext::kAnywhere) {
    return absl::OkStatus();
  }
  if (IsLoopback(options.listen)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("--listen ", options.listen,
                   " without TLS would let anybody who reaches it steer the cluster: give --tls-cert, --tls-key and "
                   "--tls-ca, or --insecure on a network that you trust"));
}

Daemon::Daemon(const Options& options, Keeps keeps)
    : options_(options),
      keeps_(keeps),
      load_([this](const std::string& cluster) { return FindIntake(cluster); }),
      admin_(clusters_, options.version) {}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Options& options, Cluster::Parts parts) {
  HR_RETURN_IF_ERROR(CheckExposure(options));
  std::unique_ptr<Daemon> daemon(new Daemon(options, Keeps::kOne));
  HR_ASSIGN_OR_RETURN(const std::shared_ptr<Cluster> cluster,
                      daemon->Open(Cluster::Options::Among::kAlone, std::move(parts)));
  HR_RETURN_IF_ERROR(daemon->Serve());
  HR_RETURN_IF_ERROR(cluster->Run());
  return daemon;
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Options& options) {
  HR_RETURN_IF_ERROR(CheckExposure(options));
  std::unique_ptr<Daemon> daemon(new Daemon(options, Keeps::kMany));
  HR_RETURN_IF_ERROR(daemon->Serve());
  return daemon;
}

// Nobody new is led to a cluster that ends, all commit before anybody's provider is waited for, and the ports outlive
// what the streams are told.
Daemon::~Daemon() {
  const std::vector<std::shared_ptr<Cluster>> all = clusters_.All();
  for (const std::shared_ptr<Cluster>& cluster : all) clusters_.Take(cluster->name());
  for (const std::shared_ptr<Cluster>& cluster : all) cluster->StopDeciding();
  for (const std::shared_ptr<Cluster>& cluster : all) cluster->Stop();
  http_.reset();
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + kStopWait);
  server_->Wait();
}

absl::StatusOr<std::shared_ptr<Cluster>> Daemon::Open(Cluster::Options::Among among, Cluster::Parts parts) {
  const auto access = options_.credentials != nullptr ? Access::Rule::kByCertificate : Access::Rule::kAnybody;
  HR_ASSIGN_OR_RETURN(std::shared_ptr<Cluster> cluster,
                      Cluster::Open({.version = options_.version, .access = access, .among = among}, std::move(parts)));
  HR_RETURN_IF_ERROR(clusters_.Add(cluster->name(), cluster));
  return cluster;
}

absl::StatusOr<std::shared_ptr<Cluster>> Daemon::Add(Cluster::Parts parts) {
  HR_ASSIGN_OR_RETURN(std::shared_ptr<Cluster> cluster, Open(Cluster::Options::Among::kOthers, std::move(parts)));
  const absl::Status runs = cluster->Run();
  if (runs.ok()) return cluster;
  Remove(cluster->name());
  return runs;
}

void Daemon::Remove(const std::string& name) {
  if (const std::shared_ptr<Cluster> cluster = clusters_.Take(name); cluster != nullptr) cluster->Stop();
}

std::shared_ptr<Cluster> Daemon::Find(const std::string& name) const {
  absl::StatusOr<std::shared_ptr<Cluster>> cluster = clusters_.Find(name);
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

// A reporter of a cluster that is not here has a wrong configuration, not a bad moment.
absl::StatusOr<std::shared_ptr<LoadIntake>> Daemon::FindIntake(const std::string& cluster) const {
  if (cluster.empty() && keeps_ == Keeps::kMany) {
    return absl::InvalidArgumentError("cluster: this controller keeps many, say which one with --cluster");
  }
  const absl::StatusOr<std::shared_ptr<Cluster>> found = clusters_.Find(cluster);
  if (found.ok()) return std::shared_ptr<LoadIntake>(*found, &(*found)->intake());
  if (absl::IsNotFound(found.status())) return absl::FailedPreconditionError(found.status().message());
  return found.status();
}

absl::Status Daemon::Serve() {
  HR_RETURN_IF_ERROR(ServeGrpc());
  return ServeHttp();
}

absl::Status Daemon::ServeGrpc() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  Tune(builder);
  const std::string address = HostPort(options_.listen, options_.grpc_port);
  builder.AddListeningPort(address, PortCredentials(options_), &grpc_port_);
  builder.RegisterService(&load_);
  builder.RegisterService(&admin_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || grpc_port_ == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address,
                                               " for gRPC: the port is in use, or this machine does not have the "
                                               "address; choose another one with --grpc-port or --listen"));
  }
  server_->GetHealthCheckService()->SetServingStatus(false);
  if (options_.credentials == nullptr && !IsLoopback(options_.listen)) {
    LogLine(LogLevel::kWarning, "open_port")
        .Add("address", address)
        .Add("text", "anybody who reaches this address can steer the cluster; keep it on a private network");
  }
  return absl::OkStatus();
}

absl::Status Daemon::ServeHttp() {
  absl::StatusOr<std::unique_ptr<HttpServer>> http = HttpServer::Start(
      {.address = options_.listen, .port = options_.http_port, .pages = [this](absl::string_view path) {
         return Page(path);
       }});
  if (!http.ok()) {
    return absl::Status(
        http.status().code(),
        absl::StrCat(http.status().message(), " for HTTP; choose another one with --http-port or --listen"));
  }
  http_ = *std::move(http);
  return absl::OkStatus();
}

HttpAnswer Daemon::Page(absl::string_view path) const {
  if (path == "/metrics") {
    std::vector<Metrics::Families> collected;
    for (const std::shared_ptr<Cluster>& cluster : clusters_.All()) collected.push_back(cluster->CollectMetrics());
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = RenderMetrics(collected)};
  }
  if (path == "/healthz") {
    const absl::Status health = Health();
    return {.code = health.ok() ? 200 : 503, .body = absl::StrCat(health.ok() ? "ok" : health.message(), "\n")};
  }
  if (path == "/") {
    return {.body = absl::StrCat("headroomd ", options_.version, ", ", clusters_.Text(),
                                 ": /metrics for Prometheus, /healthz for probes; gRPC on port ", grpc_port_,
                                 ", `headroomctl --server ", HostPort(options_.listen, grpc_port_), " status`\n")};
  }
  return {.code = 404, .body = "not here; see / for what is\n"};
}

absl::Status Daemon::Health() const {
  if (options_.keeper_health) HR_RETURN_IF_ERROR(options_.keeper_health());
  absl::Status health;
  for (const std::shared_ptr<Cluster>& cluster : clusters_.All()) {
    health = keeps_ == Keeps::kMany ? Annotate(cluster->Health(), absl::StrCat("cluster ", cluster->name()))
                                    : cluster->Health();
    if (health.ok()) return health;
  }
  return health;
}

absl::Status Daemon::CheckHealth() {
  absl::Status health = Health();
  server_->GetHealthCheckService()->SetServingStatus(health.ok());
  return health;
}

}  // namespace headroom
