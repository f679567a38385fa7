#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "tests/load/profile.h"
#include "tests/load/recorder.h"

namespace headroom::load {

// Progress: a second that has just passed. Its requests may still be under way.
struct Progress {
  int second = 0;
  size_t phase = 0;
  const Second& figures;
};

struct RunOptions {
  std::string targets_file;                 // not empty: targets are read from it, again whenever it changes
  const std::atomic<bool>* stop = nullptr;  // set from a signal handler: end now and report what there is
  std::function<void(const Progress&)> on_second = [](const Progress&) {};
  std::function<void(const std::string&)> on_notice = [](const std::string&) {};  // one line for the user
};

struct RunResult {
  Summary summary;
  std::vector<Endpoint> targets;  // all that attempts could go to at any time
  absl::Time started_at;          // wall clock at offset zero
  absl::Duration generator_cpu;   // user and system time that the run took in this process
};

// Runs the profile to its end: offers every arrival, then waits for what is under way, at most kDrainMax. Errors are
// what stands in the way before the first request (no target, too few files); what comes up during the run is in the
// summary. Blocks; one run at a time per thread.
inline constexpr absl::Duration kDrainMax = absl::Seconds(60);
absl::StatusOr<RunResult> RunProfile(Profile profile, const RunOptions& options);

}  // namespace headroom::load
