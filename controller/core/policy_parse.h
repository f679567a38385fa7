#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "controller/core/policy.h"
#include "headroom/v1/policy.pb.h"

// Between the schema of a policy and the policy that the core uses. The fields of both have the same names, so neither
// direction lists them; defaults are those of controller/core/policy.h and stand nowhere else. The only part of the
// core that sees the schema. Any thread.

namespace headroom {

struct PolicyFault {
  std::string path;  // "nodes.min"
  std::string text;  // "9 exceeds nodes.max 6"
};

// The policy of a message and everything that is wrong with it; no fault: it is valid. The provider is not the core's
// business and not looked at.
struct PolicyReading {
  Policy policy;
  std::vector<PolicyFault> faults;
};
PolicyReading ReadPolicy(const v1::Policy& message);

// INVALID_ARGUMENT with all faults, a line "path: text" each.
absl::StatusOr<Policy> ParsePolicy(const v1::Policy& message);

// The message with every field filled in, defaults too; signals that are not used and the provider are left out.
v1::Policy PolicyToMessage(const Policy& policy);

}  // namespace headroom
