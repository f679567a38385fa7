#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace headroom {

class Cluster;

// Clusters: those that this process runs, by their names. Who has found one may use it for as long as it likes; one
// that was taken out and stopped answers UNAVAILABLE. Thread-safe.
class Clusters {
 public:
  // ALREADY_EXISTS: the name is taken.
  absl::Status Add(const std::string& name, std::shared_ptr<Cluster> cluster);
  // Null: there is none.
  std::shared_ptr<Cluster> Take(const std::string& name);
  // The one of this name; no name: the only one. UNAVAILABLE: there are none now. NOT_FOUND: others are here.
  // INVALID_ARGUMENT: no name, and several. Each says which there are.
  absl::StatusOr<std::shared_ptr<Cluster>> Find(absl::string_view name) const;
  // In the order of their names.
  std::vector<std::shared_ptr<Cluster>> All() const;
  // For people: "cluster files", "50 clusters".
  std::string Text() const;

 private:
  std::string NamesText() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Cluster>, std::less<>> clusters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
