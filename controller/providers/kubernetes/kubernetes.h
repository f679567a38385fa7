#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/deadline.h"
#include "controller/base/monitor.h"
#include "controller/providers/kubernetes/access.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/providers/kubernetes/pods.h"
#include "controller/providers/kubernetes/workload.h"
#include "controller/providers/kubernetes/zones.h"
#include "controller/providers/provider.h"

namespace headroom::kubernetes {

struct KubernetesProviderOptions {
  Access access;
  std::string name_space;  // empty: the access's
  std::string workload;    // as Workload::Find() takes it
  // Asked after somebody else has written, before that is read and written over: whether this controller leads still.
  // Null: it does.
  std::function<bool()> still_leads;
  Api::Options api;
  std::function<void(absl::string_view)> say;  // what a person should know, for the log; any thread
};

// KubernetesProvider: the pods of one workload as nodes; a node's id is its pod's name. One more is one replica more,
// with the launch noted at the workload first, so that the same launch twice is one replica. Which pod leaves is
// Kubernetes' matter: of a StatefulSet the highest ordinal, so only that may be named; of pods of a ReplicaSet one that
// has no machine, does not run yet or is not ready before the one that is marked cheapest to delete, so while there is
// such a one nobody else is removed (UNAVAILABLE, which names it), and who leaves is verified. What the workload does
// not select is no machine of it: gone, as is a ReplicaSet's pod that has failed. A removal that is done and not seen
// yet is OK; UNAVAILABLE: it has had its effect, and not on the pod that was named.
//
// A call keeps its deadline, waiting for other writes included. A write that says "nobody else has written since I
// looked" is tried anew when somebody has, up to kTries times with pauses between. A pod that a StatefulSet is yet to
// make, or makes anew, is a machine that starts. A PodDisruptionBudget under which the pod could not be evicted, and
// another autoscaler of the same workload, forbid to write at all. Replicas that somebody else has set are said once,
// and are how things are from then on.
//
// Thread-safe; one write at a time. Beyond the codes of Provider: FAILED_PRECONDITION for a controller with a newer
// term, a rival, a node that Kubernetes would not remove next.
class KubernetesProvider final : public Provider {
 public:
  static constexpr int kTries = 10;

  // The errors of Workload::Find().
  static absl::StatusOr<std::unique_ptr<KubernetesProvider>> Open(KubernetesProviderOptions options);

  ProviderCapabilities capabilities() const override;
  // Notes the term at the workload: whoever read it before writes in vain, and whoever reads it later is told.
  // FAILED_PRECONDITION: no controller comes to the term that stands there.
  absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration timeout) override;
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) override;
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) override;
  absl::Status Terminate(const NodeId& node, absl::Duration timeout) override;

 private:
  struct Parts {
    std::unique_ptr<Api> api;
    std::string name_space;
    Workload workload;
    std::string selector;
    std::function<void(absl::Duration)> wait;
    std::function<void(absl::string_view)> say;
    std::function<bool()> still_leads;
  };
  explicit KubernetesProvider(Parts parts);
  template <class Result, class Attempt>
  Result Insist(const Attempt& attempt, const Deadline& deadline) const;
  absl::StatusOr<int64_t> TryFence(int64_t term, const Deadline& deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::StatusOr<NodeId> TryLaunch(const LaunchRequest& request, const Deadline& deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::Status TryTerminate(const NodeId& node, const Deadline& deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::StatusOr<std::vector<Pod>> PodsWith(const NodeId& node, const Deadline& deadline);
  absl::Status RemoveCheapest(const Pod& pod, WorkloadState& state, const std::vector<Pod>& pods,
                              const Deadline& deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::Status MarkOnly(const NodeId& node, const WorkloadState& state, const std::vector<Pod>& pods,
                        const Deadline& deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::Status Mark(const NodeId& node, int64_t cost, const Deadline& deadline);
  std::optional<absl::Status> AwaitLeaving(const NodeId& node, const Deadline& deadline);
  absl::Status CheckRivals(const Deadline& deadline) const;
  absl::Status CheckBudgets(const Pod& pod, const Deadline& deadline) const;
  absl::Status Write(WorkloadState& state, int replicas, const Deadline& deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  void Compare(const WorkloadState& state, int64_t writes_before);

  const std::unique_ptr<Api> api_;
  const std::string name_space_;
  const Workload workload_;
  const std::string selector_;  // of its pods
  const std::function<void(absl::Duration)> wait_;
  const std::function<void(absl::string_view)> say_;
  const std::function<bool()> still_leads_;
  Zones zones_;
  PodWatch pods_;
  Monitor writing_, seen_mutex_;
  int64_t term_ ABSL_GUARDED_BY(writing_) = 0;         // of this controller
  std::set<NodeId> marked_ ABSL_GUARDED_BY(writing_);  // as the cheapest, by this controller; bounded by the pods
  int64_t writes_ ABSL_GUARDED_BY(seen_mutex_) = 0;    // begun and ended
  std::optional<int> seen_replicas_ ABSL_GUARDED_BY(seen_mutex_);
};

}  // namespace headroom::kubernetes
