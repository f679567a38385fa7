#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "controller/base/clock.h"
#include "controller/providers/provider.h"
#include "controller/runtime/config.h"
#include "controller/runtime/control_loop.h"
#include "controller/runtime/journal.h"
#include "controller/server/access.h"
#include "controller/server/admin_service.h"
#include "controller/server/decision_feed.h"
#include "controller/server/dry_run_executor.h"
#include "controller/server/live_executor.h"
#include "controller/server/load_intake.h"
#include "controller/server/metrics.h"
#include "controller/server/node_channels.h"
#include "controller/server/policy_keeper.h"
#include "controller/server/term_keeper.h"

namespace headroom {

// Cluster: one storage cluster under control: the loop on a thread of its own, the state around it, and what connects
// them. It has no ports: a Daemon leads nodes and operators to it. Open() reads what was before, Run() begins to
// decide, Stop() ends that with a last commit; nodes keep running under their leases. Those, and the destructor,
// from the thread that owns it; the rest from any. What is asked of it after Stop() gets UNAVAILABLE.
class Cluster {
 public:
  struct Options {
    std::string version;
    Access::Rule access = Access::Rule::kAnybody;
    // One of several in this process: its metrics and log lines carry its name.
    enum class Among { kAlone, kOthers } among = Among::kAlone;
  };
  // What the caller has opened.
  struct Parts {
    Config config;
    std::string yaml;  // the text of `config`
    std::unique_ptr<Journal> journal;
    std::unique_ptr<Provider> provider;
    NodeControl* nodes = nullptr;  // the way to the nodes; null: their streams
    const Clock* clock = nullptr;  // of the cluster; null: the system's
    double clock_speed = 1;        // its seconds per real second
    // Called once nodes can reach the cluster and before the first decision: a controller that cannot serve starts no
    // nodes, and one that decides does not find an empty cluster that is only about to be filled. Null: nothing is to
    // be done.
    std::function<absl::Status()> first_nodes;
    // Where the nodes live in this process: called when the cluster decides, and before it stops. Null: they do not.
    std::function<void(Post)> start_nodes;
    std::function<void()> stop_nodes;
  };
  static absl::StatusOr<std::shared_ptr<Cluster>> Open(const Options& options, Parts parts);
  ~Cluster();
  absl::Status Run();
  // Ends the deciding, with a last commit. Quick: Stop() waits for what a provider was asked.
  void StopDeciding();
  void Stop();

  // Of the policy that it was opened with: another one is another cluster.
  const std::string& name() const { return name_; }
  LoadIntake& intake() { return *intake_; }
  AdminService& admin() { return *admin_; }
  PolicyKeeper& policy() { return policy_; }
  DecisionFeed& feed() { return feed_; }

  // Into the loop, not after the cluster's end.
  Post poster() {
    return [this](Event event) { return loop_->Post(std::move(event)); };
  }

  // Takes the text of a policy file, or keeps the old policy when the new one is bad.
  absl::Status ReloadPolicy(const std::string& path);
  // OK when the loop decided within three of its tick intervals; else a sentence.
  absl::Status Health() const;
  // What came of the last list of machines; UNKNOWN: none has ended yet.
  absl::Status ProviderHealth() const;
  // Null: there was none yet.
  std::shared_ptr<const Decision> LatestDecision() const { return loop_->Latest(); }
  Metrics::Families CollectMetrics();

 private:
  // In metrics and log; empty: there is no other.
  absl::string_view Label() const { return options_.among == Options::Among::kOthers ? name_ : absl::string_view(); }
  Cluster(const Options& options, Parts parts);
  absl::Status Recover();
  void MakeServices();
  Finish Finisher();
  Executor& ExecutorOf(Mode mode);
  Executor& SwitchMode(Mode mode);
  void ResumeInFlight(const Autoscaler& core);

  void RunLoop();
  void SettleTerm();
  void OnDecision(const std::shared_ptr<const Decision>& decision);
  void OnRefused(const NodeId& node);
  void OnFinished(const Action& action, ActionFinished outcome);
  void OnPolicy(const Config& config);

  const Options options_;
  const std::string name_;
  const SystemClock system_clock_;
  const Clock& clock_;  // of the cluster
  const double clock_speed_;
  NodeControl* const nodes_;
  const std::function<absl::Status()> first_nodes_;
  const std::function<void(Post)> start_nodes_;
  std::function<void()> stop_nodes_;
  std::unique_ptr<Provider> provider_;
  std::unique_ptr<Journal> journal_;
  PolicyKeeper policy_;
  Metrics metrics_;
  DecisionFeed feed_;
  const Access access_;
  std::unique_ptr<TermKeeper> term_;
  std::unique_ptr<ControlLoop> loop_;
  std::unique_ptr<CoreClock> core_clock_;
  std::unique_ptr<StreamRegistry> registry_;
  // The loop has one executor, and its type is the mode. The live one and its channels are made when this process first
  // goes live or finds actions of a live one under way; in a dry run it is there for their outcomes, out of the loop's
  // reach.
  std::unique_ptr<DryRunExecutor> dry_run_;
  std::unique_ptr<NodeChannels> channels_;
  std::unique_ptr<LiveExecutor> live_;
  std::unique_ptr<LoadIntake> intake_;
  std::unique_ptr<AdminService> admin_;
  mutable absl::Mutex provider_mutex_;
  absl::Status provider_health_ ABSL_GUARDED_BY(provider_mutex_);
  std::atomic<int64_t> decided_at_nanos_{0};         // by the system clock; 0: not yet
  absl::Time term_retry_at_ = absl::InfinitePast();  // of the loop thread
  std::atomic<bool> stopping_{false};
  bool stopped_ = false;
  std::thread loop_thread_;
};

}  // namespace headroom
