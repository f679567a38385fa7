#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/decision.h"
#include "controller/core/policy.h"
#include "controller/runtime/control_loop.h"
#include "controller/runtime/memory_journal.h"
#include "controller/sim/control_faults.h"
#include "controller/sim/crash_journal.h"
#include "controller/sim/simulated_cluster.h"
#include "controller/sim/troubles.h"

namespace headroom::sim {

// What is run: a policy over a cluster. The policy's mode says whether decisions touch it.
struct Scenario {
  Policy policy;
  SimulatedCluster::Options cluster;
  absl::Duration provider_latency = absl::Seconds(1);  // from a call to the provider to its answer
  // What goes wrong with the controller, or between it and the cluster.
  std::vector<Trouble> troubles{};
  Journal* journal =
      nullptr;  // where the loop writes; nothing: one in memory, which alone outlives a kill. Outlives the run
};

// What decisions did, as far as a scenario asks.
struct RunSummary {
  int64_t limit_changes = 0;  // grants that were no renewals
  int64_t launches = 0, terminations = 0;
  int64_t decisions = 0;
  int starts = 0;          // of the controller
  std::set<Cause> causes;  // that diagnosis named
};

// SimRunner: the production control loop, driven through virtual time with a simulated cluster as its world. Nothing of
// the loop, the core or the journal's rules is replaced; only waiting is. A controller that is killed starts again from
// its journal as the daemon does: under a new term, with what it had asked of the provider held against what is there.
// Same scenario, same seed: same run.
//
//   SimRunner run(scenario);
//   run.RunUntil(run.start() + absl::Minutes(10));
//   run.cluster().model().total().failed_ratio();
class SimRunner {
 public:
  explicit SimRunner(const Scenario& scenario);  // at the request level
  SimRunner(Scenario scenario, std::unique_ptr<World> world);
  ~SimRunner();

  // Called with each decision, before it is carried out any further. Set before it runs.
  void OnDecision(std::function<void(const Decision&)> listener) { listener_ = std::move(listener); }

  // What reporters say reaches the controller only where this is true. Set before it runs.
  void OnlyHear(std::function<bool(absl::Time, const Event&)> heard) { heard_ = std::move(heard); }

  // Everything that happens until then, in order of its time.
  void RunUntil(absl::Time end);

  absl::Time start() const { return start_; }
  absl::Time now() const { return now_; }
  SimulatedCluster& cluster() { return cluster_; }
  const RunSummary& summary() const { return summary_; }
  // Null before the first decision of a controller, and while there is none.
  std::shared_ptr<const Decision> Latest() const { return loop_ == nullptr ? nullptr : loop_->Latest(); }

 private:
  class LiveExecutor;
  class DryRunExecutor;

  // Runs the work after the delay, at the latest before the loop runs again.
  void After(absl::Duration delay, std::function<void()> work) { due_.emplace(now_ + delay, std::move(work)); }
  absl::Time Wall() const { return now_ - clock_behind_; }
  bool IsCalm() const { return troubles_.empty(); }

  // The controller.
  void Begin(Autoscaler core);
  void Restart();
  void Kill();
  void Resolve(const std::vector<Action>& actions);
  void Turn();
  void Hear();
  void Post(Event&& event);
  void Note(const Decision& decision);

  // What its executors do. An answer to a process that has been killed is lost.
  ControlFaults::Call Call(const Action& action);
  void List(const Action& action);
  void Change(const Action& action);
  void Tell(const ControlFaults::Call& call, int process, const std::vector<Event>& events);

  const Scenario scenario_;
  const absl::Time start_;
  absl::Time now_, wake_;
  absl::Duration clock_behind_;
  int process_ = 0;
  SimulatedCluster cluster_;
  const Troubles troubles_;
  absl::Time turn_at_;
  ControlFaults control_;
  MemoryJournal memory_{MemoryJournal::Keeps::kNothing};  // where nobody is killed
  CrashJournal disk_;
  Journal& journal_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<ControlLoop> loop_;
  std::multimap<absl::Time, std::function<void()>> due_;
  std::vector<Event> events_;  // its memory is used again
  RunSummary summary_;
  std::function<void(const Decision&)> listener_;
  std::function<bool(absl::Time, const Event&)> heard_;
};

}  // namespace headroom::sim
