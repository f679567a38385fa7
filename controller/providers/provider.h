#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/event.h"

namespace headroom {

// What a provider can do.
struct ProviderCapabilities {
  bool named_termination = true;  // removes the node that is named (else: it chooses, and says so)
  bool zones = false;             // launches in a given zone
  bool fenced = false;            // refuses a call of an older term by itself
};

struct LaunchRequest {
  ActionId id;  // the same id again is the same machine: idempotent
  std::string zone;
  int64_t term = 0;
};

// Provider: where nodes come from. Blocking; called from worker threads only, each call with a deadline. Thread-safe.
// Codes are remedies: RESOURCE_EXHAUSTED another zone or later; UNAVAILABLE, DEADLINE_EXCEEDED the next tick tries
// again; FAILED_PRECONDITION, PERMISSION_DENIED, INVALID_ARGUMENT need a person.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual ProviderCapabilities capabilities() const = 0;
  // From now on this provider acts for the controller of this term, and the platform refuses what controllers of older
  // terms ask for, where it can: capabilities().fenced. Called before anything else of a term. Returns the highest term
  // that the platform has seen: a higher one than `term` has won, and nothing may be done under this one.
  virtual absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration /*timeout*/) { return term; }
  // Every machine of the cluster, with the id of the action that launched it.
  virtual absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) = 0;
  // Returns the node's id where it is known at once, else "".
  virtual absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) = 0;
  // Already gone = OK.
  virtual absl::Status Terminate(const NodeId& node, absl::Duration timeout) = 0;
};

// NodeControl: the way to nodes, for grants, sheds, drains, cancelled drains and server lists. The server's streams are
// one; a provider whose nodes live inside the process is the other. Never blocks; thread-safe.
// UNAVAILABLE, NOT_FOUND: the node does not listen now, the next tick decides anew.
class NodeControl {
 public:
  virtual ~NodeControl() = default;
  virtual absl::Status Send(const Action& action) = 0;
};

// MachineLister: the only part of a provider that a dry run may hold.
class MachineLister {
 public:
  explicit MachineLister(Provider& provider) : provider_(provider) {}
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) { return provider_.List(timeout); }

 private:
  Provider& provider_;
};

}  // namespace headroom
