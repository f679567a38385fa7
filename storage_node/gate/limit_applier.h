#pragma once

#include <cstdint>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "storage_node/gate/gate.h"

namespace headroom {

// What keeps a limit below the one that was asked for.
enum class LimitBound { kNone, kDescriptors };
const char* Name(LimitBound bound);  // "none", "fds"

// A listener's accept queue, as the kernel tells (TCP_INFO): connections in it, and how many it may hold.
struct AcceptQueue {
  int64_t waiting = 0;
  int64_t capacity = 0;
};
absl::StatusOr<AcceptQueue> ReadAcceptQueue(int listener);

struct AppliedLimit {
  int64_t requested = 0;
  int64_t in_force = 0;  // read back from the gate
  LimitBound bound_by = LimitBound::kNone;
  int64_t backlog = 0;      // the accept queue's capacity, read back from the kernel (it caps at somaxconn)
  int64_t descriptors = 0;  // the soft limit on open files, read back
};

// LimitApplier: the one way to change the connection limit of a running server. A raise goes outwards in: descriptors
// (RLIMIT_NOFILE, up to the hard limit), then the backlog (listen(2) once more, in proportion to the limit), then the
// gate; a cut goes the other way round and leaves descriptors alone. A limit that the descriptors cannot carry is
// brought down to what they can, and the result names them. Any thread; one change at a time.
class LimitApplier {
 public:
  struct Options {
    int listener = -1;
    int64_t connection_limit = 1000;  // the configured limit, for which `backlog` is meant
    int64_t backlog = 128;
    int64_t descriptors_fixed = 256;         // for all that is not a client connection
    int64_t descriptors_per_connection = 2;  // its socket, and the file it reads or writes
  };
  LimitApplier(Gate& gate, const Options& options) : gate_(gate), options_(options) {}

  // InvalidArgument for a limit below 1: it would shut everybody out. Internal where the kernel refuses listen(2).
  absl::StatusOr<AppliedLimit> Apply(int64_t connection_limit);
  // The highest limit that the hard limit on open files can carry.
  int64_t Ceiling() const;

 private:
  absl::Status SetBacklog(int64_t connection_limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Gate& gate_;
  const Options options_;
  std::mutex mutex_;
};

}  // namespace headroom
