#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {

// FakeCluster: a FakeApiServer whose one workload "files" in namespace "storage" has as many pods as it is told, at
// once: a StatefulSet's by ordinal, a Deployment's by name, the cheapest and then the newest leaving first.
class FakeCluster {
 public:
  enum class Kind { kStatefulSet, kDeployment, kCustom };
  FakeCluster(Kind kind, int replicas);

  FakeApiServer& server() { return server_; }
  // "statefulset/files"
  std::string reference() const;
  std::string path() const;
  static std::string PodPath(const std::string& name);

  int replicas() const;
  std::vector<std::string> pods() const;
  // New pods are not ready until Ready().
  void BootSlowly() { boots_slowly_ = true; }
  void Ready(const std::string& pod);
  // New pods do not come at all until Come().
  void ComeLate() { comes_late_ = true; }
  void Come();
  // Pods that leave take their time: they are marked, and stay.
  void LeaveSlowly() { leaves_slowly_ = true; }
  // podManagementPolicy Parallel.
  void KeepNoOrder();
  // Deletion costs are not looked at, as Kubernetes may.
  void IgnoreCosts() { ignores_costs_ = true; }

 private:
  void Reconcile();
  void Add();
  void Remove();

  const Kind kind_;
  std::atomic<bool> boots_slowly_ = false, leaves_slowly_ = false, ignores_costs_ = false, comes_late_ = false;
  std::mutex mutex_;
  int made_ = 0;
  FakeApiServer server_;
};

}  // namespace headroom::kubernetes
