#pragma once

#include <string>

#include "controller/runtime/yaml_message.h"

// A policy as an object of Kubernetes:
//   {apiVersion: headroom.dev/v1alpha1, kind: StorageCluster, metadata: {name: files}, spec: ...}
// where spec is the policy, field by field as in a policy file.

namespace headroom {

inline constexpr ObjectKind kStorageCluster{"headroom.dev/v1alpha1", "StorageCluster"};

// The CustomResourceDefinition as YAML. The schema of spec is made of policy.proto, its comments included, so it cannot
// fall behind; the API server checks names, types, what is required and the few rules between fields that it can, and
// headroomd checks all. It fills in no defaults: an object says what its author said, so that a new release may choose
// better ones.
std::string StorageClusterDefinition();

}  // namespace headroom
