#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {

// FakeCluster: a FakeApiServer whose one workload "files" in namespace "storage" has as many pods as it is told, at
// once: a StatefulSet's by ordinal, a Deployment's by name. Of those one leaves first that has no machine, then one
// that is Pending, then one that is not ready, then the cheapest, as of a ReplicaSet (controller_utils.go,
// ActivePodsWithRanks), and then the oldest. Pods without the label app=files are somebody else's.
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
  void Ready(const std::string& pod) { Say(pod, "True"); }
  void Unready(const std::string& pod) { Say(pod, "False"); }
  // It has no machine, and is not ready.
  void Displace(const std::string& pod);
  // It has a machine, and its containers are being made.
  void Create(const std::string& pod);
  // It is evicted, and stays as it is; a Deployment has another one at once.
  void Fail(const std::string& pod);
  // Somebody else's pod of the same namespace, ready, and older than all.
  void AddForeign(const std::string& pod);
  // New pods do not come at all until Come().
  void ComeLate() { comes_late_ = true; }
  void Come();
  // Pods that leave take their time: they are marked, and stay.
  void LeaveSlowly() { leaves_slowly_ = true; }
  // Those that leave have left.
  void Leave();
  // The controller of the workload makes and removes nothing until it is called again.
  void Pause() { pauses_ = true; }
  void Resume();
  // podManagementPolicy Parallel.
  void KeepNoOrder();
  // Deletion costs are not looked at, as Kubernetes may.
  void IgnoreCosts() { ignores_costs_ = true; }

 private:
  void Say(const std::string& pod, const char* ready);
  void Reconcile();
  bool IsStaying(const std::string& pod) const;
  std::vector<std::string> Own() const;
  bool Add();
  void Remove();

  const Kind kind_;
  std::atomic<bool> boots_slowly_ = false, leaves_slowly_ = false, ignores_costs_ = false, comes_late_ = false,
                    pauses_ = false;
  std::mutex mutex_;
  int made_ = 0;
  FakeApiServer server_;
};

}  // namespace headroom::kubernetes
