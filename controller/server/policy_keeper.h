#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "controller/runtime/config.h"

namespace headroom {

// What differs between two policies, a line a field: "nodes.max: 6 -> 9". Both have their defaults filled in.
std::vector<std::string> PolicyChanges(const v1::Policy& before, const v1::Policy& after);

// PolicyKeeper: the policy in force and the way to another one. A new text is taken whole or not at all; while it is
// bad the old one stays. Cluster and provider are what the process was built around: they need a restart. The mode
// changes by an operator's word (AdminService.SetMode), which a file may follow, or by a restart. Thread-safe.
class PolicyKeeper {
 public:
  // A text that was taken, or that could be.
  struct Change {
    Config config;
    std::vector<std::string> changes;
  };
  // `on_change` is told of each new policy, in the order in which they come into force. It must not apply another.
  PolicyKeeper(Config config, std::string yaml, std::function<void(const Config&)> on_change);

  // INVALID_ARGUMENT: every fault, a line each. FAILED_PRECONDITION: it needs a restart.
  absl::StatusOr<Change> Check(absl::string_view yaml, absl::string_view name) const;
  absl::StatusOr<Change> Apply(absl::string_view yaml, absl::string_view name);
  // Reads the file again; what is wrong with it is kept for `faults()` until a good one is read.
  absl::StatusOr<Change> Reload(const std::string& path);

  // An operator's word on the mode goes before the file's: a file that says either of them can be taken.
  void SetModeInForce(Mode mode);

  Config config() const;
  std::string yaml() const;
  // Of the file as it was last read; empty: none.
  std::vector<std::string> faults() const;

 private:
  void NoteFaults(const absl::Status& status);

  const std::function<void(const Config&)> on_change_;
  absl::Mutex apply_mutex_;  // from the check to the end of on_change_
  mutable absl::Mutex mutex_;
  Config config_ ABSL_GUARDED_BY(mutex_);
  Mode mode_in_force_ ABSL_GUARDED_BY(mutex_);
  std::string yaml_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> faults_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
