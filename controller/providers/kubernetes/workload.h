#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/base/deadline.h"
#include "controller/core/event.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/providers/kubernetes/ledger.h"

namespace headroom::kubernetes {

// Who decides which pod leaves when there is one fewer.
enum class Leaving {
  kHighestOrdinal,  // a StatefulSet: files-7 before files-6
  kCheapest,        // a ReplicaSet's pods: the lowest controller.kubernetes.io/pod-deletion-cost first
};

// A workload as one look showed it.
struct WorkloadState {
  int replicas = 0;         // that are wanted
  int first_ordinal = 0;    // of a StatefulSet
  std::string selector;     // of its pods
  bool one_by_one = false;  // of a StatefulSet: nothing leaves while a pod before it is not ready (OrderedReady)
  std::string set_by;   // who asked for these replicas, and when: "kubectl at 2026-11-23T10:00:00Z"; empty: not known
  std::string version;  // resourceVersion: a write under it fails once anybody else has written
  int64_t term = 0;     // the highest of a controller that has acted on it
  Ledger ledger;
};

// Workload: whatever has a scale subresource, and how it is scaled: by writes that fail when somebody else was there in
// between, with what was meant written to its annotations first, so that the same launch is done once whoever asks
// again. Blocking; the caller sees to it that one thread at a time writes.
class Workload {
 public:
  // "statefulset/files", "deployment/gateway", or "PLURAL.GROUP/NAME" as kubectl writes it:
  // "cephobjectstores.ceph.rook.io/store". INVALID_ARGUMENT: it is written otherwise; FAILED_PRECONDITION: no such
  // kind, or it cannot be scaled; NOT_FOUND: no such object.
  static absl::StatusOr<Workload> Find(Api& api, const std::string& name_space, const std::string& reference,
                                       absl::Duration timeout);

  const std::string& name() const { return name_; }
  const std::string& kind() const { return kind_; }  // "StatefulSet"
  // As kubectl takes it: "statefulsets.apps/files".
  const std::string& reference() const { return reference_; }
  Leaving leaving() const { return leaving_; }

  absl::StatusOr<WorkloadState> Read(const Deadline& deadline) const;
  // Writes term and ledger of `state` to the annotations. ABORTED: somebody else has written. Leaves the new version.
  absl::Status Remember(WorkloadState& state, absl::Duration timeout) const;
  absl::Status Scale(WorkloadState& state, int replicas, absl::Duration timeout) const;

 private:
  Workload() = default;
  absl::StatusOr<WorkloadState> TryRead(const Deadline& deadline) const;
  Api* api_ = nullptr;
  std::string path_, name_, kind_, name_space_, reference_;
  Leaving leaving_ = Leaving::kCheapest;
};

}  // namespace headroom::kubernetes
