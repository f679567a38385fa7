// headroomd: the controller. The only place that wires it together: flags, signals, the policy file, the provider.

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/providers/local.h"
#include "controller/providers/simulated.h"
#include "controller/runtime/config.h"
#include "controller/runtime/sqlite_journal.h"
#include "controller/server/daemon.h"
#include "controller/server/file_watch.h"
#include "controller/server/log.h"
#include "controller/server/port.h"

namespace headroom {
namespace {

constexpr int kHealthPeriodMillis = 500;

struct Flags {
  std::string config, state_dir, log_format = "text";
  Daemon::Options daemon{.grpc_port = 7600, .http_port = 7601, .version = HEADROOM_VERSION};
};

// systemd's StateDirectory= where it is given.
std::string DefaultStateDir() {
  const char* given = std::getenv("STATE_DIRECTORY");
  return given != nullptr && *given != '\0' ? given : "./headroom-state";
}

void AddFlags(CLI::App& app, Flags& flags) {
  flags.state_dir = DefaultStateDir();
  app.add_option("--config", flags.config, "Policy file (YAML); examples are in deploy/examples")->required();
  app.add_option("--state-dir", flags.state_dir, "Folder of the journal and of local nodes, made where it is missing")
      ->capture_default_str();
  app.add_option("--listen", flags.daemon.listen, "IP address to listen on")->capture_default_str();
  app.add_option("--grpc-port", flags.daemon.grpc_port,
                 "Port of nodes and headroomctl; 0: any free one, the last one where it is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--http-port", flags.daemon.http_port, "Port of /metrics and /healthz; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.set_version_flag("--version", std::string("headroomd ") + HEADROOM_VERSION);
}

// Blocks the signals in all threads to come; they are read from the descriptor.
absl::StatusOr<int> TakeSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int fd = signalfd(-1, &signals, SFD_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot take signals");
  return fd;
}

absl::Status OpenLocal(const v1::Policy& policy, const Flags& flags, Daemon::Parts& parts) {
  LocalProviderOptions options;
  options.settings = policy.provider().local();
  options.state_dir = flags.state_dir;
  options.cluster = policy.cluster();
  const bool any = flags.daemon.listen == "0.0.0.0" || flags.daemon.listen == "::";
  options.controller_address = HostPort(any ? "127.0.0.1" : flags.daemon.listen, flags.daemon.grpc_port);
  options.say = [](absl::string_view text) { LogLine(LogLevel::kWarning, "local_nodes").Add("text", text); };
  HR_ASSIGN_OR_RETURN(std::unique_ptr<LocalProvider> local,
                      Annotate(LocalProvider::Open(std::move(options)), "provider"));
  const int asked = policy.provider().local().initial_count();
  parts.first_nodes = [raw = local.get(), count = asked > 0 ? asked : policy.nodes().min()] {
    return Annotate(raw->Begin(count), "start the first nodes");
  };
  parts.provider = std::move(local);
  return absl::OkStatus();
}

SimulatedProvider* OpenSimulated(const v1::Policy& policy, Daemon::Parts& parts) {
  auto simulated = std::make_unique<SimulatedProvider>(
      SimulatedProviderOptions{.settings = policy.provider().simulated(),
                               .report_interval = parts.config.policy.control.report_interval,
                               .start = SystemClock().Now()});
  SimulatedProvider* const world = simulated.get();
  parts.nodes = world;
  parts.clock = world;
  parts.clock_speed = std::max(0.001, policy.provider().simulated().speed());
  parts.provider = std::move(simulated);
  return world;
}

absl::StatusOr<std::unique_ptr<Journal>> OpenJournal(const std::string& state_dir) {
  SqliteJournal::Options options;
  options.state_dir = state_dir;
  options.say = [](absl::string_view text) { LogLine(LogLevel::kWarning, "journal").Add("text", text); };
  HR_ASSIGN_OR_RETURN(std::unique_ptr<SqliteJournal> journal,
                      Annotate(SqliteJournal::Open(std::move(options)), absl::StrCat("--state-dir ", state_dir)));
  return std::unique_ptr<Journal>(std::move(journal));
}

void LogStart(const Flags& flags, const v1::Policy& policy, const Daemon& daemon) {
  LogLine(LogLevel::kInfo, "started")
      .Add("cluster", policy.cluster())
      .Add("mode", policy.mode() == v1::MODE_LIVE ? "live" : "dry_run")
      .Add("listen", flags.daemon.listen)
      .Add("grpc_port", int64_t{daemon.grpc_port()})
      .Add("http_port", int64_t{daemon.http_port()})
      .Add("state_dir", std::filesystem::absolute(flags.state_dir).string())
      .Add("version", HEADROOM_VERSION);
}

// A running controller and its simulated world, if it has one, which stops first.
struct Running {
  std::unique_ptr<Daemon> daemon;
  SimulatedProvider* world;
  ~Running() {
    if (world != nullptr) world->Stop();
  }
};

absl::StatusOr<std::unique_ptr<Running>> StartDaemon(Flags flags) {
  flags.daemon.config_path = flags.config;
  Daemon::Parts parts;
  HR_ASSIGN_OR_RETURN(parts.config, LoadConfig(flags.config));
  HR_ASSIGN_OR_RETURN(parts.yaml, ReadPolicyFile(flags.config));
  const v1::Policy policy = parts.config.message;
  HR_ASSIGN_OR_RETURN(parts.journal, OpenJournal(flags.state_dir));
  // Local nodes must know the port before it is served.
  if (flags.daemon.grpc_port == 0) {
    HR_ASSIGN_OR_RETURN(flags.daemon.grpc_port, ChoosePort(flags.state_dir));
  }
  SimulatedProvider* world = nullptr;
  if (policy.provider().has_simulated()) {
    world = OpenSimulated(policy, parts);
  } else {
    HR_RETURN_IF_ERROR(OpenLocal(policy, flags, parts));
  }
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon, Daemon::Start(flags.daemon, std::move(parts)));
  if (world != nullptr) world->Start(daemon->poster());
  LogStart(flags, policy, *daemon);
  return std::unique_ptr<Running>(new Running{std::move(daemon), world});
}

int TakeSignal(int signal_fd) {
  signalfd_siginfo info{};
  return read(signal_fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

// Until a signal ends it.
void Serve(Daemon& daemon, int signal_fd, FileWatch* watch) {
  while (true) {
    pollfd waited[] = {{signal_fd, POLLIN, 0}, {watch == nullptr ? -1 : watch->fd(), POLLIN, 0}};
    poll(waited, 2, kHealthPeriodMillis);
    if ((waited[0].revents & POLLIN) != 0) {
      const int signal = TakeSignal(signal_fd);
      if (signal == SIGHUP) {
        daemon.ReloadPolicy();
      } else if (signal != 0) {
        LogLine(LogLevel::kInfo, "stopping").Add("signal", strsignal(signal)).Add("text", "nodes keep running");
        return;
      }
    }
    if ((waited[1].revents & POLLIN) != 0 && watch != nullptr && watch->Changed()) daemon.ReloadPolicy();
    daemon.CheckHealth().IgnoreError();  // for the health service
  }
}

int Run(const Flags& flags) {
  StartLog(flags.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  const absl::StatusOr<int> signal_fd = TakeSignals();
  absl::StatusOr<FileWatch> watch = FileWatch::Open(flags.config);
  absl::StatusOr<std::unique_ptr<Running>> running =
      signal_fd.ok() ? StartDaemon(flags) : absl::StatusOr<std::unique_ptr<Running>>(signal_fd.status());
  if (!running.ok()) {
    std::cerr << "headroomd: " << running.status().message() << '\n';
    return 1;
  }
  if (!watch.ok()) LogLine(LogLevel::kWarning, "policy_not_watched").Add("error", watch.status().message());
  Serve(*(*running)->daemon, *signal_fd, watch.ok() ? &*watch : nullptr);
  running->reset();
  LogLine(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  // What gRPC has to say is in our own errors, in one sentence.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  // Debian's Abseil looks for deadlocks at each lock, gRPC's own included: 3 % of what a report costs.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app("The Headroom controller: takes load reports, decides, and drives connection limits and nodes.",
               "headroomd");
  headroom::Flags flags;
  headroom::AddFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return headroom::Run(flags);
}
