// headroomd: the controller. The only place that wires it together: flags, signals, the policy file, the provider.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/providers/open_provider.h"
#include "controller/providers/simulated.h"
#include "controller/runtime/config.h"
#include "controller/runtime/shared_journal.h"
#include "controller/runtime/sqlite_journal.h"
#include "controller/server/daemon.h"
#include "controller/server/election/elector.h"
#include "controller/server/election/guarded_provider.h"
#include "controller/server/election/open_election.h"
#include "controller/server/file_watch.h"
#include "controller/server/log.h"
#include "controller/server/port.h"
#include "controller/server/service_manager.h"
#include "controller/server/standby.h"
#include "controller/wire/credentials.h"
#include "controller/wire/tls_flags.h"

namespace headroom {
namespace {

constexpr int kHealthPeriodMillis = 500;
constexpr absl::Duration kRecheckMax = absl::Seconds(5);
constexpr absl::Duration kRetryPause = absl::Seconds(2);

struct Flags {
  std::string config, state_dir, log_format = "text", advertise;
  TlsFiles tls;
  ElectionOptions election;
  int lease_seconds = 15;
  char** argv = nullptr;
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
  AddTlsFlags(app, flags.tls);
  app.add_flag_callback(
      "--insecure", [&flags] { flags.daemon.plaintext = Daemon::Options::Plaintext::kAnywhere; },
      "Listen without TLS also where others reach it: whoever does can steer the cluster");
  app.add_option("--log-format", flags.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.set_version_flag("--version", std::string("headroomd ") + HEADROOM_VERSION);
}

void AddElectionFlags(CLI::App& app, Flags& flags) {
  static const std::map<std::string, ElectionKind> kinds = {{"none", ElectionKind::kNone},
                                                            {"file", ElectionKind::kFile},
                                                            {"kubernetes", ElectionKind::kKubernetes},
                                                            {"etcd", ElectionKind::kEtcd}};
  ElectionOptions& election = flags.election;
  app.add_option("--election", election.kind,
                 "Several controllers of which one leads: none, file (on one machine), kubernetes (a Lease), etcd")
      ->transform(CLI::CheckedTransformer(kinds, CLI::ignore_case).description("none|file|kubernetes|etcd"))
      ->group("Election");
  app.add_option("--election-name", election.name, "Name of the Lease, or of etcd's folder /headroom/NAME")
      ->capture_default_str()
      ->group("Election");
  app.add_option("--election-namespace", election.name_space,
                 "Kubernetes namespace of Lease and state (default: that of the credentials)")
      ->group("Election");
  app.add_option("--election-kubeconfig", election.kubeconfig,
                 "Credentials for the Lease (default: the pod's service account, else $KUBECONFIG or ~/.kube/config)")
      ->group("Election");
  app.add_option("--etcd", election.endpoints, "etcd's members: 10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")
      ->delimiter(',')
      ->group("Election");
  app.add_option("--lease-seconds", flags.lease_seconds, "A leader that is not heard of is followed after so long")
      ->check(CLI::Range(3, 600))
      ->capture_default_str()
      ->group("Election");
  app.add_option("--advertise", flags.advertise,
                 "HOST:PORT at which nodes and headroomctl reach this controller (default: --listen and --grpc-port)")
      ->group("Election");
}

bool IsHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  int port = 0;
  return colon != std::string::npos && colon > 0 && !absl::StrContains(text, "/") &&
         absl::SimpleAtoi(text.substr(colon + 1), &port) && port > 0 && port < 65536;
}

// What the election is told of this process.
absl::Status CompleteElection(Flags& flags) {
  flags.election.state_dir = flags.state_dir;
  flags.election.lease_duration = absl::Seconds(flags.lease_seconds);
  flags.election.address = flags.advertise;
  if (flags.election.kind == ElectionKind::kNone) return absl::OkStatus();
  for (const std::string& endpoint : flags.election.endpoints) {
    if (!IsHostPort(endpoint)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--etcd ", endpoint, " is no HOST:PORT; give its members without a scheme: 10.0.0.1:2379"));
    }
  }
  if (!flags.advertise.empty() && !IsHostPort(flags.advertise)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--advertise ", flags.advertise, " is no HOST:PORT, as 10.0.0.7:7600"));
  }
  if (!flags.advertise.empty()) return absl::OkStatus();
  if (flags.daemon.listen == "0.0.0.0" || flags.daemon.listen == "::") {
    return absl::InvalidArgumentError(
        "others have to be told where they reach this controller: give --advertise HOST:PORT with --election");
  }
  flags.election.address = HostPort(flags.daemon.listen, flags.daemon.grpc_port);
  return absl::OkStatus();
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

ProviderSurroundings SurroundingsOf(const Flags& flags) {
  const bool any = flags.daemon.listen == "0.0.0.0" || flags.daemon.listen == "::";
  return {.state_dir = flags.state_dir,
          .controller_address = HostPort(any ? "127.0.0.1" : flags.daemon.listen, flags.daemon.grpc_port),
          .say = [](absl::string_view text) { LogLine(LogLevel::kWarning, "provider").Add("text", text); }};
}

// Null: plaintext.
absl::StatusOr<std::unique_ptr<WireCredentials>> OpenCredentials(const Flags& flags) {
  if (flags.tls.empty()) return nullptr;
  return WireCredentials::Open(flags.tls, WireCredentials::Watch::kEverySecond,
                               [](const absl::Status& status, absl::string_view text) {
                                 LogLine(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, "tls").Add("text", text);
                               });
}

// The election, where there is one, and since when this process leads.
struct Leadership {
  std::unique_ptr<Election> election;
  std::unique_ptr<Elector> elector;
  absl::Duration since;

  bool StillLeads() const { return elector->Recheck(kRecheckMax); }
};

absl::StatusOr<std::unique_ptr<Journal>> OpenJournal(const std::string& state_dir) {
  SqliteJournal::Options options;
  options.state_dir = state_dir;
  options.say = [](absl::string_view text) { LogLine(LogLevel::kWarning, "journal").Add("text", text); };
  HR_ASSIGN_OR_RETURN(std::unique_ptr<SqliteJournal> journal,
                      Annotate(SqliteJournal::Open(std::move(options)), absl::StrCat("--state-dir ", state_dir)));
  return std::unique_ptr<Journal>(std::move(journal));
}

// Puts between the daemon and the world what leadership asks for.
void Guard(const Leadership& leadership, const std::string& cluster, Daemon::Parts& parts) {
  if (leadership.elector == nullptr) return;
  const Elector& elector = *leadership.elector;
  if (std::unique_ptr<StateStore> store = leadership.election->OpenState(cluster); store != nullptr) {
    parts.journal = std::make_unique<SharedJournal>(
        std::move(parts.journal), std::move(store),
        SharedJournal::Options{
            .term_min = elector.standing().number,
            .still_leads = [&leadership] { return leadership.StillLeads(); },
            .say = [](absl::string_view text) { LogLine(LogLevel::kError, "state").Add("text", text); }});
  }
  parts.provider = std::make_unique<GuardedProvider>(
      std::move(parts.provider),
      GuardedProvider::Leadership{.time_left = [&elector] { return elector.TimeLeft(); },
                                  .led_for = [since = leadership.since] { return SteadyNow() - since; }});
}

// The simulated world, where it is one: it is the nodes and their time, too.
absl::StatusOr<SimulatedProvider*> TakeProvider(const Flags& flags, const Leadership& leadership,
                                                Daemon::Parts& parts) {
  ProviderSurroundings surroundings = SurroundingsOf(flags);
  if (leadership.elector != nullptr) surroundings.still_leads = [&leadership] { return leadership.StillLeads(); };
  if (parts.config.message.provider().has_local() && !flags.tls.empty()) {
    return absl::FailedPreconditionError(
        "provider local starts nodes that have no certificates of their own: run it without --tls-cert, --tls-key and "
        "--tls-ca, on loopback");
  }
  HR_ASSIGN_OR_RETURN(OpenedProvider opened, OpenProvider(parts.config, surroundings));
  parts.provider = std::move(opened.provider);
  parts.first_nodes = std::move(opened.first_nodes);
  if (opened.world == nullptr) return nullptr;
  parts.nodes = opened.world;
  parts.clock = opened.world;
  parts.clock_speed = std::max(0.001, parts.config.message.provider().simulated().speed());
  return opened.world;
}

void LogStart(const Flags& flags, const v1::Policy& policy, const Daemon& daemon) {
  LogLine(LogLevel::kInfo, "started")
      .Add("cluster", policy.cluster())
      .Add("mode", policy.mode() == v1::MODE_LIVE ? "live" : "dry_run")
      .Add("listen", flags.daemon.listen)
      .Add("wire", flags.tls.empty() ? "plaintext" : "tls")
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

// A policy that was good, with its text.
struct GoodPolicy {
  Config config;
  std::string yaml;
};

absl::StatusOr<GoodPolicy> ReadPolicy(const std::string& path) {
  GoodPolicy policy;
  HR_ASSIGN_OR_RETURN(policy.config, LoadConfig(path));
  HR_ASSIGN_OR_RETURN(policy.yaml, ReadPolicyFile(path));
  return policy;
}

// The newest that is good: whoever takes over while the file is being edited leads with what it read before.
GoodPolicy Renewed(GoodPolicy policy, const std::string& path) {
  absl::StatusOr<GoodPolicy> newest = ReadPolicy(path);
  if (newest.ok()) return *std::move(newest);
  LogLine(LogLevel::kError, "policy_refused")
      .Add("fault", newest.status().message())
      .Add("text", "the old policy stays in force");
  return policy;
}

absl::StatusOr<std::unique_ptr<Running>> StartDaemon(Flags flags, const Leadership& leadership, GoodPolicy good) {
  flags.daemon.config_path = flags.config;
  Daemon::Parts parts;
  parts.config = std::move(good.config);
  parts.yaml = std::move(good.yaml);
  const v1::Policy policy = parts.config.message;
  HR_ASSIGN_OR_RETURN(parts.journal, OpenJournal(flags.state_dir));
  HR_ASSIGN_OR_RETURN(SimulatedProvider* const world, TakeProvider(flags, leadership, parts));
  Guard(leadership, policy.cluster(), parts);
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon, Daemon::Start(flags.daemon, std::move(parts)));
  if (world != nullptr) world->Start(daemon->poster());
  LogStart(flags, policy, *daemon);
  return std::unique_ptr<Running>(new Running{std::move(daemon), world});
}

int TakeSignal(int signal_fd) {
  signalfd_siginfo info{};
  return read(signal_fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

enum class Ended { kAsked, kLostLeadership };

// What this process hears beside its ports, and whom it tells of itself.
struct Process {
  int signal_fd;
  ServiceManager manager;
};

void LogStanding(const Standing& standing) {
  LogLine line(standing.trouble.ok() ? LogLevel::kInfo : LogLevel::kWarning, "election");
  line.Add("leads", standing.leads).Add("holder", AddressOf(standing.holder)).Add("number", standing.number);
  if (!standing.trouble.ok()) line.Add("error", standing.trouble.message());
}

absl::StatusOr<std::unique_ptr<Standby>> OpenStandby(const Flags& flags, const std::atomic<Elector*>& elector) {
  return Standby::Start({.listen = flags.daemon.listen,
                         .grpc_port = flags.daemon.grpc_port,
                         .http_port = flags.daemon.http_port,
                         .version = flags.daemon.version,
                         .credentials = PortCredentials(flags.daemon),
                         .leader = [&elector]() -> std::string {
                           const Elector* const known = elector;
                           return known == nullptr ? "" : AddressOf(known->standing().holder);
                         }});
}

// Until this process leads; false: a signal ended it before.
bool StandBy(Elector& elector, Process& process) {
  process.manager.SayReady();
  while (!elector.Leads()) {
    process.manager.SayHealth(absl::OkStatus(), "standing by");
    pollfd waited[] = {{process.signal_fd, POLLIN, 0}, {elector.fd(), POLLIN, 0}};
    poll(waited, 2, kHealthPeriodMillis);
    if ((waited[0].revents & POLLIN) != 0 && TakeSignal(process.signal_fd) != SIGHUP) return false;
    if ((waited[1].revents & POLLIN) == 0) continue;
    elector.Drain();
    LogStanding(elector.standing());
  }
  return true;
}

void Reload(Daemon& daemon, ServiceManager& manager) {
  manager.SayReloading();
  daemon.ReloadPolicy();
  manager.SayReady();
}

// Until a signal, or the loss of leadership, ends it.
Ended Serve(Daemon& daemon, const Leadership& leadership, Process& process, FileWatch* watch) {
  Elector* const elector = leadership.elector.get();
  process.manager.SayReady();
  while (elector == nullptr || elector->Leads()) {
    pollfd waited[] = {{process.signal_fd, POLLIN, 0},
                       {watch == nullptr ? -1 : watch->fd(), POLLIN, 0},
                       {elector == nullptr ? -1 : elector->fd(), POLLIN, 0}};
    poll(waited, 3, kHealthPeriodMillis);
    if ((waited[0].revents & POLLIN) != 0) {
      const int signal = TakeSignal(process.signal_fd);
      if (signal == SIGHUP) {
        Reload(daemon, process.manager);
      } else if (signal != 0) {
        process.manager.SayStopping();
        LogLine(LogLevel::kInfo, "stopping").Add("signal", strsignal(signal)).Add("text", "nodes keep running");
        return Ended::kAsked;
      }
    }
    if ((waited[1].revents & POLLIN) != 0 && watch != nullptr && watch->Changed()) Reload(daemon, process.manager);
    if ((waited[2].revents & POLLIN) != 0 && elector != nullptr) {
      elector->Drain();
      LogStanding(elector->standing());
    }
    process.manager.SayHealth(daemon.CheckHealth(), "deciding");
  }
  return Ended::kLostLeadership;
}

// Serves for as long as it may.
absl::StatusOr<Ended> Lead(const Flags& flags, const Leadership& leadership, Process& process, GoodPolicy policy) {
  absl::StatusOr<FileWatch> watch = FileWatch::Open(flags.config);
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Running> running, StartDaemon(flags, leadership, std::move(policy)));
  if (!watch.ok()) LogLine(LogLevel::kWarning, "policy_not_watched").Add("error", watch.status().message());
  const Ended ended = Serve(*running->daemon, leadership, process, watch.ok() ? &*watch : nullptr);
  // Who has lost it must not even finish what it began: the process is replaced as it stands.
  if (ended == Ended::kLostLeadership) std::ignore = running.release();
  return ended;
}

// What is left of a leadership that was lost ends with this image of the process: calls that are under way, streams,
// all that was known. It begins anew as a standby.
[[noreturn]] void BeginAnew(char** argv) {
  // Not every library marks its listeners so; one that lived on would hold its port against this very process.
  close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  execv("/proc/self/exe", argv);
  std::perror("headroomd: cannot start anew");
  std::_Exit(1);
}

// What may be over in a moment: the store or the provider does not answer, or another has won meanwhile.
bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
}

void Release(Elector& elector) {
  const absl::Status released = elector.Release();
  if (!released.ok()) LogLine(LogLevel::kWarning, "lease_not_released").Add("error", released.message());
}

// Stands by, leads once, and ends or begins anew.
absl::StatusOr<Ended> Compete(const Flags& flags, Leadership& leadership, Process& process, GoodPolicy policy) {
  std::atomic<Elector*> elector{nullptr};
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Standby> ports, OpenStandby(flags, elector));
  LogLine(LogLevel::kInfo, "standing_by").Add("address", flags.election.address);
  leadership.elector = std::make_unique<Elector>(leadership.election->TakeCandidate());
  elector = leadership.elector.get();
  const bool leads = StandBy(*leadership.elector, process);
  leadership.since = SteadyNow();
  ports.reset();
  const absl::StatusOr<Ended> ended =
      leads ? Lead(flags, leadership, process, Renewed(std::move(policy), flags.config)) : Ended::kAsked;
  if (ended.ok() && *ended == Ended::kLostLeadership) {
    LogLine(LogLevel::kError, "leadership_lost")
        .Add("error", leadership.elector->standing().trouble.message())
        .Add("text", "this process starts anew, and stands by");
    BeginAnew(flags.argv);
  }
  Release(*leadership.elector);
  if (ended.ok() || !IsPassing(ended.status())) return ended;
  LogLine(LogLevel::kError, "cannot_lead")
      .Add("error", ended.status().message())
      .Add("text", "this process gives it back, starts anew, and stands by");
  absl::SleepFor(kRetryPause);
  BeginAnew(flags.argv);
}

absl::StatusOr<Ended> Run(Flags flags) {
  HR_ASSIGN_OR_RETURN(const int signal_fd, TakeSignals());
  HR_ASSIGN_OR_RETURN(GoodPolicy policy, ReadPolicy(flags.config));
  Process process{signal_fd, ServiceManager(absl::StrCat("cluster ", policy.config.policy.cluster))};
  std::error_code ignored;  // the journal says it better
  std::filesystem::create_directories(flags.state_dir, ignored);
  // Local nodes, and other controllers, must know the port before it is served.
  if (flags.daemon.grpc_port == 0) {
    HR_ASSIGN_OR_RETURN(flags.daemon.grpc_port, ChoosePort(flags.state_dir));
  }
  HR_RETURN_IF_ERROR(CompleteElection(flags));
  HR_ASSIGN_OR_RETURN(const std::unique_ptr<WireCredentials> credentials, OpenCredentials(flags));
  flags.daemon.credentials = credentials.get();
  HR_RETURN_IF_ERROR(CheckExposure(flags.daemon));
  Leadership leadership;
  HR_ASSIGN_OR_RETURN(leadership.election, Annotate(OpenElection(flags.election), "--election"));
  if (leadership.election == nullptr) return Lead(flags, leadership, process, std::move(policy));
  return Compete(flags, leadership, process, std::move(policy));
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
  headroom::AddElectionFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  flags.argv = argv;
  headroom::StartLog(flags.log_format == "json" ? headroom::LogFormat::kJson : headroom::LogFormat::kText);
  const auto ended = headroom::Run(std::move(flags));
  if (ended.ok()) {
    headroom::LogLine(headroom::LogLevel::kInfo, "stopped");
    return 0;
  }
  std::cerr << "headroomd: " << ended.status().message() << '\n';
  return 1;
}
