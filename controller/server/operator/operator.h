#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/providers/kubernetes/reflector.h"
#include "controller/runtime/config.h"
#include "controller/server/daemon.h"
#include "controller/server/operator/cluster_status.h"
#include "controller/server/operator/event_recorder.h"

namespace headroom {

// The name of a StorageCluster object.
struct ObjectKey {
  std::string name_space, name;
  bool operator<(const ObjectKey& other) const {
    return std::tie(name_space, name) < std::tie(other.name_space, other.name);
  }
  std::string Text() const { return name_space + "/" + name; }
};

// Operator: the StorageClusters of some namespaces, each run as a cluster of one daemon (ADR 13). An object that comes
// starts its cluster, one whose spec changes changes the policy (or the whole cluster, where another name, provider or
// mode is asked for), one that goes stops it: its nodes go on under their leases. A spec that is refused leaves the old
// policy in force, and a cluster that cannot be opened is tried again. What becomes of each is written to the object's
// status, at most once in `status_interval`, and told in Events.
//
// An object may name a workload of its own namespace alone, nothing on the controller's machine, and nothing outside
// Kubernetes unless that was allowed: who may write it may not borrow the controller's rights. Where clusters of
// several namespaces are kept, NAMESPACE.NAME is what a cluster is called, so that nobody can take another's name and
// state.
//
// While the API server cannot be reached everything goes on as it is. One thread; the daemon's Add and Remove are
// called on it alone.
class Operator {
 public:
  using Open = std::function<absl::StatusOr<Cluster::Parts>(const ObjectKey& key, Config config, std::string yaml)>;
  enum class Names { kPlain, kOfNamespaces };
  enum class Reach { kTheCluster, kBeyondTheCluster };  // providers of other platforms are allowed
  struct Options {
    std::vector<std::string> namespaces;  // "*": all
    Reach reach = Reach::kTheCluster;
    std::string instance;  // of this process, for Events: the pod or the machine
    Open open;
    absl::Duration look_interval = absl::Seconds(2);     // between looks at what became of the clusters
    absl::Duration status_interval = absl::Seconds(10);  // between writes of the same status
    absl::Duration retry_min = absl::Seconds(1), retry_max = absl::Minutes(1);  // of what could not be opened
  };
  // `api` and `daemon` outlive it.
  Operator(kubernetes::Api& api, Daemon& daemon, Options options);
  // The clusters are the daemon's, and go on.
  ~Operator();
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // OK while its thread does its work; else a sentence.
  absl::Status Health() const;

 private:
  class Watched;
  class Followed;
  // An object and what is done for it. Of the thread.
  struct Managed;

  // As the API server tells it; nothing: it is gone. Any thread.
  void Change(const ObjectKey& key, std::optional<kubernetes::Json> object);
  void Run();
  void Take(const ObjectKey& key, std::optional<kubernetes::Json> object);
  void Forget(const ObjectKey& key);
  void Converge(const ObjectKey& key, Managed& managed);
  bool IsEnding(const std::string& name);
  absl::Status Start(const ObjectKey& key, Managed& managed, Config config);
  void StopCluster(const ObjectKey& key, Managed& managed, absl::string_view why);
  void Tell(const ObjectKey& key, const Managed& managed, ClusterEvent event);
  absl::Duration NextRetry() const;
  void RetryOpening();
  void WriteStatuses();
  static ClusterFacts FactsOf(const Managed& managed);
  bool WriteStatus(const ObjectKey& key, Managed& managed);

  kubernetes::Api& api_;
  Daemon& daemon_;
  const Options options_;
  const Names names_;
  Cancellation ending_;
  EventRecorder events_;

  mutable Monitor mutex_;
  std::map<ObjectKey, std::optional<kubernetes::Json>> changed_ ABSL_GUARDED_BY(mutex_);  // and not yet taken
  absl::Duration looked_at_ ABSL_GUARDED_BY(mutex_);                                      // by the monotonic clock
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<ObjectKey, std::unique_ptr<Managed>> managed_;  // of the thread, as the next
  std::map<std::string, std::weak_ptr<Cluster>> stopped_;  // by their names, as long as somebody uses them
  std::vector<std::unique_ptr<Watched>> watched_;
  std::thread thread_;
};

}  // namespace headroom
