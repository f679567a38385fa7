// headroom-agent: stands beside a HAProxy, tells the controller what it carries and keeps its servers equal to the
// fleet. This file only wires: flags, the stream, the log, signals. The work is in adapters/haproxy/agent.h.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include <CLI/CLI.hpp>
#include <unistd.h>

#include "controller/base/monitor.h"
#include "controller/wire/credentials.h"
#include "controller/wire/endpoints.h"
#include "controller/wire/tls_flags.h"
#include "storage_node/adapters/haproxy/agent.h"
#include "storage_node/adapters/haproxy/stats_socket.h"
#include "storage_node/node_log.h"
#include "storage_node/reporter/stream_client.h"

namespace headroom {
namespace {

struct Flags {
  std::string adapter = "haproxy";
  std::string socket_path, backend, frontend;
  std::vector<std::string> controllers;
  TlsFiles tls;
  std::string balancer_id, cluster;
  int64_t server_limit = 0;
  double interval_seconds = 0.1;
  std::string log_format = "text";
};

// Lets the loop sleep until there is a reason not to. From any thread.
class Waker {
 public:
  void Wake() {
    MonitorLock lock(mutex_);
    awake_ = true;
    mutex_.Notify();
  }
  void Stop() {
    MonitorLock lock(mutex_);
    stopping_ = awake_ = true;
    mutex_.Notify();
  }
  // False: it is time to stop.
  bool Sleep(absl::Duration pause) {
    MonitorLock lock(mutex_);
    if (!awake_) mutex_.Wait(pause);
    awake_ = stopping_;
    return !stopping_;
  }

 private:
  Monitor mutex_;
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

std::string RandomBootId() {
  std::random_device device;
  return absl::StrFormat("%08x%08x%08x", device(), device(), device());
}

LogLevel LevelOf(const absl::Status& status) {
  return status.ok() ? LogLevel::kInfo : LogLevel::kWarning;
}

void LogTurn(const haproxy::Turn& turn, const Flags& flags) {
  if (turn.haproxy_changed) {
    LogLine(LevelOf(turn.haproxy), {{"event", turn.haproxy.ok() ? "haproxy_found" : "haproxy_lost"},
                                    {"socket", flags.socket_path},
                                    {"status", turn.haproxy.ToString()}});
  }
  for (const std::string& name : turn.strangers) {
    LogLine(LogLevel::kWarning, {{"event", "server_is_no_node"}, {"server", name}});
  }
  for (const haproxy::Outcome& outcome : turn.outcomes) {
    LogLine(LevelOf(outcome.status), {{"event", "haproxy_step"},
                                      {"step", std::string(haproxy::Name(outcome.step.kind))},
                                      {"server", outcome.step.server.name},
                                      {"address", outcome.step.server.endpoints.data},
                                      {"status", outcome.status.ToString()}});
  }
}

StreamHandlers HandlersOf(haproxy::Agent& agent, Waker& waker) {
  StreamHandlers handlers;
  handlers.hello = [&agent] { return agent.Hello(); };
  handlers.report = [&agent](v1::Urgency urgency) -> std::optional<v1::LoadReport> {
    std::optional<v1::BalancerLoad> load = agent.Load(urgency);
    if (!load) return std::nullopt;
    v1::LoadReport report;
    *report.mutable_balancer() = *std::move(load);
    return report;
  };
  handlers.directive = [&agent, &waker, told = std::vector<std::string>()](const v1::Directive& directive) mutable {
    const haproxy::Obeyed obeyed = agent.Obey(directive);
    if (obeyed.faults != std::exchange(told, obeyed.faults)) {
      for (const std::string& fault : obeyed.faults) {
        LogLine(LogLevel::kWarning, {{"event", "directive_fault"}, {"fault", fault}});
      }
    }
    if (obeyed.changed) waker.Wake();
    return obeyed.outdated ? absl::FailedPreconditionError(obeyed.faults.front()) : absl::OkStatus();
  };
  handlers.link = [](absl::string_view controller, const absl::Status& status) {
    LogLine(LevelOf(status), {{"event", status.ok() ? "controller_found" : "controller_lost"},
                              {"controller", std::string(controller)},
                              {"status", status.ToString()}});
  };
  return handlers;
}

haproxy::AgentOptions OptionsOf(const Flags& flags) {
  haproxy::AgentOptions options;
  options.balancer_id = flags.balancer_id;
  options.cluster = flags.cluster;
  options.boot_id = RandomBootId();
  options.place = {.backend = flags.backend, .frontend = flags.frontend};
  options.reconcile.session_count_first = flags.server_limit;
  options.interval = absl::Seconds(flags.interval_seconds);
  return options;
}

// Blocked before any thread begins, the one that watches the files of TLS included, so that only the waiting one sees
// them.
sigset_t BlockSignals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  return ends;
}

int Run(const Flags& flags, const sigset_t& ends, const WireCredentials* credentials) {
  Waker waker;
  std::thread signals([&] {
    int signal = 0;
    sigwait(&ends, &signal);
    waker.Stop();
  });
  haproxy::StatsSocket line({.path = flags.socket_path});
  haproxy::Agent agent(line, OptionsOf(flags));
  StreamClient stream({.controllers = flags.controllers, .credentials = credentials}, HandlersOf(agent, waker));
  LogLine(LogLevel::kInfo, {{"event", "agent_started"},
                            {"balancer", flags.balancer_id},
                            {"backend", flags.backend},
                            {"wire", credentials == nullptr ? "plaintext" : "tls"}});
  // The first look comes before the stream, so that the hello knows whom it speaks for.
  haproxy::Turn turn = agent.Round(absl::Now());
  stream.Start();
  bool usable = true;
  do {
    LogTurn(turn, flags);
    usable = turn.haproxy.code() != absl::StatusCode::kFailedPrecondition;
    if (!usable) break;
    if (turn.urgency != v1::URGENCY_UNSPECIFIED) stream.Urgent(turn.urgency);
    if (!waker.Sleep(turn.pause)) break;
    turn = agent.Round(absl::Now());
  } while (true);
  stream.Stop(v1::Goodbye::REASON_STOPPING);
  if (!usable) kill(getpid(), SIGTERM);  // wakes the thread that waits for signals
  signals.join();
  LogLine(LogLevel::kInfo, {{"event", "agent_stopped"}, {"balancer", flags.balancer_id}});
  if (usable) return 0;
  absl::FPrintF(stderr, "headroom-agent: %s\n", std::string(turn.haproxy.message()));
  return 1;
}

// Names end up in commands to HAProxy.
std::string BadName(const std::string& name) {
  const absl::Status status = haproxy::CheckProxyName(name);
  return status.ok() ? "" : std::string(status.message());
}

std::string BadEndpoint(const std::string& text) {
  return std::string(CheckEndpoint(text).message());
}

void SayOfTls(const absl::Status& status, absl::string_view text) {
  LogLine(LevelOf(status), {{"event", "tls"}, {"text", std::string(text)}});
}

int Main(int argc, char** argv) {
  const sigset_t ends = BlockSignals();
  Flags flags;
  CLI::App app("Keeps a HAProxy's servers equal to the fleet and reports its load to the Headroom controller.");
  app.add_option("--adapter", flags.adapter, "What is driven")->check(CLI::IsMember({"haproxy"}));
  app.add_option("--haproxy-socket", flags.socket_path, "Stats socket of HAProxy, at level admin")->required();
  app.add_option("--backend", flags.backend, "Backend that holds the nodes")->required()->check(BadName);
  app.add_option("--frontend", flags.frontend, "Frontend before it")->required()->check(BadName);
  app.add_option("--controller", flags.controllers, "Controllers, HOST:PORT[,HOST:PORT]; the one that leads is found")
      ->required()
      ->delimiter(',')
      ->check(BadEndpoint);
  AddTlsFlags(app, flags.tls);
  app.add_option("--balancer-id", flags.balancer_id, "Name of this balancer, stable over restarts")->required();
  app.add_option("--cluster", flags.cluster, "Cluster it belongs to; default: the controller's only one");
  app.add_option("--interval", flags.interval_seconds, "Seconds between looks at HAProxy")
      ->check(CLI::Range(0.02, 60.0))
      ->capture_default_str();
  app.add_option(
         "--server-limit", flags.server_limit,
         "Mode http, and required there: the limit that a server without one begins with, that is the connection "
         "limit of a node divided by the number of balancers")
      ->check(CLI::Range(int64_t{0}, haproxy::HaproxyControl::kSessionsMax))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text or json")->check(CLI::IsMember({"text", "json"}));
  CLI11_PARSE(app, argc, argv);
  SetUpNodeLog(flags.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  if (flags.tls.empty()) return Run(flags, ends, nullptr);
  const auto credentials = WireCredentials::Open(flags.tls, WireCredentials::Watch::kEverySecond, SayOfTls);
  if (credentials.ok()) return Run(flags, ends, credentials->get());
  absl::FPrintF(stderr, "headroom-agent: %s\n", std::string(credentials.status().message()));
  return 1;
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  // What gRPC has to say is in our own errors, in one sentence.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  return headroom::Main(argc, argv);
}
