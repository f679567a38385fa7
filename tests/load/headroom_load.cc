#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "tests/load/engine.h"
#include "tests/load/profile.h"
#include "tests/load/report.h"
#include "tests/load/targets.h"

namespace headroom::load {
namespace {

constexpr int kExitOk = 0, kExitCannotRun = 1, kExitUsage = 2, kExitVoid = 3, kExitInterrupted = 130;

constexpr const char* kFooter = R"(Examples:
  headroom-load tests/load/profiles/campaign.yaml --target 127.0.0.1:8080 --json run.json
  headroom-load campaign.yaml --seed 7 --scale-rate 0.5 --series run.csv --progress
  headroom-load campaign.yaml --direct 127.0.0.1:9001,127.0.0.1:9002
  headroom-load campaign.yaml --targets-file nodes.txt     (one host:port to a line, read again when it changes)

Open loop: a request is due at its Poisson time whatever became of those before it, and its latency counts from then.
Bounds: loopback targets only, 15 minutes, 10 million requests.
Exit status: 0 ran; 1 cannot run; 2 usage or profile; 3 void, the generator itself was late or out of ports or files;
130 interrupted. The report is written after 0, 3 and 130.)";

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

void OnSignal(int) {
  stop_requested = true;
}

struct Flags {
  std::string profile, target, direct, targets_file, json, series;
  std::optional<uint64_t> seed;
  double scale_rate = 1;
  bool quiet = false, progress = false;
};

void Declare(CLI::App& app, Flags& flags) {
  app.footer(kFooter);
  app.add_option("profile", flags.profile, "YAML profile of the load")->required();
  auto* target = app.add_option("--target", flags.target, "host:port, instead of the profile's");
  auto* direct = app.add_option("--direct", flags.direct, "host:port,host:port: each attempt draws one uniformly");
  auto* file = app.add_option("--targets-file", flags.targets_file, "as --direct, from a file that is followed");
  direct->excludes(target);
  file->excludes(target);
  file->excludes(direct);
  app.add_option("--seed", flags.seed, "seed of arrivals and jitter, instead of the profile's");
  app.add_option("--scale-rate", flags.scale_rate, "multiplies the rate of every phase")->check(CLI::Range(1e-6, 1e6));
  app.add_option("--json", flags.json, "write the report there ('-': standard output)");
  app.add_option("--series", flags.series, "write one CSV line a second there");
  app.add_flag("--quiet", flags.quiet, "no table at the end");
  app.add_flag("--progress", flags.progress, "one line a second on standard error");
}

absl::StatusOr<Profile> MakeProfile(const Flags& flags) {
  HR_ASSIGN_OR_RETURN(Profile profile, LoadProfile(flags.profile));
  const std::string& targets = flags.direct.empty() ? flags.target : flags.direct;
  if (!targets.empty()) {
    HR_ASSIGN_OR_RETURN(profile.targets, Annotate(ParseTargets(targets), "target"));
  }
  if (flags.seed) profile.seed = *flags.seed;
  for (Phase& phase : profile.phases) phase.rate *= flags.scale_rate;
  HR_RETURN_IF_ERROR(CheckBounds(profile));
  return profile;
}

absl::Status Write(const std::string& path, const std::string& text) {
  if (path.empty()) return absl::OkStatus();
  if (path == "-") {
    std::cout << text << std::flush;
    return absl::OkStatus();
  }
  std::ofstream file(path, std::ios::trunc);
  file << text << std::flush;
  return file ? absl::OkStatus() : absl::UnavailableError(absl::StrCat("cannot write ", path));
}

absl::Status WriteReports(const Flags& flags, const Profile& profile, const RunResult& result) {
  if (!flags.quiet && flags.json != "-") std::cout << ReportTable(profile, result) << std::flush;
  HR_RETURN_IF_ERROR(Write(flags.json, ReportJson(profile, result)));
  return Write(flags.series, ReportSeriesCsv(profile, result));
}

int Fail(const absl::Status& status, int exit_status) {
  std::cerr << "headroom-load: " << status.message() << "\n";
  return exit_status;
}

int RunWith(const Flags& flags) {
  const absl::StatusOr<Profile> profile = MakeProfile(flags);
  if (!profile.ok()) return Fail(profile.status(), kExitUsage);
  RunOptions options{.targets_file = flags.targets_file, .stop = &stop_requested};
  options.on_notice = [](const std::string& notice) { std::cerr << "headroom-load: " << notice << "\n"; };
  if (flags.progress) {
    options.on_second = [&](const Progress& second) { std::cerr << ProgressLine(*profile, second) << "\n"; };
  }
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  const absl::StatusOr<RunResult> result = RunProfile(*profile, options);
  if (!result.ok()) return Fail(result.status(), kExitCannotRun);
  if (absl::Status written = WriteReports(flags, *profile, *result); !written.ok())
    return Fail(written, kExitCannotRun);
  if (!result->summary.void_reasons.empty()) return kExitVoid;
  return result->summary.interrupted ? kExitInterrupted : kExitOk;
}

}  // namespace
}  // namespace headroom::load

int main(int argc, char** argv) {
  CLI::App app{"headroom-load: open-loop HTTP/1.1 load against this machine, from a profile"};
  headroom::load::Flags flags;
  headroom::load::Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? headroom::load::kExitOk : headroom::load::kExitUsage;
  }
  return headroom::load::RunWith(flags);
}
