#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/boxed_map.h"
#include "controller/core/event.h"
#include "controller/core/fleet/balancers.h"
#include "controller/core/fleet/data_fill.h"
#include "controller/core/fleet/phase_times.h"
#include "controller/core/fleet/retries.h"
#include "controller/core/limits/knee.h"
#include "controller/core/limits/law.h"
#include "controller/core/policy.h"
#include "controller/core/report.h"
#include "controller/core/windows.h"

namespace headroom {

// The life of a node.
//
//   launching -> joining -> serving <-> restarting
//                              |  ^---- cancel drain
//                              v  |
//                           draining <-> drained -> terminating -> (gone)
//   serving -> lost: no report for lost_after; back to serving when it speaks again.
//   A node that says that it drains, though nobody here asked it to, is draining: no capacity, but not terminated.
enum class NodeState : uint8_t {
  kLaunching,
  kJoining,
  kServing,
  kRestarting,
  kDraining,
  kDrained,
  kTerminating,
  kLost
};
absl::string_view NodeStateName(NodeState state);

// A limit that an operator fixed. No count: none.
struct FixedLimit {
  int64_t count = 0;
  absl::Time until = absl::InfinitePast();
  std::string reason, actor;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("count", self.count);
    visit("until", self.until);
    visit("reason", self.reason);
    visit("actor", self.actor);
  }
};

// A fingerprint of what a server runs, so that a tick need not compare texts; 0: neither is told.
uint64_t VariantOf(absl::string_view version, absl::string_view config);

// All that is known of one node. What a tick reads of every node stands first and in line: at 10,000 nodes a tick costs
// what it fetches from memory.
struct Node {
  static constexpr absl::Duration kActivePeakWindow = absl::Minutes(10);

  NodeState state = NodeState::kLaunching;
  bool connected = false;  // its stream is open
  bool ready = false;      // it has reported that it serves, in this boot
  bool listed = false;     // the provider's last list has it
  bool pinned = false;
  bool takes_limits = true;  // Can("limit")
  bool drained_by_operator = false;
  bool take_back = false;        // an operator wants it back from its drain
  bool returning = false;        // a drain was cancelled, and the node has not said since that it serves
  bool stays_drained = false;    // it did not follow a cancelled drain, and has not said since that it serves
  bool found_draining = false;   // drained by somebody else than Headroom: it may come back, it is not terminated
  bool launch_failed = false;    // it is late: it did not serve within the deadline of its phase
  bool said_stopping = false;    // its last word was that it stops
  bool hypothetical = false;     // exists only in the dry run's shadow fleet
  bool shadow_gone = false;      // exists, but the dry run would have removed it
  bool latency_counted = false;  // latency is part of Fleet::latency()
  bool unheard = false;          // since the controller restarted: it may hold a grant that is written nowhere
  bool leave_unheard = false;    // it was told to leave before that, and has not said since what it does
  bool was_drained = false;      // once at least since it last served
  absl::Time state_since = absl::InfinitePast();
  absl::Time told_at = absl::InfinitePast();         // when it was last told to drain or to serve
  absl::Time last_report_at = absl::InfinitePast();  // receive time, never the node's clock
  absl::Time reported_at = absl::InfinitePast();     // when its load came; a reconnect tells none
  uint64_t variant = 0;                              // VariantOf() its hello
  int64_t largest_client_count = 0;                  // open connections of the largest of report.top_clients
  absl::Duration latency_p50, latency_p99;           // over the stretch of `rates`; zero: no request
  Goodput goodput;                                   // over about 5 s
  BaselineLatency baseline;
  WorkCorrelation work;        // of active requests and completions
  BalancerView behind;         // what balancers say of it
  int64_t knee_count_max = 0;  // the ceiling that its knee sets, in connections; 0: unknown
  // Limits.
  LimitMemory limit;
  absl::Time limit_stepped_at = absl::InfinitePast();  // the newest word, of node or balancer, at its last step
  uint64_t grant_id = 0;                               // of the last grant
  absl::Time granted_at = absl::InfinitePast();
  int64_t granted_count = 0;  // what was last granted; 0: nothing yet
  int64_t passed_count = 0;   // the largest grant before it that the node may hold still, as it confirmed none since
  absl::Duration granted_idle_timeout;
  absl::Time foreign_since = absl::InfinitePast();
  FixedLimit fixed;
  NodeRates rates;          // over the last second or so, computed when a report comes
  NodeGauges report;        // the newest
  Slope demand_slope;       // of open + waiting
  WindowedMax open_peak;    // of open + waiting, over limits.peak_window
  WindowedMax active_peak;  // over kActivePeakWindow
  DataFill fill;            // of what it stores
  // From here on a tick reads but the end of the hello.
  LatencyHistogram latency;  // over the stretch of `rates`
  NodeHello hello;
  NodeId id;
  std::string zone;
  ActionId launch_id;
  absl::Time launched_at = absl::InfinitePast();
  absl::Time listed_at = absl::InfinitePast();      // when we last heard that the provider has it
  absl::Time machine_since = absl::InfinitePast();  // when we first did
  std::string drain_reason, drain_actor;            // the operator's
  Retries terminates_failed;
  std::string left_boot_id;  // of the process that was there when it was last seen to go
  CounterWindow counters;
  KneeEstimator knee;
  WindowedMax active_share;  // of the open connections, smoothed, over kActivePeakWindow
  double active_share_now = 0;

  // What its reporter can do, as load.proto names it. One that tells nothing can do all.
  bool Can(absl::string_view capability) const {
    const auto& all = hello.capabilities;
    return all.empty() || std::find(all.begin(), all.end(), capability) != all.end();
  }
  // Is there somebody who follows a grant?
  bool IsSteerable() const { return Carries() && connected && ready && takes_limits && LimitCount() > 0; }
  bool IsLeaving() const { return state == NodeState::kDraining || state == NodeState::kDrained; }
  // It leaves, and Headroom may take it back: a process is there that hears of it, and follows as far as we know.
  bool CanReturn() const {
    const bool hears = hypothetical || (connected && !stays_drained && !launch_failed);
    return IsLeaving() && hears && !drained_by_operator && !shadow_gone && (!found_draining || Can("drain"));
  }

  // Whether to be without it saves anything: it is paid for so long from its launch at least.
  bool IsPaidOut(absl::Time now, absl::Duration paid_min) const { return now - launched_at >= paid_min; }

  void Become(NodeState to, absl::Time at);
  void Granted(uint64_t new_id, int64_t limit_count, absl::Time at);
  // Whoever holds the slots knows nothing of our grants.
  void ForgetGrants();

  // Asks the processor to fetch the first lines of a node that is some steps ahead; those behind them follow by
  // themselves. Asking for all of them made a tick a quarter slower: it asks for more than can be on its way.
  void Fetch() const {
    const auto* end = reinterpret_cast<const char*>(&fixed + 1);
    for (const auto* at = reinterpret_cast<const char*>(this); at < end; at += 64) __builtin_prefetch(at);
  }

  // When the load was last told, by whoever holds the slots.
  absl::Time news_at() const { return behind.holds_slots ? behind.told_at : reported_at; }
  // Slots are where they run out: at the node, or in a balancer that reuses connections.
  int64_t OpenCount() const { return behind.holds_slots ? behind.session_count : report.open_count; }
  int64_t LimitCount() const { return behind.holds_slots ? behind.limit_count : report.limits.connection_count_max; }
  // Balancers cannot tell whether what they were first seen with was raised by an earlier controller: the node never
  // takes more than it says itself. 0: unknown.
  int64_t ConfiguredCount() const {
    const int64_t own = hello.configured_count_max;
    if (!behind.holds_slots) return own;
    return own > 0 ? std::min(behind.configured_count, own) : behind.configured_count;
  }
  // What it is held against: as many as it came with, or, where that may be the work of an earlier controller, others.
  int64_t SizeCount() const {
    const int64_t own = hello.configured_count_max;
    if (!behind.holds_slots) return own;
    return own > 0 ? std::min(behind.usual_count, own) : behind.usual_count;
  }
  // The limit before anyone raised it: what a node is held against is its size, not what surges have left behind.
  // 0: none is known.
  int64_t OwnLimitCount() const {
    return ConfiguredCount() > 0 ? std::min(ConfiguredCount(), LimitCount()) : LimitCount();
  }
  // Clients outside: accept queue, drops per second of the listening socket, balancers' queues.
  int64_t WaitingCount() const;
  int64_t DemandCount() const { return OpenCount() + WaitingCount(); }
  // Will it serve once all work in flight lands? One that an operator drains before it serves will not.
  bool CountsAsCapacity() const {
    return state == NodeState::kServing || state == NodeState::kRestarting || (IsAwaited() && !drained_by_operator);
  }
  // Since when it is to come; of a machine that somebody else launched: since we know of it.
  absl::Time AwaitedSince() const { return launched_at == absl::InfinitePast() ? state_since : launched_at; }
  absl::Time LastWordAt() const { return std::max(AwaitedSince(), last_report_at); }
  // Its machine is given up; until then one that is late may still come.
  bool IsOverdue(absl::Time now, absl::Duration launch_timeout) const {
    return launch_failed && IsComing() && now - LastWordAt() > launch_timeout;
  }
  // One that Headroom launched is on every list that was begun a while after it spoke.
  bool IsDenied(absl::Time list_began_at) const {
    constexpr absl::Duration kListTakes = absl::Minutes(1);
    return !launch_id.empty() && !hello.boot_id.empty() && last_report_at < list_began_at - kListTakes;
  }
  void Listed(absl::Time at) {
    listed = true;
    listed_at = at;
    if (machine_since == absl::InfinitePast()) machine_since = at;
  }
  bool IsComing() const { return state == NodeState::kLaunching || state == NodeState::kJoining; }
  bool IsAwaited() const { return IsComing() && !launch_failed; }
  // A machine that the provider lists, and that carries nothing that we know of. One that an operator drained is as
  // little part of the fleet dead as alive.
  bool IsAbsent() const {
    if (drained_by_operator) return false;
    const bool stays = (IsLeaving() || state == NodeState::kTerminating) && leave_unheard;
    return listed && (state == NodeState::kLost || stays || (IsComing() && launch_failed));
  }
  // One that is late and not given up yet may still come, listed or not.
  bool MayStillCome(absl::Time now, absl::Duration launch_timeout) const {
    return launch_failed && IsComing() && !launch_id.empty() && !IsOverdue(now, launch_timeout);
  }
  // Does it carry load really, whatever the shadow says?
  bool Carries() const {
    return !hypothetical && (state == NodeState::kServing || state == NodeState::kDraining || shadow_gone);
  }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("id", self.id);
    visit("state", self.state);
    visit("state_since", self.state_since);
    visit("zone", self.zone);
    visit("launch_id", self.launch_id);
    visit("connected", self.connected);
    visit("ready", self.ready);
    visit("listed", self.listed);
    visit("pinned", self.pinned);
    visit("takes_limits", self.takes_limits);
    visit("drained_by_operator", self.drained_by_operator);
    visit("launch_failed", self.launch_failed);
    visit("said_stopping", self.said_stopping);
    visit("take_back", self.take_back);
    visit("returning", self.returning);
    visit("found_draining", self.found_draining);
    visit("stays_drained", self.stays_drained);
    visit("told_at", self.told_at);
    visit("terminates_failed", self.terminates_failed);
    visit("left_boot_id", self.left_boot_id);
    visit("drain_reason", self.drain_reason);
    visit("drain_actor", self.drain_actor);
    visit("hypothetical", self.hypothetical);
    visit("shadow_gone", self.shadow_gone);
    visit("launched_at", self.launched_at);
    visit("listed_at", self.listed_at);
    visit("machine_since", self.machine_since);
    visit("rates", self.rates);
    visit("latency", self.latency.counts);
    visit("variant", self.variant);
    visit("largest_client", self.largest_client_count);
    visit("latency_counted", self.latency_counted);
    visit("latency_p50", self.latency_p50);
    visit("latency_p99", self.latency_p99);
    visit("goodput", self.goodput);
    visit("last_report_at", self.last_report_at);
    visit("reported_at", self.reported_at);
    visit("hello", self.hello);
    visit("report", self.report);
    visit("counters", self.counters);
    visit("open_peak", self.open_peak);
    visit("active_peak", self.active_peak);
    visit("demand_slope", self.demand_slope);
    visit("baseline", self.baseline);
    visit("work", self.work);
    visit("knee", self.knee);
    visit("knee_max", self.knee_count_max);
    visit("active_share", self.active_share);
    visit("active_share_now", self.active_share_now);
    visit("behind", self.behind);
    visit("limit", self.limit);
    visit("limit_stepped_at", self.limit_stepped_at);
    visit("fixed", self.fixed);
    visit("grant_id", self.grant_id);
    visit("granted_at", self.granted_at);
    visit("granted", self.granted_count);
    visit("passed", self.passed_count);
    visit("unheard", self.unheard);
    visit("leave_unheard", self.leave_unheard);
    visit("was_drained", self.was_drained);
    visit("granted_idle_timeout", self.granted_idle_timeout);
    visit("foreign_since", self.foreign_since);
    visit("fill", self.fill);
  }
};

// An action whose outcome has not come yet.
struct ActionInFlight {
  Action action;
  absl::Time since;
  bool dry_run = false;  // it was never handed to anybody
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("action", self.action);
    visit("since", self.since);
    visit("dry_run", self.dry_run);
  }
};

// Fleet: the world as far as we know it. Apply() is the only mutation by facts; it is total (every event is legal in
// every state) and drops reports with an old (boot_id, sequence). The limit planner writes its memory into the nodes.
// Thread-compatible; owned by the Autoscaler. Sizes are bounded: nodes by kNodesMax, balancers by
// kBalancersMax, actions by what the planner asks.
class Fleet {
 public:
  using Nodes = BoxedMap<NodeId, Node>;
  static constexpr size_t kNodesMax = 20'000;
  // Beyond it, one that is not connected gives way to a newcomer: that heard longest ago. Where all are connected, the
  // newcomer is not heard.
  static constexpr size_t kBalancersMax = 64;

  // Returns whether the event is urgent: the next tick should come as soon as policy.control.urgent_tick allows.
  bool Apply(absl::Time at, const Event& event, const Policy& policy);

  // Time passes: actions without outcome age out, silent nodes become lost, restarts that did not come back too. Every
  // node that is still there is shown to `see`, once, in the order of ids. All that a tick wants to know of all nodes
  // it learns in this one walk: at 10,000 nodes a tick costs what it fetches from memory.
  void Advance(absl::Time now, const Policy& policy, absl::FunctionRef<void(Node&)> see);

  // There was no controller for so long: nobody could report, come back or come up in front of it. What the last one
  // did last may be written nowhere, so that machines must be listed before one is launched, and that nobody knows what
  // limit a node holds that has not been heard since.
  void ForgiveSilence(absl::Time now, absl::Duration absence);
  // Reports were not recorded: a node that said hello has served since, and one whose stream was open has spoken, as
  // far as we can know.
  void AssumeServing(absl::Time now);

  const Nodes& nodes() const { return nodes_; }
  Nodes& mutable_nodes() { return nodes_; }
  const Node* Find(const NodeId& id) const;
  const std::map<BalancerId, Balancer>& balancers() const { return balancers_; }
  const std::map<ActionId, ActionInFlight>& in_flight() const { return in_flight_; }
  const LaunchFailures& launch_failures() const { return launch_failures_; }
  absl::Time last_listed_at() const { return last_listed_at_; }
  // Whether a node has come since that may be the machine of a launch whose answer named none: until it is listed both
  // count.
  bool HasNamelessArrival() const;
  // A machine could not be removed, and no list has been begun since: another one may have gone in its place.
  bool MustLookBeforeRemoval() const { return removal_failed_at_ != absl::InfinitePast(); }
  const Retries& lists_failed() const { return lists_failed_; }
  // The last provider call that failed, and how; empty once the same call succeeded or ten minutes passed.
  const std::string& provider_operation() const { return provider_operation_; }
  const std::string& provider_error() const { return provider_error_; }
  // Launch to serving, p95 of what was seen; nothing yet: policy.nodes.lead_time.
  std::optional<absl::Duration> learned_lead_time() const;
  // How long a machine takes to speak, a node that speaks to serve, and a drain to be done.
  const PhaseTimes& boot_times() const { return boot_times_; }
  const PhaseTimes& join_times() const { return join_times_; }
  const PhaseTimes& drain_times() const { return drain_times_; }
  // Launches without an outcome whose machines no list has denied that was begun a minute later: they may be there.
  int unanswered_launches() const { return static_cast<int>(unanswered_.size()); }
  // When the last launch came to serve.
  absl::Time arrived_at() const { return arrived_at_; }
  // The latencies of the last second or so, summed over the nodes that carry load and do not drain. Kept up to date as
  // reports come: adding 10,000 histograms each tick is too slow. A node that changed its state counts from the next
  // report or Advance() on.
  const LatencyHistogram& latency() const { return latency_; }
  // The last node that was refused because kNodesMax are known already, and when.
  const NodeId& refused_node() const { return refused_node_; }
  absl::Time refused_at() const { return refused_at_; }
  // The limits that nodes were found with since the controller restarted, each when it was first heard.
  int64_t adopted_count() const { return adopted_count_; }
  // Balancers that share what a node was granted, each a like part. 0: not to be told now, as since the controller
  // restarted, or under a budget, one has joined that has not said yet what it has.
  int64_t SplitCount(const Policy& policy) const;
  // Connected ones that have no part of it: what they hold, if anything, is not known yet, or they hold no slots.
  std::vector<BalancerId> BalancersWithoutShare() const;
  // Drops of reports, by reason: for metrics.
  int64_t reports_dropped_old() const { return reports_dropped_old_; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("nodes", self.nodes_);
    visit("balancers", self.balancers_);
    visit("views_due", self.views_due_);
    visit("in_flight", self.in_flight_);
    visit("launch_failures", self.launch_failures_);
    visit("last_listed_at", self.last_listed_at_);
    visit("lists_failed", self.lists_failed_);
    visit("removal_failed_at", self.removal_failed_at_);
    visit("provider_operation", self.provider_operation_);
    visit("provider_error", self.provider_error_);
    visit("provider_failed_at", self.provider_failed_at_);
    visit("lead_times", self.lead_times_);
    visit("boot_times", self.boot_times_);
    visit("join_times", self.join_times_);
    visit("drain_times", self.drain_times_);
    visit("arrived_at", self.arrived_at_);
    visit("latency", self.latency_.counts);
    visit("unanswered", self.unanswered_);
    visit("adopted", self.adopted_count_);
    visit("split", self.split_count_);
    visit("reports_dropped_old", self.reports_dropped_old_);
    visit("refused_node", self.refused_node_);
    visit("refused_at", self.refused_at_);
  }

 private:
  bool On(absl::Time at, const NodeJoined& event, const Policy& policy);
  bool On(absl::Time at, const NodeReported& event, const Policy& policy);
  bool On(absl::Time at, const NodeLeft& event, const Policy& policy);
  bool On(absl::Time at, const BalancerReported& event, const Policy& policy);
  bool On(absl::Time at, const BalancerJoined& event, const Policy& policy);
  bool On(absl::Time at, const BalancerLeft& event, const Policy& policy);
  bool On(absl::Time at, const MachinesListed& event, const Policy& policy);
  bool On(absl::Time at, const ActionStarted& event, const Policy& policy);
  bool On(absl::Time at, const ActionFinished& event, const Policy& policy);
  bool On(absl::Time at, const NodeLimitFixed& event, const Policy& policy);
  bool On(absl::Time at, const NodePinned& event, const Policy& policy);
  bool On(absl::Time at, const DrainRequested& event, const Policy& policy);
  bool On(absl::Time at, const PolicyChanged& event, const Policy& policy);
  // Not the fleet's business: holds, overrides, term, journal.
  template <typename Other>
  bool On(absl::Time, const Other&, const Policy&) {
    return false;
  }

  void LeaveDryRun(absl::Time at, const Policy& policy);
  static NodeId PlaceholderOf(const ActionId& launch);
  Node& Adopt(const NodeId& id, const ActionId& launch_id, absl::Time at);
  void ComeAnew(const NodeId& id, absl::Time at);
  void TakeName(Node& node, const ActionId& launch_id);
  void CountArrival(const Node& node, absl::Time at);
  void BeginServing(Node& node, absl::Time at);
  void FollowServer(Node& node, absl::Time at, const Policy& policy);
  bool HasRoomFor(const NodeId& id, absl::Time at);
  bool TakeLoad(Node& node, const NodeCounters& counters, absl::Time at, const Policy& policy);
  absl::Time ListBeganAt(absl::Time at) const;
  void FinishLaunch(absl::Time at, const Action& action, const ActionFinished& outcome);
  void FinishDrain(absl::Time at, const Action& action, const ActionFinished& outcome);
  void FinishTerminate(absl::Time at, const Action& action, const ActionFinished& outcome);
  void AdoptLimit(Node& node);
  void AdoptShares();
  void AgeNode(Node& node, absl::Time now, const Policy& policy);
  void AgeActions(absl::Time now, const Policy& policy);
  void LaunchFailed(absl::Time at, absl::string_view error);
  void AgeLaunch(Node& node, absl::Time now, const Policy& policy);
  // Takes the node's latencies out of the sum, or puts them in where they belong.
  void UncountLatency(Node& node);
  void CountLatency(Node& node);
  Nodes::iterator Forget(Nodes::iterator node);
  bool HasRoomForBalancer(const BalancerId& id, absl::Time at);
  void AgeBalancers(absl::Time now, const Policy& policy);
  bool SplitAnew(absl::Time now, const Policy& policy);
  static void SplitGrant(Node& node, const NewSplit& split);
  void TakeWords(Balancer& balancer, absl::Time at) const;
  BalancerView ViewOf(const NodeId& id, absl::Time now);
  void GatherBalancerViews(absl::Time now);
  void NoteProvider(absl::Time at, absl::string_view operation, absl::string_view error);

  Nodes nodes_;
  size_t reports_next_ = 0;  // of nodes_: whose report is likely to be the next
  std::map<BalancerId, Balancer> balancers_;
  absl::Time views_due_ = absl::InfiniteFuture();  // when the first stale word of those in use is dropped
  std::map<ActionId, ActionInFlight> in_flight_;
  LaunchFailures launch_failures_;
  absl::Time last_listed_at_ = absl::InfinitePast();
  Retries lists_failed_;
  absl::Time removal_failed_at_ = absl::InfinitePast();  // the last, since the last list
  std::string provider_operation_, provider_error_;
  absl::Time provider_failed_at_ = absl::InfinitePast();
  std::vector<absl::Duration> lead_times_;  // the last 20
  PhaseTimes boot_times_, join_times_, drain_times_;
  absl::Time arrived_at_ = absl::InfinitePast();
  LatencyHistogram latency_;
  std::map<ActionId, absl::Time> unanswered_;  // since when; bounded as in_flight_
  int64_t adopted_count_ = 0;
  int64_t split_count_ = 0;
  int64_t reports_dropped_old_ = 0;
  NodeId refused_node_;
  absl::Time refused_at_ = absl::InfinitePast();
};

}  // namespace headroom
