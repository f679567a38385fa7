#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/runtime/state_store.h"
#include "controller/server/election/candidate.h"

namespace headroom {

enum class ElectionKind { kNone, kFile, kKubernetes, kEtcd };

struct ElectionOptions {
  ElectionKind kind = ElectionKind::kNone;
  std::string name;      // of the Lease, or of the folder of etcd's keys
  std::string identity;  // of this process: MakeIdentity()
  // The identity that this process had before it began anew; empty: it had none. What it held then it gives back.
  std::string former_identity;
  absl::Duration lease_duration = absl::Seconds(15);
  std::string state_dir;               // file
  std::string kubeconfig, context;     // kubernetes; empty: as FindAccess()
  std::string name_space;              // kubernetes; empty: that of the credentials
  std::vector<std::string> endpoints;  // etcd
};

// Election: an engine that elects, and what it keeps for those who lead.
class Election {
 public:
  virtual ~Election() = default;
  // Once. It uses the election, which outlives it.
  virtual std::unique_ptr<Candidate> TakeCandidate() = 0;
  // Of a cluster; null: the state stays on this machine.
  virtual std::unique_ptr<StateStore> OpenState(const std::string& cluster) = 0;
};

// The shortest lease under which a leader that renews in time always has so long left; zero: no lease ends by itself.
absl::Duration LeastLease(ElectionKind kind, absl::Duration left);

// Does not wait for the engine: one that cannot be reached is the first round's trouble. INVALID_ARGUMENT,
// FAILED_PRECONDITION: what is missing in the options or in credentials.
absl::StatusOr<std::unique_ptr<Election>> OpenElection(const ElectionOptions& options);

}  // namespace headroom
