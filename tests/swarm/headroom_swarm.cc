// headroom-swarm: random clusters under random faults, each from one seed.
//
//   headroom-swarm --seeds 2000              seeds 1 to 2000, on all cores
//   headroom-swarm --seed 17 --verbose       one seed, with everything that happens
//
// Exit code 1: a run broke a rule; the command that replays it is printed.

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <CLI/CLI.hpp>
#include <unistd.h>

#include "tests/swarm/hostile_run.h"

namespace headroom::swarm {
namespace {

struct Flags {
  uint64_t seed = 0, first = 1, seeds = 2000;
  int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  bool verbose = false;
};

// What a crash of the program itself prints.
thread_local char current[80];

void OnAbort(int signal) {
  const ssize_t written = write(STDERR_FILENO, current, sizeof current);
  std::signal(signal, SIG_DFL);
  std::raise(written >= 0 ? signal : SIGKILL);
}

Outcome RunSeed(uint64_t seed, const HostileRun::Say& say) {
  std::snprintf(current, sizeof current, "aborted in: headroom-swarm --seed %llu --verbose\n",
                static_cast<unsigned long long>(seed));
  return HostileRun(DrawPlan(seed), say).Run();
}

// All seeds, by threads that take the next one.
class Swarm {
 public:
  explicit Swarm(const Flags& flags) : flags_(flags), next_(flags.first) {}

  int Run() {
    const absl::Time began = absl::Now();
    std::vector<std::thread> threads;
    for (int i = 0; i < flags_.threads; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    for (std::thread& thread : threads) thread.join();
    std::cout << flags_.seeds << " seeds, " << failed_ << " failed, " << decisions_ << " decisions, " << deeds_
              << " machine actions, " << starts_ << " starts of a controller, slowest to converge "
              << absl::FormatDuration(slowest_) << ", " << absl::FormatDuration(absl::Now() - began) << '\n';
    for (const auto& [rule, count] : rules_) std::cout << "  " << rule << ": " << count << '\n';
    return failed_ == 0 ? 0 : 1;
  }

 private:
  void Work() {
    for (uint64_t seed = next_++; seed < flags_.first + flags_.seeds; seed = next_++) {
      Note(seed, RunSeed(seed, nullptr));
    }
  }

  void Note(uint64_t seed, const Outcome& outcome) {
    const std::lock_guard lock(mutex_);
    decisions_ += outcome.decisions;
    deeds_ += outcome.deeds;
    starts_ += outcome.starts;
    slowest_ = std::max(slowest_, outcome.converged_after);
    if (outcome.ok()) return;
    ++failed_;
    const sim::Violation& first = outcome.violations.front();
    ++rules_[first.rule];
    std::cout << "headroom-swarm --seed " << seed << " --verbose   # " << first.rule << ": " << first.what << std::endl;
  }

  const Flags flags_;
  std::atomic<uint64_t> next_;
  std::mutex mutex_;
  int64_t decisions_ = 0, deeds_ = 0, starts_ = 0, failed_ = 0;
  absl::Duration slowest_;
  std::map<std::string, int> rules_;
};

int RunOne(const Flags& flags) {
  const auto say = [](const std::string& line) { std::cout << line << std::endl; };
  const Outcome outcome = RunSeed(flags.seed, flags.verbose ? HostileRun::Say(say) : nullptr);
  for (const sim::Violation& violation : outcome.violations) {
    std::cout << violation.rule << ": " << violation.what << '\n';
  }
  std::cout << (outcome.ok() ? "ok" : "FAILED") << ", " << outcome.decisions << " decisions, converged after "
            << absl::FormatDuration(outcome.converged_after) << '\n';
  return outcome.ok() ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Random clusters under random faults");
  Flags flags;
  app.add_option("--seed", flags.seed, "Run this one seed");
  app.add_option("--first", flags.first, "First seed")->capture_default_str();
  app.add_option("--seeds", flags.seeds, "How many seeds")->capture_default_str();
  app.add_option("--threads", flags.threads, "Seeds at a time")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_flag("--verbose", flags.verbose, "With --seed: print everything that happens");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGABRT, OnAbort);
  return flags.seed > 0 ? RunOne(flags) : Swarm(flags).Run();
}

}  // namespace
}  // namespace headroom::swarm

int main(int argc, char** argv) {
  return headroom::swarm::Main(argc, argv);
}
