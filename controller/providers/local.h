#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/providers/local_record.h"
#include "controller/providers/provider.h"
#include "headroom/v1/policy.pb.h"

namespace headroom {

struct LocalProviderOptions {
  v1::LocalProvider settings;  // fields left out are left to the node program
  std::string state_dir;       // the daemon's; nodes live in its folder `nodes`
  std::string cluster;
  std::string controller_address;                      // where nodes report, host:port
  std::function<void(absl::string_view)> say;          // one line for the log
  absl::Duration terminate_grace = absl::Seconds(15);  // from SIGTERM to SIGKILL
  // A node that ends unasked is started again after the first pause, doubling up to the last; a life longer than
  // `restart_reset` begins anew.
  absl::Duration restart_pause = absl::Milliseconds(200);
  absl::Duration restart_pause_max = absl::Seconds(10);
  absl::Duration restart_reset = absl::Seconds(30);
};

// LocalProvider: real storage nodes as processes of this machine. They outlive the controller and are adopted by its
// next run by pid and start time from <state-dir>/nodes/ID, their output goes to nodes/ID.log. A node that was started
// with another address of the controller is named in the log and gets this one at its next start. It also stands in for
// the machine's init: a node that ends unasked is started again as it was (settings: restart), so a rolling restart is
// `kill -TERM` of each node in turn. That goes on in a dry run too, which observes this cluster.
//
// A launch is idempotent over crashes: the record is on disk before the process is started, and a process whose pid was
// not recorded any more is found by a variable in its environment. Node ids are node-1, node-2, ...: the lowest number
// that no machine has. With settings.first_port 0 a node's ports are chosen once and kept over its restarts.
//
// Thread-safe. Holds a thread that watches the processes; Terminate() alone waits. Errors beside those of Provider:
// Open() says INVALID_ARGUMENT for settings (an address that is not loopback), DATA_LOSS for an unreadable record.
class LocalProvider final : public Provider {
 public:
  static absl::StatusOr<std::unique_ptr<LocalProvider>> Open(LocalProviderOptions options);
  ~LocalProvider() override;  // leaves the nodes running
  LocalProvider(const LocalProvider&) = delete;
  LocalProvider& operator=(const LocalProvider&) = delete;

  // Makes the cluster that a controller finds: where the provider has never had nodes, or has none, starts `count`, and
  // from now on nodes that have ended are started again. A daemon calls it once, when it can serve, in a dry run too;
  // it is no decision.
  absl::Status Begin(int count);

  ProviderCapabilities capabilities() const override { return {.named_termination = true, .zones = true}; }
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) override;
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) override;
  // SIGTERM, and SIGKILL when the grace is over. DEADLINE_EXCEEDED: it is still ending; the grace goes on.
  absl::Status Terminate(const NodeId& node, absl::Duration timeout) override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Node {
    LocalRecord record;
    bool running = false;
    Clock::time_point started_at, start_due_at, kill_due_at;
    absl::Duration pause;  // before the next start
  };

  explicit LocalProvider(LocalProviderOptions options);
  absl::Status Adopt();
  absl::StatusOr<Node> ReadNode(const std::string& path) const;
  // Where the process of the record was told to report.
  std::string ReportsTo(const LocalRecord& record) const;
  void ReportHere(LocalRecord& record) const;

  absl::StatusOr<NodeId> LaunchLocked(const LaunchRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<LocalRecord> NewRecord(const LaunchRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int> FreePort(int taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsPortTaken(int port) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::string> Arguments(const LocalRecord& record) const;

  void Watch();
  // One look at a node; false: it is gone for good.
  bool Supervise(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Start(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteEnd(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginEnd(Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::string RecordPath(const NodeId& node) const { return folder_ + "/" + node; }
  bool restarts() const { return !options_.settings.has_restart() || options_.settings.restart(); }

  LocalProviderOptions options_;
  const std::string folder_;
  const std::string boot_id_;

  Monitor mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_){std::random_device{}()};  // names and ports, no decisions
  std::map<int, Node> nodes_ ABSL_GUARDED_BY(mutex_);                       // by number
  std::vector<std::pair<ActionId, NodeId>> ended_ ABSL_GUARDED_BY(mutex_);  // launches whose machine is gone
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace headroom
