#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/anomaly/watch.h"
#include "controller/core/calendar/usual_demand.h"
#include "controller/core/decision.h"
#include "controller/core/diagnosis/diagnosis.h"
#include "controller/core/event.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/forecast/demand_forecast.h"
#include "controller/core/nodes/at_max.h"
#include "controller/core/nodes/trial.h"
#include "controller/core/policy.h"

namespace headroom {

// A growth, and how much of the fleet it was.
struct Growth {
  absl::Time at = absl::InfinitePast();
  double ratio = 0;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("at", self.at);
    visit("ratio", self.ratio);
  }
};

// What the decisions about the number of nodes remember between ticks.
struct ScaleMemory {
  static constexpr size_t kGrowthsMax = 16;
  static constexpr absl::Duration kServedWindow = absl::Hours(8 * 24);  // a week, and what lies beside

  WindowedMax wanted;                           // largest wanted count of the stabilization window
  absl::Time began_at = absl::InfinitePast();   // since when the window is being filled, without a gap
  absl::Time filled_at = absl::InfinitePast();  // when all signals were last known
  // Growths, oldest first, each more of the fleet than any after it: whatever the cooldown becomes, one of them ends
  // last. The last entry is the last growth. Beyond kGrowthsMax the second counts as much as the first, which is
  // forgotten.
  std::vector<Growth> growths;
  absl::Time shrunk_at = absl::InfinitePast();
  // For how long more nodes have been there than are needed, a surplus of k nodes counting k x k times; until idle_at.
  absl::Duration idle;
  absl::Time idle_at = absl::InfinitePast();
  absl::Time step_began_at = absl::InfinitePast();  // growth step: base count of the current lead time
  int step_base = 0;
  WindowedMax served;                               // largest number of serving nodes, over kServedWindow
  absl::Time unknown_since = absl::InfinitePast();  // a signal has been unknown since
  absl::Time shed_at = absl::InfinitePast();        // last rebalancing shed

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("wanted", self.wanted);
    visit("began_at", self.began_at);
    visit("filled_at", self.filled_at);
    visit("growths", self.growths);
    visit("shrunk_at", self.shrunk_at);
    visit("idle", self.idle);
    visit("idle_at", self.idle_at);
    visit("step_began_at", self.step_began_at);
    visit("step_base", self.step_base);
    visit("served", self.served);
    visit("unknown_since", self.unknown_since);
    visit("shed_at", self.shed_at);
  }
};

// Until when growth forbids to shrink: the longer, the more of the fleet it was.
absl::Time GrowthCoolsUntil(const ScaleMemory& scale, const NodePolicy& policy);

// Everything that outlives a tick. Versioned by its field names (base/fields.h): state written by one release is read
// by the next and by the one before.
struct State {
  int64_t term = 0;
  uint64_t sequence = 0;        // of the last decision
  uint64_t grant_sequence = 0;  // of the last grant
  absl::Time last_tick_at = absl::InfinitePast();
  absl::Time urgent_at = absl::InfiniteFuture();  // an urgent fact arrived then
  Fleet fleet;
  ScaleMemory scale;
  DiagnosisMemory diagnosis;
  forecast::DemandForecast forecast;
  UsualDemand usual;
  AtMax at_max;
  AnomalyWatch anomaly;
  std::vector<HoldChanged> holds;
  std::optional<OverrideSet> override_set;
  std::optional<ModeChosen> mode_chosen;
  Trial trial;  // since the mode is what it is
  std::string journal_error;
  std::vector<ServerTarget> servers;      // what balancers were last told
  std::vector<BalancerId> without_share;  // and which of them without limits
  bool servers_due = false;               // a balancer joined: tell again

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("term", self.term);
    visit("sequence", self.sequence);
    visit("grant_sequence", self.grant_sequence);
    visit("last_tick_at", self.last_tick_at);
    visit("urgent_at", self.urgent_at);
    visit("fleet", self.fleet);
    visit("scale", self.scale);
    visit("diagnosis", self.diagnosis);
    visit("forecast", self.forecast);
    visit("usual", self.usual);
    visit("at_max", self.at_max);
    visit("anomaly", self.anomaly);
    visit("holds", self.holds);
    visit("override", self.override_set);
    visit("mode_chosen", self.mode_chosen);
    visit("trial", self.trial);
    visit("journal_error", self.journal_error);
    visit("servers", self.servers);
    visit("without_share", self.without_share);
    visit("servers_due", self.servers_due);
  }
};

// Autoscaler: the decision core. Deterministic: the same events and the same ticks give the same decisions, byte for
// byte, from the start and from any saved state. No I/O, no clock, no randomness, no logging. Thread-compatible: one
// owner (the control loop) calls everything.
//
//   Autoscaler core(policy);
//   core.Observe(now, event);                     // for each fact
//   if (now >= core.next_tick()) decision = core.Tick(now);
class Autoscaler {
 public:
  explicit Autoscaler(Policy policy) : policy_(std::move(policy)) {}
  static Autoscaler Load(Policy policy, State state);
  const State& Save() const { return state_; }

  // Takes a fact in. An urgent one brings next_tick() forward, never closer than control.urgent_tick to the last tick.
  // ActionStarted must be observed before an action is handed over, so that work in flight counts as done.
  void Observe(absl::Time at, const Event& event);

  // When to decide is a rule too.
  absl::Time next_tick() const;

  // Signals -> guards -> planner, and limits beside them. `now` must not go backwards.
  Decision Tick(absl::Time now);

  // The policy in force: that of the file, but for a mode that an operator chose.
  const Policy& policy() const { return policy_; }
  const Fleet& fleet() const { return state_.fleet; }

 private:
  void Adopt(absl::Time at, Policy policy);

  Policy policy_;
  State state_;
};

}  // namespace headroom
