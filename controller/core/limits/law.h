#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// The limit law: how many connections one node should admit, and how long idle ones may live. One pure function over
// plain structs, so that the controller, a node that has lost its controller, the simulator and the planner run the
// same rule. Why a connection limit follows demand up to ceilings, and latency only vetoes: docs/adr/0002. Evidence:
// slots that run out are mostly idle, so latency says nothing about them, and a refused connection looks like low load.

namespace headroom {

// Settings of the law; defaults are for production. Counts are connections, ratios are shares of the limit.
struct LimitPolicy {
  int64_t floor_count = 16;                      // the law never goes below
  int64_t ceiling_count = 20'000;                // the operator's ceiling
  int64_t reserve_count = 8;                     // room kept above active connections when cutting
  double raise_at_ratio = 0.8;                   // raise when open + waiting exceed this share
  double headroom_ratio = 0.25;                  // room above demand that a raise leaves
  double step_ratio_max = 2.0;                   // a raise is at most this factor
  absl::Duration look_ahead = absl::Seconds(2);  // demand is projected so far along its slope: two report intervals

  double decay_at_ratio = 0.5;                        // decay when demand stays below this share ...
  absl::Duration decay_after = absl::Minutes(10);     // ... for so long
  absl::Duration decay_half_life = absl::Minutes(5);  // pace of the way back
  double decay_peak_ratio = 1.3;                      // never below this multiple of the recent peak

  double latency_ratio_max = 2.0;                         // healthy: p50 at most this multiple of the baseline ...
  absl::Duration latency_slack = absl::Milliseconds(20);  // ... plus this (tiny baselines are noise)
  double memory_full_ratio_max = 0.01;                    // healthy: memory stall share
  double io_full_ratio_max = 0.20;                        // healthy: io stall share
  int unhealthy_steps = 2;                                // consecutive unhealthy steps before a cut
  double cut_ratio = 0.9;                                 // one cut

  absl::Duration idle_timeout_min = absl::Seconds(5);  // under full pressure; the configured one is the maximum

  absl::Duration watch = absl::Seconds(60);        // a raise is watched so long
  absl::Duration watch_settle = absl::Seconds(3);  // and not judged before
  double watch_goodput_ratio_min = 0.8;            // rolled back when goodput falls below this share of before, or
  double watch_latency_ratio_max = 2.0;            // latency exceeds this multiple of before, with the new room in use
  absl::Duration bad_memory = absl::Hours(1);      // a limit that was tried and bad is not tried again for so long
};

// Which ceiling binds. Order = tie-break.
enum class Ceiling : uint8_t { kNone, kOperator, kFds, kMemory, kKnee, kTriedAndBad, kBudget, kLease };
absl::string_view CeilingName(Ceiling ceiling);

// Why the law answered so.
enum class LimitCause : uint8_t {
  kSteady,       // nothing to do
  kDemand,       // open + waiting came near the limit: raised
  kCeiling,      // would raise, but a ceiling binds
  kVetoLatency,  // would raise, but the node is unhealthy
  kVetoMemory,
  kVetoIo,
  kVetoPlateau,   // more work in flight brought no more throughput
  kCutUnhealthy,  // cut because it stayed unhealthy while full
  kRestore,       // back up to the configured limit after a cut
  kDecay,         // demand is long below: one step back towards the configured limit
  kRollBack,      // a watched raise made things worse
};
absl::string_view LimitCauseName(LimitCause cause);

// What is known of a node at one step. Latencies are server-side.
struct LimitInputs {
  int64_t open_count = 0;
  int64_t active_count = 0;
  int64_t waiting_count = 0;  // outside: accept queue (else rejections of the last second) + drops + balancers' queues
  double open_slope_per_second = 0;        // growth of open + waiting, over the last seconds
  int64_t active_peak_count = 0;           // largest number of active ones of the last 10 minutes
  int64_t open_peak_count = 0;             // largest open + waiting of the peak window (1 h)
  int64_t configured_count = 0;            // the server's own limit: where decay ends. 0: none
  absl::Duration configured_idle_timeout;  // zero: never
  // Ceilings; absent = unknown, does not bind.
  std::optional<int64_t> fd_count_max, memory_count_max, knee_count_max;
  // Whether the node itself has spoken since the last step. Where a balancer holds the slots, its word makes a step
  // too; what the node said before still vetoes, but is no evidence again.
  bool health_is_new = true;
  // Health. Absent = unknown, does not veto.
  std::optional<absl::Duration> latency_p50, latency_baseline;
  std::optional<double> memory_full_ratio, io_full_ratio;
  std::optional<double> work_throughput_correlation;  // of active and throughput, only while full
  // Completions that were no errors, over the last seconds: one second of a few requests says nothing.
  double goodput_per_second = 0;
  double goodput_seconds = 1;  // so many
};

// What the law remembers of a node between steps. Saved with the controller's state.
struct LimitMemory {
  int64_t limit_count = 0;   // what the law wants in force; 0 = not begun: the first step adopts the node's
  int64_t wanted_count = 0;  // at the last step; more than the limit where a shared budget gave less. 0: the same
  absl::Time changed_at = absl::InfinitePast();
  absl::Time calm_since = absl::InfinitePast();  // demand below decay_at since; InfinitePast: not calm
  int unhealthy_count = 0;
  // A watched raise; from_count 0: none.
  int64_t watch_from_count = 0;
  absl::Time watch_since = absl::InfinitePast();
  double watch_goodput_per_second = 0;
  int64_t watch_active_count = 0;
  absl::Duration watch_latency;
  int watch_bad_count = 0;
  // A limit that was tried and bad; 0: none.
  int64_t bad_count = 0;
  absl::Time bad_since = absl::InfinitePast();
  LimitCause cause = LimitCause::kSteady;  // of the last step

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("limit", self.limit_count);
    visit("wanted", self.wanted_count);
    visit("changed_at", self.changed_at);
    visit("calm_since", self.calm_since);
    visit("unhealthy", self.unhealthy_count);
    visit("watch_from", self.watch_from_count);
    visit("watch_since", self.watch_since);
    visit("watch_goodput", self.watch_goodput_per_second);
    visit("watch_active", self.watch_active_count);
    visit("watch_latency", self.watch_latency);
    visit("watch_bad", self.watch_bad_count);
    visit("bad", self.bad_count);
    visit("bad_since", self.bad_since);
    visit("cause", self.cause);
  }
};

// The answer of one step.
struct LimitAnswer {
  int64_t limit_count = 0;
  absl::Duration idle_timeout;  // zero: for ever
  LimitCause cause = LimitCause::kSteady;
  Ceiling bound_by = Ceiling::kNone;  // the ceiling at which the limit stands, if it does
  int64_t ceiling_count = 0;          // the lowest ceiling
  double utilization_ratio = 0;       // (open + waiting) / limit
  int64_t projected_count = 0;        // open + waiting, look_ahead from now
};

// The lowest ceiling and its name.
struct CeilingAnswer {
  int64_t count = 0;
  Ceiling name = Ceiling::kNone;
};
CeilingAnswer LowestCeiling(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory,
                            absl::Time now);

// Nothing, or the veto that forbids raising.
std::optional<LimitCause> HealthVeto(const LimitPolicy& policy, const LimitInputs& inputs);

// The correlation of work and throughput at which more work is taken to bring less: of an even load it wavers around 0,
// by about 0.13 when it is taken over some 60 samples.
inline constexpr double kPlateauCorrelation = -0.4;

// One step of the law, for each news of a node: steps in a row are evidence, so the same report must not make two.
// `memory.limit_count` is the limit in force (or granted); the answer's limit is stored back.
// Promises: within [floor, lowest ceiling] unless the configured limit itself lies outside; never below active +
// reserve; a raise is never delayed by anything but a ceiling or a veto; deterministic.
LimitAnswer NextLimit(const LimitPolicy& policy, const LimitInputs& inputs, LimitMemory& memory, absl::Time now);

// An answer of the law that somebody overrules: the idle timeout goes by the pressure on the limit that counts, lest it
// change with every report.
LimitAnswer Overruled(const LimitPolicy& policy, const LimitInputs& inputs, LimitAnswer answer, int64_t limit_count);

// The answer where there is no news: what was wanted is wanted still, and what bound or vetoed it stays.
LimitAnswer KeepLimit(const LimitPolicy& policy, const LimitInputs& inputs, const LimitMemory& memory, absl::Time now);

}  // namespace headroom
