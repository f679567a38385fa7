// headroom-node: a file storage server with an admission gate. This file only wires objects together.
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <unistd.h>

#include "controller/wire/credentials.h"
#include "storage_node/file_server/file_server.h"
#include "storage_node/gate/gate.h"
#include "storage_node/node_log.h"
#include "storage_node/node_options.h"
#include "storage_node/proto_time.h"
#include "storage_node/reporter/node_reporter.h"

namespace headroom {
namespace {

constexpr int kCouldNotStart = 1;
constexpr int kConnectionsLeftOpen = 3;

const char* Name(Pressure pressure) {
  switch (pressure) {
    case Pressure::kLimitReached:
      return "limit_reached";
    case Pressure::kRejecting:
      return "rejecting";
    case Pressure::kRelieved:
      return "relieved";
  }
  return "unknown";
}

void LogPressure(const Gate& gate, Pressure pressure) {
  LogLine(LogLevel::kWarning, {{"event", "pressure"},
                               {"state", Name(pressure)},
                               {"open", absl::StrCat(gate.open())},
                               {"limit", absl::StrCat(gate.limits().connections)}});
}

void LogStarted(FileServer& server) {
  const GateLimits limits = server.gate().limits();
  LogLine(LogLevel::kInfo, {{"event", "started"},
                            {"port", absl::StrCat(server.port())},
                            {"admin_port", absl::StrCat(server.admin_port())},
                            {"connection_limit", absl::StrCat(limits.connections)},
                            {"in_flight_limit", absl::StrCat(limits.in_flight)},
                            {"idle_timeout", absl::FormatDuration(limits.idle_timeout)},
                            {"device_latency", absl::FormatDuration(server.options().device.latency)}});
}

// Signals are waited for, not handled: blocked here, before any thread is made.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

v1::ServerState ToWire(ServerState state) {
  switch (state) {
    case ServerState::kDraining:
      return v1::SERVER_STATE_DRAINING;
    case ServerState::kStopping:
      return v1::SERVER_STATE_STOPPING;
    case ServerState::kStarting:
    case ServerState::kServing:
      return v1::SERVER_STATE_SERVING;
  }
  return v1::SERVER_STATE_UNSPECIFIED;
}

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return absl::AsciiStrToLower(name.data());
}

// The host of --listen, unless that is every address of the machine.
std::string AdvertisedHost(const NodeOptions& options) {
  if (!options.advertised_host.empty()) return options.advertised_host;
  const std::string host = options.server.listen.substr(0, options.server.listen.rfind(':'));
  return host == "0.0.0.0" || host == "[::]" ? HostName() : host;
}

NodeReporterOptions ReporterOptions(const NodeOptions& options, const FileServer& server) {
  NodeReporterOptions reporter = options.reporter;
  const std::string host = AdvertisedHost(options);
  reporter.identity = {.server_version = "headroom-node/" HEADROOM_VERSION, .config_hash = ConfigHash(options)};
  reporter.sampler.own_listeners = {server.listener()};
  reporter.address = absl::StrCat(host, ":", server.port());
  reporter.admin_address = absl::StrCat(host, ":", server.admin_port());
  if (reporter.node_id.empty()) reporter.node_id = absl::StrCat(HostName(), "-", server.port());
  return reporter;
}

ReportedServer Reported(FileServer& server) {
  return {
      .gate = server.gate(),
      .limits = server.limit_applier(),
      .lifecycle = [&server](v1::Lifecycle asked) { asked == v1::LIFECYCLE_DRAIN ? server.Drain() : server.Undrain(); },
      .state = [&server] { return ToWire(server.state()); },
      .work =
          [&server](v1::Work& work) {
            if (const auto time = server.device_time()) *work.mutable_device_time() = ToProto(*time);
          },
      .log = [](LogFields fields) { LogLine(LogLevel::kInfo, fields); }};
}

// A node that does not serve yet is none: its controller hears of it when it does. Zero: it serves, or never will.
int WaitUntilServing(const FileServer& server, const sigset_t& signals) {
  constexpr timespec kPoll = {.tv_sec = 0, .tv_nsec = 20'000'000};
  while (server.state() == ServerState::kStarting && server.problem().ok()) {
    if (const int signal = sigtimedwait(&signals, nullptr, &kPoll); signal > 0) return signal;
  }
  return 0;
}

int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

void EndOnSecondSignal(const sigset_t& signals) {
  std::thread([signals] {
    WaitForSignal(signals);
    std::_Exit(kConnectionsLeftOpen);
  }).detach();
}

int CouldNotStart(const absl::Status& status) {
  LogLine(LogLevel::kError, {{"event", "start_failed"}, {"reason", std::string(status.message())}});
  return kCouldNotStart;
}

absl::StatusOr<std::unique_ptr<WireCredentials>> OpenCredentials(const TlsFiles& files) {
  if (files.empty()) return nullptr;
  return WireCredentials::Open(
      files, WireCredentials::Watch::kEverySecond, [](const absl::Status& status, absl::string_view text) {
        LogLine(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, {{"event", "tls"}, {"text", std::string(text)}});
      });
}

int Run(const NodeOptions& options) {
  const sigset_t signals = BlockSignals();
  SetUpNodeLog(options.log_format);
  const absl::StatusOr<std::unique_ptr<WireCredentials>> credentials = OpenCredentials(options.tls);
  if (!credentials.ok()) return CouldNotStart(credentials.status());
  Gate gate(options.limits);
  std::unique_ptr<NodeReporter> reporter;  // outlives the server, whose last slots still call out
  std::atomic<NodeReporter*> listening{nullptr};
  gate.OnPressure([&gate, &listening](Pressure pressure) {
    LogPressure(gate, pressure);
    if (NodeReporter* const to = listening.load()) to->Note(pressure);
  });
  const auto server = FileServer::Start(gate, options.server);
  if (!server.ok()) return CouldNotStart(server.status());
  LogStarted(**server);
  int signal = WaitUntilServing(**server, signals);
  if (const absl::Status problem = (*server)->problem(); !problem.ok()) return CouldNotStart(problem);
  if (signal == 0 && !options.reporter.stream.controllers.empty()) {
    NodeReporterOptions reported = ReporterOptions(options, **server);
    reported.stream.credentials = credentials->get();
    reporter = std::make_unique<NodeReporter>(std::move(reported), Reported(**server));
    LogLine(LogLevel::kInfo, {{"event", "reporting"}, {"wire", *credentials == nullptr ? "plaintext" : "tls"}});
    listening = reporter.get();
    reporter->Start();
  }
  if (signal == 0) signal = WaitForSignal(signals);
  EndOnSecondSignal(signals);
  LogLine(LogLevel::kInfo, {{"event", "stopping"}, {"signal", strsignal(signal)}, {"open", absl::StrCat(gate.open())}});
  const bool drained = (*server)->Stop();
  if (reporter != nullptr) reporter->Stop(v1::Goodbye::REASON_STOPPING);
  LogLine(LogLevel::kInfo, {{"event", "stopped"}, {"drained", drained ? "yes" : "no"}});
  return drained ? 0 : kConnectionsLeftOpen;
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  // What gRPC has to say is in our own errors, in one sentence.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as headroomd
  const headroom::ParsedNodeOptions parsed = headroom::ParseNodeOptions(argc, argv);
  return parsed.run ? headroom::Run(parsed.options) : parsed.exit_code;
}
