#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "controller/core/policy.h"
#include "headroom/v1/policy.pb.h"

namespace headroom {

// A policy file, read: the message with every default filled in, and the validated policy of the core.
struct Config {
  v1::Policy message;
  Policy policy;
};

// Reads YAML into Config. All faults are reported at once in INVALID_ARGUMENT, a line each, in the order of the text:
//   policy.yaml:4: nodes.min: 9 exceeds nodes.max 6
// A fault of something that is missing has the line of the group where it belongs, or none. `name` is what the faults
// call the text. Unknown fields are faults, with the nearest known name suggested. A fault of syntax (tabs, several
// documents, an empty or huge file, endless nesting) stands alone. The text may also be a StorageCluster
// (controller/runtime/storage_cluster.h): its spec is the policy; `cluster` defaults to
// its name, the namespace of a Kubernetes workload to its own.
absl::StatusOr<Config> ParseConfig(absl::string_view yaml, absl::string_view name);
// The text of a policy file, read up to a little more than the size that ParseConfig takes. NOT_FOUND /
// PERMISSION_DENIED with the path.
absl::StatusOr<std::string> ReadPolicyFile(const std::string& path);
// NOT_FOUND / PERMISSION_DENIED with the path, else as above.
absl::StatusOr<Config> LoadConfig(const std::string& path);
// The same from a message, as an operator sends it; faults have no lines.
absl::StatusOr<Config> ConfigFromMessage(const v1::Policy& message);
// The message as YAML, every field with its value.
std::string ConfigToYaml(const v1::Policy& message);

}  // namespace headroom
