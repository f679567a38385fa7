#include "tests/load/engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <sys/resource.h>

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "tests/load/arrivals.h"
#include "tests/load/socket.h"
#include "tests/load/targets.h"
#include "tests/load/traffic.h"

namespace headroom::load {
namespace {

constexpr absl::Duration kHousekeeping = absl::Milliseconds(100);

absl::Duration OwnCpu() {
  rusage usage{};
  HR_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// Engine: the loop of one run. Its members begin at offset zero together, so it is made right before Loop().
class Engine {
 public:
  Engine(const Profile& profile, const RunOptions& options)
      : profile_(profile),
        options_(options),
        targets_file_(options.targets_file),
        targets_(profile.targets),
        recorder_(profile.phases.size(), profile.objective_p99),
        arrivals_(profile),
        traffic_(profile, targets_, stopwatch_, recorder_),
        next_(arrivals_.Next()) {
    targets_file_.Changed();
  }

  Summary Loop();
  const std::vector<Endpoint>& targets() const { return targets_.known(); }

 private:
  bool AllOffered(absl::Duration now) const { return !next_ && now >= profile_.Length(); }
  void EnterPhasesUntil(absl::Duration now);
  void OfferDue();
  void KeepHouse(absl::Duration now);
  void TellSecondsUntil(absl::Duration now);
  void FollowTargetsFile();
  absl::Duration WakeAt() const;

  const Profile& profile_;
  const RunOptions& options_;
  TargetsFile targets_file_;
  Targets targets_;
  Recorder recorder_;
  Arrivals arrivals_;
  Stopwatch stopwatch_;
  Traffic traffic_;
  std::optional<Arrival> next_;
  size_t phase_ = 0;
  absl::Duration phase_end_ = profile_.phases.front().duration;
  absl::Duration next_housekeeping_;
  int seconds_told_ = 0;
};

Summary Engine::Loop() {
  absl::Duration now;
  const auto stopped = [this] { return options_.stop != nullptr && options_.stop->load(); };
  while (!stopped() && traffic_.broken().ok()) {
    now = stopwatch_.Elapsed();
    KeepHouse(now);
    EnterPhasesUntil(now);
    OfferDue();
    if (AllOffered(now) && (traffic_.unfinished() == 0 || now >= profile_.Length() + kDrainMax)) break;
    traffic_.Wait(WakeAt());
  }
  const absl::Duration observed = std::min(stopwatch_.Elapsed(), profile_.Length());
  TellSecondsUntil(observed);
  Summary summary = recorder_.Summarise(observed);
  summary.interrupted = stopped();
  if (!traffic_.broken().ok()) summary.void_reasons.emplace_back(traffic_.broken().message());
  return summary;
}

void Engine::EnterPhasesUntil(absl::Duration now) {
  while (phase_ + 1 < profile_.phases.size() && now >= phase_end_) {
    phase_end_ += profile_.phases[++phase_].duration;
    traffic_.EnterPhase(phase_);
  }
}

void Engine::OfferDue() {
  while (next_ && next_->at <= stopwatch_.Elapsed()) {
    EnterPhasesUntil(next_->at);
    traffic_.Offer(*next_);
    next_ = arrivals_.Next();
  }
}

void Engine::KeepHouse(absl::Duration now) {
  if (now < next_housekeeping_) return;
  next_housekeeping_ = now + kHousekeeping;
  // The first look after a second's end still books into that second.
  recorder_.OpenConnections(std::max(now - kHousekeeping, absl::ZeroDuration()), traffic_.open_connections());
  if (!options_.targets_file.empty()) FollowTargetsFile();
  if (now < absl::Seconds(seconds_told_ + 1)) return;
  traffic_.CloseLongIdle();
  TellSecondsUntil(now);
}

void Engine::TellSecondsUntil(absl::Duration now) {
  for (; absl::Seconds(seconds_told_ + 1) <= now; ++seconds_told_) {
    const Second second = recorder_.SecondAt(absl::Seconds(seconds_told_));
    options_.on_second({.second = seconds_told_, .phase = phase_, .figures = second});
  }
}

void Engine::FollowTargetsFile() {
  if (!targets_file_.Changed()) return;
  const absl::StatusOr<std::vector<Endpoint>> read = targets_file_.Read();
  Targets next = targets_;
  if (read.ok()) next.Replace(*read);
  const absl::Status fits = next.known().size() > Targets::kKnownMax
                                ? absl::ResourceExhaustedError("too many targets in one run")
                                : RaiseFileLimit(profile_.FilesNeeded(next.known().size()));
  if (!read.ok() || !fits.ok()) {
    options_.on_notice(absl::StrCat("the targets stay as they were: ", (read.ok() ? fits : read.status()).message()));
    return;
  }
  targets_ = std::move(next);
  traffic_.FollowTargets();
  options_.on_notice(absl::StrCat("targets now: ", targets_.live().size()));
}

absl::Duration Engine::WakeAt() const {
  const absl::Duration due = next_ ? next_->at : std::max(profile_.Length(), next_housekeeping_);
  return std::min(due, next_housekeeping_);
}

}  // namespace

absl::StatusOr<RunResult> RunProfile(Profile profile, const RunOptions& options) {
  if (!options.targets_file.empty()) {
    HR_ASSIGN_OR_RETURN(profile.targets, TargetsFile(options.targets_file).Read());
  }
  if (profile.targets.empty()) {
    return absl::InvalidArgumentError("no target: the profile names none, and no --target, --direct or --targets-file");
  }
  HR_RETURN_IF_ERROR(CheckBounds(profile));
  HR_RETURN_IF_ERROR(RaiseFileLimit(profile.FilesNeeded(profile.targets.size())));
  const absl::Duration cpu_before = OwnCpu();
  Engine engine(profile, options);
  const absl::Time started_at = absl::Now();
  RunResult result{.summary = engine.Loop(), .started_at = started_at};
  result.targets = engine.targets();
  result.generator_cpu = OwnCpu() - cpu_before;
  return result;
}

}  // namespace headroom::load
