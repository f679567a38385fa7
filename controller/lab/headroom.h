#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/lab/baselines/rivals.h"
#include "controller/lab/rival.h"
#include "controller/lab/task.h"

namespace headroom::lab {

// Headroom itself under the standard task: the production core, told by reports what a cluster would tell it, its
// actions carried out by a cluster that is nothing but numbers. One unit of demand is what a node carries at the
// policy's target. Its clock is the trace's, so that a calendar means what it says; a trace that counts from 0 has no
// date, and begins at some midnight. Reports come every step and tell of the step before, as Headroom's own reports do.
class Headroom final : public Rival {
 public:
  // What one unit of demand is to a node: what it carries at the policy's target, or all that it carries well.
  enum class Unit { kAtTarget, kInFull };
  // What a node is said to carry in full, in connections: so many that a share of one is nothing.
  static constexpr int64_t kInFullCount = 10'000;
  // The policy's nodes.min and max and the pace of the loop are the task's. So are nodes.paid_min and
  // connections.per_node (kInFullCount), but with kInFull: there a policy may take a node for more or for less.
  explicit Headroom(Policy policy, const Terms& terms = {}, Unit unit = Unit::kAtTarget);

  int period_steps() const override { return 1; }
  int Decide(const Meter& meter, const Nodes& nodes) override;
  // All of a node's slots: 1 / target of what it carries at target.
  double metric_max() const override;
  Victims victims() const override;
  void Lose(int nodes) override;
  const Autoscaler& core() const { return core_; }

 private:
  struct Server {
    int serves_at = 0;  // step
    bool joined = false, draining = false;
    std::string launch_id;
    Event said = NodeReported();  // the last report; the next one is made of it

    NodeReport& report() { return std::get<NodeReported>(said).report; }
  };

  void Begin(const Meter& meter);
  absl::Time At(int step) const;
  void Add(int serves_at, const std::string& launch_id);
  void Report(int step, double offered);
  void Join(int step, const NodeId& id, Server& server);
  void Carry(int step, const Decision& decision);
  ActionFinished Do(int step, const Action& action);

  const NodeLaw law_;
  const Unit unit_;
  absl::Time start_;  // of step 0
  Autoscaler core_;
  std::map<NodeId, Server> servers_;
  int64_t named_ = 0;
};

// Headroom as it takes part: under one policy on every trace.
Contender Ours(const Policy& policy);

}  // namespace headroom::lab
