// headroomd: the controller. Here is its process: flags, signals, leadership; the rest of this folder wires what it
// runs.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/headroomd/flags.h"
#include "controller/headroomd/leading.h"
#include "controller/server/election/elector.h"
#include "controller/server/election/open_election.h"
#include "controller/server/log.h"
#include "controller/server/port.h"
#include "controller/server/service_manager.h"
#include "controller/server/standby.h"
#include "controller/wire/credentials.h"

namespace headroom {
namespace {

constexpr int kHealthPeriodMillis = 500;
constexpr absl::Duration kRetryPause = absl::Seconds(2);

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

// Null: plaintext.
absl::StatusOr<std::unique_ptr<WireCredentials>> OpenCredentials(const Flags& flags) {
  if (flags.tls.empty()) return nullptr;
  return WireCredentials::Open(flags.tls, WireCredentials::Watch::kEverySecond,
                               [](const absl::Status& status, absl::string_view text) {
                                 LogLine(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, "tls").Add("text", text);
                               });
}

// The newest that is good: whoever takes over while the file is being edited leads with what it read before.
std::optional<GoodPolicy> Renewed(std::optional<GoodPolicy> policy, const std::string& path) {
  if (!policy.has_value()) return policy;
  absl::StatusOr<GoodPolicy> newest = ReadPolicy(path);
  if (newest.ok()) return *std::move(newest);
  LogLine(LogLevel::kError, "policy_refused")
      .Add("fault", newest.status().message())
      .Add("text", "the old policy stays in force");
  return policy;
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

// Until this process leads; otherwise why it never will: a signal, or leadership that it won and lost between two
// looks.
std::optional<Ended> StandBy(Elector& elector, Process& process) {
  process.manager.SayReady();
  while (!elector.Leads()) {
    if (elector.HasLost()) return Ended::kLostLeadership;
    process.manager.SayHealth(absl::OkStatus(), "standing by");
    pollfd waited[] = {{process.signal_fd, POLLIN, 0}, {elector.fd(), POLLIN, 0}};
    poll(waited, 2, kHealthPeriodMillis);
    if ((waited[0].revents & POLLIN) != 0 && TakeSignal(process.signal_fd) != SIGHUP) return Ended::kAsked;
    if ((waited[1].revents & POLLIN) == 0) continue;
    elector.Drain();
    LogStanding(elector.standing());
  }
  return std::nullopt;
}

void Reload(Leading& leading, ServiceManager& manager) {
  manager.SayReloading();
  leading.Reload();
  manager.SayReady();
}

// Until a signal, or the loss of leadership, ends it.
Ended Serve(Leading& leading, const Leadership& leadership, Process& process) {
  Elector* const elector = leadership.elector.get();
  process.manager.SayReady();
  while (elector == nullptr || elector->Leads()) {
    pollfd waited[] = {{process.signal_fd, POLLIN, 0},
                       {leading.fd(), POLLIN, 0},
                       {elector == nullptr ? -1 : elector->fd(), POLLIN, 0}};
    poll(waited, 3, kHealthPeriodMillis);
    if ((waited[0].revents & POLLIN) != 0) {
      const int signal = TakeSignal(process.signal_fd);
      if (signal == SIGHUP) {
        Reload(leading, process.manager);
      } else if (signal != 0) {
        process.manager.SayStopping();
        LogLine(LogLevel::kInfo, "stopping").Add("signal", strsignal(signal)).Add("text", "nodes keep running");
        return Ended::kAsked;
      }
    }
    if ((waited[1].revents & POLLIN) != 0 && leading.Changed()) Reload(leading, process.manager);
    if ((waited[2].revents & POLLIN) != 0 && elector != nullptr) {
      elector->Drain();
      LogStanding(elector->standing());
    }
    process.manager.SayHealth(leading.CheckHealth(), "deciding");
  }
  return Ended::kLostLeadership;
}

// Serves for as long as it may. No policy: an operator.
absl::StatusOr<Ended> Lead(const Flags& flags, const Leadership& leadership, Process& process,
                           std::optional<GoodPolicy> policy) {
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Leading> leading, policy.has_value()
                                                            ? LeadOne(flags, leadership, *std::move(policy))
                                                            : LeadMany(flags, leadership));
  const Ended ended = Serve(*leading, leadership, process);
  // Who has lost it must not even finish what it began: the process is replaced as it stands.
  if (ended == Ended::kLostLeadership) std::ignore = leading.release();
  return ended;
}

// What is left of a leadership that was lost ends with this image of the process: calls that are under way, streams,
// all that was known. It begins anew as a standby.
[[noreturn]] void BeginAnew(const Flags& flags) {
  // Not every library marks its listeners so; one that lived on would hold its port against this very process.
  close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  // Other threads still run and may read theirs: it is not changed, but given.
  std::string former = absl::StrCat(kFormerIdentity, "=", flags.election.identity);
  std::vector<char*> variables = {former.data()};
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  variables.push_back(nullptr);
  execve("/proc/self/exe", flags.argv, variables.data());
  std::perror("headroomd: cannot start anew");
  std::_Exit(1);
}

// What may be over in a moment: the store or the provider does not answer, or has no room, or another has won
// meanwhile.
bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status) ||
         absl::IsResourceExhausted(status);
}

void Release(Elector& elector) {
  const absl::Status released = elector.Release();
  if (!released.ok()) LogLine(LogLevel::kWarning, "lease_not_released").Add("error", released.message());
}

// Stands by, leads once, and ends or begins anew.
absl::StatusOr<Ended> Compete(const Flags& flags, Leadership& leadership, Process& process,
                              std::optional<GoodPolicy> policy) {
  std::atomic<Elector*> elector{nullptr};
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Standby> ports, OpenStandby(flags, elector));
  LogLine(LogLevel::kInfo, "standing_by").Add("address", AddressOf(flags.election.identity));
  leadership.elector = std::make_unique<Elector>(leadership.election->TakeCandidate());
  elector = leadership.elector.get();
  const std::optional<Ended> before = StandBy(*leadership.elector, process);
  leadership.since = SteadyNow();
  ports.reset();
  const absl::StatusOr<Ended> ended =
      before ? *before : Lead(flags, leadership, process, Renewed(std::move(policy), flags.config));
  if (ended.ok() && *ended == Ended::kLostLeadership) {
    LogLine(LogLevel::kError, "leadership_lost")
        .Add("error", leadership.elector->standing().trouble.message())
        .Add("text", "this process starts anew, and stands by");
    BeginAnew(flags);
  }
  Release(*leadership.elector);
  if (ended.ok() || !IsPassing(ended.status())) return ended;
  LogLine(LogLevel::kError, "cannot_lead")
      .Add("error", ended.status().message())
      .Add("text", "this process gives it back, starts anew, and stands by");
  absl::SleepFor(kRetryPause);
  BeginAnew(flags);
}

absl::StatusOr<Ended> Run(Flags flags) {
  HR_ASSIGN_OR_RETURN(const int signal_fd, TakeSignals());
  std::optional<GoodPolicy> policy;
  if (!flags.is_operator) {
    HR_ASSIGN_OR_RETURN(policy, ReadPolicy(flags.config));
  }
  Process process{signal_fd, ServiceManager(policy.has_value() ? absl::StrCat("cluster ", policy->config.policy.cluster)
                                                               : "StorageClusters")};
  std::error_code ignored;  // the journal says it better
  std::filesystem::create_directories(flags.state_dir, ignored);
  // Local nodes, and other controllers, must know the port before it is served.
  if (flags.daemon.grpc_port == 0) {
    HR_ASSIGN_OR_RETURN(flags.daemon.grpc_port, ChoosePort(flags.state_dir));
  }
  HR_RETURN_IF_ERROR(CompleteElection(flags, policy.has_value() ? policy->config.policy.cluster : ""));
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (const absl::Status wrong = headroom::CheckFlags(flags); !wrong.ok()) {
    std::cerr << "headroomd: " << wrong.message() << "\nRun with --help for more information.\n";
    return 2;
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
