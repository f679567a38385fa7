#pragma once

#include <string>

#include "controller/providers/kubernetes/api.h"
#include "controller/runtime/state_store.h"

namespace headroom {

// KubernetesState: a cluster's state in a ConfigMap of its own, "headroom-state-CLUSTER", written under its
// resourceVersion. Whatever else stands in it (labels, an owner) is kept. One thread.
class KubernetesState final : public StateStore {
 public:
  KubernetesState(kubernetes::Api& api, const std::string& name_space, const std::string& cluster);
  std::string name() const override;
  absl::StatusOr<std::string> Load(absl::Duration timeout) override;
  absl::Status Save(absl::string_view bytes, absl::Duration timeout) override;

 private:
  kubernetes::Api& api_;
  const std::string name_space_, name_, collection_;
  kubernetes::Json last_;  // as last read or written; null: it is not there
};

}  // namespace headroom
