#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include <nlohmann/json.hpp>

#include "controller/core/decision.h"
#include "headroom/v1/admin.pb.h"

// The status of a StorageCluster object: what `kubectl get` and `kubectl describe` show of a cluster. Its schema stands
// in controller/runtime/storage_cluster.cc. Pure functions, any thread.

namespace headroom {

// What is known of one cluster at a moment.
struct ClusterFacts {
  int64_t generation = 0;                          // metadata.generation of the object that the facts are of
  absl::Status spec;                               // OK, or every fault of the newest spec: the old policy stays
  absl::Status running;                            // OK, or why the cluster is not run
  absl::Status provider = absl::UnknownError("");  // of the last listing; UNKNOWN: none has ended yet
  std::optional<v1::GetStatusResponse> status;     // as AdminService.GetStatus answers; nothing: not known yet
  std::shared_ptr<const Decision> decision;        // the last one; null: there is none yet
  std::shared_ptr<const Decision> last_scaling;    // the last one that MovesNodes(), where it is known; may be null
};

// Whether a decision launches, drains, takes back or terminates a node; limits are not meant.
bool MovesNodes(const Decision& decision);
// The reason of the first such action; null: there is none.
const Reason* FirstMove(const Decision& decision);

// The whole `.status` of the object: observedGeneration, nodes, mode, diagnosis, alarms, lastAction, and exactly the
// seven conditions. As long as nothing has changed that a person would call news it is equal to `before`, whatever the
// load does: a status is written when it differs. For that the sentence of a diagnosis is that of when it was made, and
// a condition's lastTransitionTime moves only when its status does. `before` is what the object has, however broken it
// may be: null, foreign conditions, values of other types.
//
//   Ready              False: PolicyRefused, NameTaken, NotRun, ProviderUnreachable, ProviderFails, TelemetryStale,
//                      JournalFails, the first that is so; Unknown: Starting; True: Running
//   TelemetryFresh     False: the reason of the first signal that cannot tell; True: SignalsKnown
//   ProviderReachable  False: by the code of the last listing: PermissionDenied, TimedOut, Unreachable, ...
//   ScalingLimited     True: the guard, or the bound of the limits, that keeps it from what the signals want
//   Draining           True: nodes leave
//   Frozen             True: Overridden, Held, or GuardAnomaly: nothing shrinks while something is unusual
//   DryRun             True: nothing is carried out
nlohmann::json StatusOf(const ClusterFacts& facts, const nlohmann::json& before, absl::Time now);

}  // namespace headroom
