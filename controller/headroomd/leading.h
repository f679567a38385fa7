#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "controller/headroomd/flags.h"
#include "controller/headroomd/parts.h"

namespace headroom {

// Leading: what runs while this process leads. Of the thread that made it.
class Leading {
 public:
  virtual ~Leading() = default;
  // Readable when a policy may have changed; -1: that is noticed otherwise.
  virtual int fd() const { return -1; }
  // Whether what made it readable was a change.
  virtual bool Changed() { return false; }
  // Reads the policies again.
  virtual void Reload() {}
  virtual absl::Status CheckHealth() = 0;
};

// The errors are sentences that say what to do.
absl::StatusOr<GoodPolicy> ReadPolicy(const std::string& path);
// The cluster of a policy file, which is watched. `leadership` outlives what is made, as below.
absl::StatusOr<std::unique_ptr<Leading>> LeadOne(const Flags& flags, const Leadership& leadership, GoodPolicy policy);
// The clusters of Kubernetes' StorageClusters.
absl::StatusOr<std::unique_ptr<Leading>> LeadMany(const Flags& flags, const Leadership& leadership);

}  // namespace headroom
