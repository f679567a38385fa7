#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "controller/providers/http/cancellation.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/server/election/lease_election.h"

namespace headroom {

// KubernetesLease: a coordination.k8s.io/v1 Lease. Whatever else stands in it (labels, newer fields of its spec) is
// written back as it was read. One thread; its watch has one of its own.
class KubernetesLease final : public LeaseStore {
 public:
  KubernetesLease(kubernetes::Api& api, const std::string& name_space, const std::string& name);
  ~KubernetesLease() override { Watch(nullptr); }
  absl::StatusOr<LeaseRecord> Read(absl::Duration timeout) override;
  absl::StatusOr<LeaseRecord> Write(const LeaseRecord& record, absl::Duration timeout) override;
  // Tells of every other holder, nobody included.
  void Watch(const std::function<void()>& changed) override;

 private:
  void Follow(const std::function<void()>& changed);
  absl::StatusOr<LeaseRecord> Keep(absl::StatusOr<kubernetes::Json> object);

  kubernetes::Api& api_;
  const std::string collection_, name_;
  kubernetes::Json last_;  // as last read or written
  std::unique_ptr<Cancellation> ending_;
  std::thread watcher_;
};

}  // namespace headroom
