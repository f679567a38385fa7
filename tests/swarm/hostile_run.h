#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/runtime/control_loop.h"
#include "controller/sim/checkers.h"
#include "controller/sim/control_faults.h"
#include "controller/sim/crash_journal.h"
#include "tests/swarm/plan.h"
#include "tests/swarm/world.h"

namespace headroom::swarm {

// What a decision was taken from: its signals, guards, limits and diagnosis. One line.
std::string WhyOf(const Decision& decision);

// How a run ended.
struct Outcome {
  std::vector<sim::Violation> violations;  // the first kViolationsMax
  int64_t decisions = 0, deeds = 0, starts = 0;
  absl::Duration converged_after;  // from the end of the faults
  static constexpr size_t kViolationsMax = 5;
  bool ok() const { return violations.empty(); }
};

// HostileRun: one plan, run from its beginning to its end: the production control loop, its mailbox, journal rules and
// recovery, driven through virtual time against a World and a ControlFaults. First everything that the plan's hazards
// allow happens, and every decision must pass the SafetyChecker. Then all is made well, and within
// Plan::ConvergesWithin the cluster must be what its load needs. Same plan: same run.
class HostileRun {
 public:
  using Say = std::function<void(const std::string& line)>;
  // `say` gets a line for each thing that happens; empty: nobody wants to know.
  HostileRun(Plan plan, Say say);
  ~HostileRun();

  Outcome Run();

 private:
  class Disk;
  class LiveExecutor;
  class DryRunExecutor;
  // What the controller was told of one node.
  struct Heard {
    bool is_told = false, connected = false;
    bool denied = false;  // the last list of the provider lacked it
    std::string boot_id, forgotten_boot_id;
    uint64_t sequence = 0;
    absl::Time at = absl::InfinitePast();
    int process = 0;
    bool serving = false, draining = false;
    int64_t open = 0, active = 0, waiting = 0, limit = 0;
  };

  absl::Time Wall() const { return now_ - clock_behind_; }
  absl::Time CoreNow() const;
  void After(absl::Duration delay, std::function<void()> work) { due_.emplace(now_ + delay, std::move(work)); }
  void Line(const std::string& text) const;

  // The controller.
  void Start();
  void OrderAgain();
  void Crash();
  void TellDisk(const absl::Status& health);
  void Post(Event event);
  void Hear(const Event& event);
  void Finish(int process, const Action& action, const absl::Status& status, const NodeId& node);
  void List(int process, const Action& action);
  void Change(int process, const Action& action);
  void Resolve(const std::vector<Action>& actions);
  void Judge(const Decision& decision);
  sim::Moment MomentOf(const Decision& decision) const;
  void CountSlots(const Decision& decision, sim::MachineFacts& facts) const;
  static void TellHeard(const Heard& heard, sim::MachineFacts& facts);
  void Violate(std::string rule, std::string what);

  // The world.
  void AdvanceTo(absl::Time until);
  void Step();
  void Wander();
  void Trouble();
  void TroubleController();
  void TroubleCluster();
  void Meddle();
  void Command();
  NodeId AnyServer();
  void MakeWell();
  int MostNeeded(double need) const;
  size_t MostNodes() const;
  bool IsExcused(const Reason& alarm) const;
  std::optional<std::string> NotYet() const;
  std::optional<std::string> LimitsNotYet() const;

  Plan plan_;
  const Say say_;
  sim::Random random_;
  Policy policy_;  // in force
  World world_;
  sim::ControlFaults faults_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<ControlLoop> loop_;
  sim::SafetyChecker checker_;
  sim::Orders orders_;
  absl::Time now_, wake_ = absl::InfiniteFuture(), step_at_, restart_at_ = absl::InfinitePast();
  absl::Duration clock_behind_;
  int process_ = 0;
  absl::Time listed_at_ = absl::InfinitePast();  // the provider's list reached this process
  bool hostile_ = true, over_ = false, disk_fails_ = false, core_knows_disk_fails_ = false;
  bool forgot_ = false;      // this process began without what was done last
  bool was_judged_ = false;  // it has decided something
  double demand_goal_ = 0;
  std::multimap<absl::Time, std::function<void()>> due_;
  std::map<NodeId, Heard> heard_;
  std::set<std::string> balancers_heard_;  // their boots
  std::map<ActionId, absl::Time> launched_at_;
  std::set<NodeId> hand_drained_;
  std::set<NodeId> named_;    // by a list of the provider, ever
  std::set<NodeId> nobodys_;  // launched by somebody else, and never named
  int64_t term_ = 0;
  Outcome outcome_;
};

}  // namespace headroom::swarm
