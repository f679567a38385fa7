// headroom-node: a file storage server with an admission gate. This file only wires objects together.
#include <csignal>
#include <cstring>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "storage_node/file_server/file_server.h"
#include "storage_node/gate/gate.h"
#include "storage_node/node_log.h"
#include "storage_node/node_options.h"

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

int Run(const NodeOptions& options) {
  const sigset_t signals = BlockSignals();
  SetUpNodeLog(options.log_format);
  Gate gate(options.limits);
  gate.OnPressure([&gate](Pressure pressure) { LogPressure(gate, pressure); });
  const auto server = FileServer::Start(gate, options.server);
  if (!server.ok()) {
    LogLine(LogLevel::kError, {{"event", "start_failed"}, {"reason", std::string(server.status().message())}});
    return kCouldNotStart;
  }
  LogStarted(**server);
  const int signal = WaitForSignal(signals);
  EndOnSecondSignal(signals);
  LogLine(LogLevel::kInfo, {{"event", "stopping"}, {"signal", strsignal(signal)}, {"open", absl::StrCat(gate.open())}});
  const bool drained = (*server)->Stop();
  LogLine(LogLevel::kInfo, {{"event", "stopped"}, {"drained", drained ? "yes" : "no"}});
  return drained ? 0 : kConnectionsLeftOpen;
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  const headroom::ParsedNodeOptions parsed = headroom::ParseNodeOptions(argc, argv);
  return parsed.run ? headroom::Run(parsed.options) : parsed.exit_code;
}
