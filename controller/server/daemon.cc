#include "controller/server/daemon.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/runtime/recovery.h"
#include "controller/server/decision_log.h"
#include "controller/server/log.h"

namespace headroom {
namespace {

// Of gRPC; an operator's call that finds them all busy is told RESOURCE_EXHAUSTED.
constexpr int kThreadsMax = 64;
constexpr absl::Duration kRoundMax = absl::Seconds(1);
constexpr absl::Duration kScrapeWait = absl::Milliseconds(300);
constexpr absl::Duration kHealthyMin = absl::Seconds(3);
constexpr absl::Duration kTermRetry = absl::Minutes(1);
// Streams have no end of their own.
constexpr auto kStopWait = std::chrono::milliseconds(100);

// The outcomes that the core waits for; it sees the effect of anything else in the reports.
bool IsAwaited(const Action& action) {
  return ChangesMachines(action) || std::holds_alternative<ListMachines>(action.body) ||
         std::holds_alternative<DrainNode>(action.body);
}

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

Daemon::Daemon(Options options, Parts parts)
    : options_(std::move(options)),
      clock_(parts.clock != nullptr ? *parts.clock : system_clock_),
      clock_speed_(parts.clock_speed),
      nodes_(parts.nodes),
      provider_(std::move(parts.provider)),
      journal_(std::move(parts.journal)),
      policy_(std::move(parts.config), std::move(parts.yaml), [this](const Config& config) { OnPolicy(config); }),
      metrics_(options_.version),
      access_(options_.credentials != nullptr ? Access::Rule::kByCertificate : Access::Rule::kAnybody,
              policy_.config().policy.cluster) {}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(Options options, Parts parts) {
  const std::function<absl::Status()> first_nodes = std::move(parts.first_nodes);
  HR_RETURN_IF_ERROR(CheckExposure(options));
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options), std::move(parts)));
  HR_RETURN_IF_ERROR(daemon->Recover());
  HR_RETURN_IF_ERROR(daemon->ServeGrpc());
  HR_RETURN_IF_ERROR(daemon->ServeHttp());
  if (first_nodes) HR_RETURN_IF_ERROR(first_nodes());
  daemon->loop_thread_ = std::thread([d = daemon.get()] { d->RunLoop(); });
  return daemon;
}

Daemon::~Daemon() {
  stopping_ = true;
  if (loop_thread_.joinable()) {
    loop_->Wake();
    loop_thread_.join();
  }
  http_.reset();
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + kStopWait);
    server_->Wait();
  }
  live_.reset();  // their threads post to the loop
  dry_run_.reset();
}

absl::Status Daemon::Recover() {
  HR_ASSIGN_OR_RETURN(Autoscaler core, headroom::Recover(*journal_, policy_.config().policy, clock_.Now()));
  term_ = std::make_unique<TermKeeper>(core.Save().term, [this] { loop_->Wake(); });
  const Policy& policy = core.policy();
  registry_ =
      std::make_unique<StreamRegistry>(StreamRegistry::Options{.report_interval = policy.control.report_interval,
                                                               .term = [this] { return term_->current(); },
                                                               .mode = policy.mode});
  policy_.SetModeInForce(policy.mode);
  dry_run_ = std::make_unique<DryRunExecutor>(DryRunExecutor::Ports{MachineLister(*provider_), poster(), Finisher()},
                                              policy.nodes.lead_time / clock_speed_);
  Executor& executor = ExecutorOf(policy.mode);
  const Autoscaler before = core;
  loop_ = std::make_unique<ControlLoop>(std::move(core), executor, *journal_);
  loop_->OnMode([this](Mode mode) -> Executor& { return SwitchMode(mode); });
  core_clock_ = std::make_unique<CoreClock>(clock_, *loop_);
  loop_->OnDecision([this](const std::shared_ptr<const Decision>& decision) { OnDecision(decision); });
  loop_->OnRefused([this](const NodeId& node) { OnRefused(node); });
  ResumeInFlight(before);
  return absl::OkStatus();
}

Finish Daemon::Finisher() {
  return [this](const Action& action, ActionFinished outcome) { OnFinished(action, std::move(outcome)); };
}

Executor& Daemon::ExecutorOf(Mode mode) {
  if (mode == Mode::kDryRun) return *dry_run_;
  if (live_ == nullptr) {
    channels_ = std::make_unique<NodeChannels>(*registry_);
    NodeControl& nodes = nodes_ != nullptr ? *nodes_ : *channels_;
    live_ = std::make_unique<LiveExecutor>(LiveExecutor::Ports{
        nodes, *provider_, poster(), Finisher(), [this](int64_t term) { term_->Saw(term, "the nodes' platform"); }});
  }
  return *live_;
}

// Of the loop thread, between the word of the operator and the first decision in the new mode.
Executor& Daemon::SwitchMode(Mode mode) {
  if (mode == Mode::kDryRun && live_ != nullptr) live_->DropWaiting();
  Executor& executor = ExecutorOf(mode);
  policy_.SetModeInForce(mode);
  term_->Raise();
  term_retry_at_ = absl::InfinitePast();
  SettleTerm();
  registry_->SetMode(mode);
  LogLine(LogLevel::kWarning, "mode_changed")
      .Add("mode", mode == Mode::kLive ? "live" : "dry_run")
      .Add("term", term_->current());
  return executor;
}

// What was under way when the last process ended. What a provider was asked is held against what it runs, in a dry run
// too: it was real, and to look changes nothing. A list, and what a dry run only imagines, is begun again.
void Daemon::ResumeInFlight(const Autoscaler& core) {
  std::vector<Action> asked;
  for (const auto& [id, flight] : core.fleet().in_flight()) {
    if (std::holds_alternative<ListMachines>(flight.action.body)) ExecutorOf(core.policy().mode).Start(flight.action);
    if (!ChangesMachines(flight.action)) continue;
    if (flight.dry_run)
      dry_run_->Start(flight.action);
    else
      asked.push_back(flight.action);
  }
  if (asked.empty()) return;
  ExecutorOf(Mode::kLive);
  const bool is_live = core.policy().mode == Mode::kLive;
  live_->Resolve(asked, [this, is_live] { return is_live ? term_->current() : 0; });
}

absl::Status Daemon::ServeGrpc() {
  const std::string cluster = policy_.config().policy.cluster;
  load_ = std::make_unique<LoadService>(
      LoadService::Options{
          .access = access_,
          .cluster = cluster,
          .post = poster(),
          .saw_term = [this](int64_t term, absl::string_view reporter) { term_->Saw(term, reporter); }},
      *registry_);
  admin_ = std::make_unique<AdminService>(
      AdminService::Ports{access_, *loop_, *journal_, policy_, feed_, *core_clock_, options_.version});
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  Tune(builder);
  const std::string address = HostPort(options_.listen, options_.grpc_port);
  builder.AddListeningPort(address, PortCredentials(options_), &grpc_port_);
  builder.RegisterService(load_.get());
  builder.RegisterService(admin_.get());
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

HttpAnswer Daemon::Page(absl::string_view path) {
  if (path == "/metrics") {
    metrics_.Reports(load_->counters(), registry_->size());
    // A loop that hangs must not hang the scrape: the last figures stand, and their age is in a metric.
    loop_->Ask([this](const Autoscaler& core) { metrics_.Cluster(core, core_clock_->Now()); }, kScrapeWait)
        .IgnoreError();
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.Render()};
  }
  if (path == "/healthz") {
    const absl::Status health = Health();
    return {.code = health.ok() ? 200 : 503, .body = absl::StrCat(health.ok() ? "ok" : health.message(), "\n")};
  }
  if (path == "/") {
    return {.body = absl::StrCat("headroomd ", options_.version, ", cluster ", policy_.config().policy.cluster,
                                 ": /metrics for Prometheus, /healthz for probes; gRPC on port ", grpc_port_,
                                 ", `headroomctl --server ", HostPort(options_.listen, grpc_port_), " status`\n")};
  }
  return {.code = 404, .body = "not here; see / for what is\n"};
}

void Daemon::RunLoop() {
  while (!stopping_) {
    SettleTerm();
    const absl::Time began = system_clock_.Now();
    const absl::Time next = loop_->RunOnce(clock_.Now());
    const absl::Time ended = system_clock_.Now();
    metrics_.Loop(ended, ended - began);
    const absl::Duration pause = std::clamp((next - clock_.Now()) / clock_speed_, absl::ZeroDuration(), kRoundMax);
    loop_->Wait([ended] { return ended; }, ended + pause);
  }
  const absl::Status finished = loop_->Finish(clock_.Now());
  if (!finished.ok()) LogLine(LogLevel::kError, "last_commit_failed").Add("error", finished.message());
}

void Daemon::SettleTerm() {
  if (clock_.Now() < term_retry_at_) return;
  const absl::StatusOr<std::optional<int64_t>> term = term_->Settle(*journal_);
  if (!term.ok()) {
    // A disk that does not answer costs seconds, and limits must not wait for it.
    term_retry_at_ = clock_.Now() + kTermRetry;
    LogLine(LogLevel::kError, "term_not_written").Add("error", term.status().message());
  } else if (term->has_value()) {
    LogLine(LogLevel::kInfo, "term_raised").Add("term", **term);
    loop_->Post(TermChanged{**term}).IgnoreError();  // the mailbox takes terms
    registry_->Announce();
  }
}

void Daemon::OnDecision(const std::shared_ptr<const Decision>& decision) {
  decided_at_nanos_ = absl::ToUnixNanos(system_clock_.Now());
  metrics_.Decided(*decision);
  LogDecision(feed_.Publish(decision));
}

void Daemon::OnRefused(const NodeId& node) {
  const absl::Status full = absl::ResourceExhaustedError(
      absl::StrCat("this controller has ", Fleet::kNodesMax,
                   " nodes, lost ones included, and takes no more; run another controller for another cluster"));
  LogLine(LogLevel::kWarning, "node_refused").Add("node", node).Add("why", full.message());
  registry_->Refuse({v1::ROLE_NODE, node}, full);
}

void Daemon::OnFinished(const Action& action, ActionFinished outcome) {
  metrics_.Finished(action, outcome);
  LogOutcome(action, outcome);
  if (IsAwaited(action)) loop_->Post(std::move(outcome)).IgnoreError();  // the mailbox takes outcomes
}

void Daemon::OnPolicy(const Config& config) {
  registry_->SetReportInterval(config.policy.control.report_interval);
  dry_run_->set_lead_time(config.policy.nodes.lead_time / clock_speed_);
  const absl::Status posted = loop_->Post(PolicyChanged{config.policy});
  if (!posted.ok()) LogLine(LogLevel::kError, "policy_not_taken").Add("error", posted.message());
}

void Daemon::ReloadPolicy() {
  const absl::StatusOr<PolicyKeeper::Change> change = policy_.Reload(options_.config_path);
  metrics_.PolicyReloaded(change.ok());
  if (!change.ok()) {
    for (const std::string& fault : policy_.faults()) {
      LogLine(LogLevel::kError, "policy_refused").Add("fault", fault).Add("text", "the old policy stays in force");
    }
    return;
  }
  LogLine line(LogLevel::kInfo, "policy_reloaded");
  line.Add("file", options_.config_path).Add("changes", static_cast<int64_t>(change->changes.size()));
  if (!change->changes.empty()) line.Add("change", absl::StrJoin(change->changes, "; "));
}

absl::Status Daemon::Health() const {
  const int64_t nanos = decided_at_nanos_;
  if (nanos == 0) return absl::UnavailableError("no decision was made yet");
  const absl::Duration age = system_clock_.Now() - absl::FromUnixNanos(nanos);
  const absl::Duration allowed = std::max(kHealthyMin, 3 * policy_.config().policy.control.tick / clock_speed_);
  if (age <= allowed) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the last decision is ", absl::FormatDuration(age), " old, at most ",
                                             absl::FormatDuration(allowed), " is healthy; see the log of headroomd"));
}

absl::Status Daemon::CheckHealth() {
  absl::Status health = Health();
  server_->GetHealthCheckService()->SetServingStatus(health.ok());
  return health;
}

}  // namespace headroom
