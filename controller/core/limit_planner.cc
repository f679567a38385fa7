#include "controller/core/limit_planner.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "controller/core/limits/budget.h"
#include "controller/core/nodes/guards.h"

namespace headroom {
namespace {

// A median of fewer requests is chance.
constexpr double kLatencyCountMin = 5;

// Buckets of the peaks that a node remembers, for all nodes of a tick.
struct PeakBuckets {
  int64_t active, open;
};

LimitInputs InputsOf(const Node& node, const PeakBuckets& buckets, absl::Time now) {
  LimitInputs in;
  in.open_count = node.OpenCount();
  in.active_count = node.report.active_count;
  in.waiting_count = node.WaitingCount();
  in.open_slope_per_second = node.demand_slope.PerSecond(now);
  in.active_peak_count = static_cast<int64_t>(node.active_peak.MaxAt(buckets.active));
  in.open_peak_count = static_cast<int64_t>(node.open_peak.MaxAt(buckets.open));
  in.configured_count = node.ConfiguredCount();
  in.configured_idle_timeout = node.hello.configured_idle_timeout;
  in.fd_count_max = node.hello.fd_count_max;
  in.memory_count_max = node.hello.memory_count_max;
  if (node.knee_count_max > 0) in.knee_count_max = node.knee_count_max;
  if (node.rates.completed * node.rates.seconds >= kLatencyCountMin) in.latency_p50 = node.latency_p50;
  in.latency_baseline = node.baseline.value();
  in.memory_full_ratio = node.report.memory_full_ratio;
  in.io_full_ratio = node.report.io_full_ratio;
  if (in.waiting_count > 0 || 10 * in.open_count > 9 * node.LimitCount())
    in.work_throughput_correlation = node.work.Correlation();
  in.goodput_per_second = node.goodput.per_second;
  in.goodput_seconds = node.goodput.seconds;
  return in;
}

// What the idle timeout goes by.
LimitInputs PressureOf(const Node& node) {
  LimitInputs in;
  in.open_count = node.OpenCount();
  in.waiting_count = node.WaitingCount();
  in.configured_idle_timeout = node.hello.configured_idle_timeout;
  return in;
}

// What a node said of its health long ago says nothing of now.
void ForgetHealth(LimitInputs& in) {
  in.latency_p50 = std::nullopt;
  in.memory_full_ratio = in.io_full_ratio = in.work_throughput_correlation = std::nullopt;
}

struct LimitStep {
  int64_t before;
  const LimitAnswer& answer;
};

// Said only where the slope is what called for the raise.
std::optional<double> Rising(int64_t demand, const LimitAnswer& answer) {
  if (answer.projected_count <= demand + demand / 20) return std::nullopt;
  return static_cast<double>(answer.projected_count);
}

// What was found unhealthy, and from where on it counts so.
struct Veto {
  absl::string_view name;
  ReasonArgument value, bound;
};

Veto VetoOf(LimitCause cause, const LimitInputs& in, const LimitPolicy& law) {
  switch (cause) {
    case LimitCause::kVetoLatency:
      return {"the median latency", in.latency_p50.value_or(absl::ZeroDuration()),
              law.latency_ratio_max * in.latency_baseline.value_or(absl::ZeroDuration()) + law.latency_slack};
    case LimitCause::kVetoMemory:
      return {"the memory stall share", in.memory_full_ratio.value_or(0), law.memory_full_ratio_max};
    case LimitCause::kVetoIo:
      return {"the io stall share", in.io_full_ratio.value_or(0), law.io_full_ratio_max};
    case LimitCause::kVetoPlateau:
      return {"the correlation of work and throughput", in.work_throughput_correlation.value_or(0),
              kPlateauCorrelation};
    default:
      return {};
  }
}

Reason ReasonOf(const Node& node, const LimitInputs& in, const LimitPolicy& law, const LimitStep& step) {
  const auto& [before, answer] = step;
  const int64_t demand = in.open_count + in.waiting_count;
  switch (answer.cause) {
    case LimitCause::kDemand:
      return MakeReason(ReasonCode::kLimitDemand, node.id, demand, before, answer.limit_count, Rising(demand, answer));
    case LimitCause::kCeiling:
      return MakeReason(ReasonCode::kLimitCeiling, node.id, demand, answer.ceiling_count, CeilingName(answer.bound_by));
    case LimitCause::kVetoLatency:
    case LimitCause::kVetoMemory:
    case LimitCause::kVetoIo:
    case LimitCause::kVetoPlateau: {
      const Veto veto = VetoOf(answer.cause, in, law);
      return MakeReason(ReasonCode::kLimitVeto, node.id, demand, veto.name, veto.value, veto.bound);
    }
    case LimitCause::kCutUnhealthy: {
      const Veto veto = VetoOf(HealthVeto(law, in).value_or(LimitCause::kSteady), in, law);
      return MakeReason(ReasonCode::kLimitCut, node.id, before, answer.limit_count, veto.name);
    }
    case LimitCause::kRestore:
      return MakeReason(ReasonCode::kLimitRestore, node.id, before, answer.limit_count);
    case LimitCause::kDecay:
      return MakeReason(ReasonCode::kLimitDecay, node.id, before, answer.limit_count);
    case LimitCause::kRollBack:
      return MakeReason(ReasonCode::kLimitRollBack, node.id, before, answer.limit_count);
    case LimitCause::kSteady:
      break;
  }
  return {};
}

// Whether limits may fall: an operator's hold and a failing journal both say no.
bool MayLower(const State& state, absl::Time now) {
  return !HeldDown(state, now) && state.journal_error.empty();
}

// As far as whoever holds the slots has said.
int64_t InForce(const Node& node) {
  return node.LimitCount() + node.behind.quiet_count;
}

// What a node may use already, whatever it was granted: the budget counts it until the node confirms less.
int64_t Committed(const Node& node) {
  return std::max({node.granted_count, node.passed_count, InForce(node), node.OpenCount()});
}

// What it was told to use.
int64_t Told(const Node& node) {
  return node.granted_count > 0 ? node.granted_count : node.LimitCount();
}

bool IdleTimeoutMoved(absl::Duration granted, absl::Duration wanted, absl::Duration configured) {
  if (granted == wanted) return false;
  const absl::Duration apart = granted > wanted ? granted - wanted : wanted - granted;
  return wanted == configured || apart > granted / 5;
}

// What the node itself is told. Where a balancer holds the slots, its limit is not the node's: the node only must not
// become the narrower of the two.
int64_t CountAtNode(const Node& node, int64_t limit_count, SlotPlace place, const Policy& policy) {
  if (place == SlotPlace::kNode) return limit_count;
  return std::max(node.hello.configured_count_max, limit_count + policy.limits.law.reserve_count);
}

// A server that clamped a grant knows a ceiling of its own better than anybody else.
void LearnClamp(Node& node) {
  const LimitsInForce& in_force = node.report.limits;
  const bool clamped = in_force.grant_id == node.grant_id && node.granted_count > 0 && !in_force.bound_by.empty() &&
                       in_force.connection_count_max < node.granted_count;
  if (!clamped) return;
  node.hello.fd_count_max = in_force.connection_count_max;
  node.limit.limit_count = node.limit.wanted_count = in_force.connection_count_max;
}

bool HoldsSlots(const Balancer& balancer) {
  return std::any_of(balancer.words.begin(), balancer.words.end(),
                     [](const auto& entry) { return entry.second.holds_slots; });
}

// Balancers may be about to list it: a server with an address is listed within seconds once it serves. One that is not
// by then, or is granted less than it came with, holds its own slots.
bool AwaitedAtBalancers(const Node& node, absl::Time now) {
  constexpr absl::Duration kListedWithin = absl::Minutes(1);
  if (node.state != NodeState::kServing || !node.connected || node.hypothetical || node.hello.address.empty())
    return false;
  return now - node.state_since < kListedWithin && node.LimitCount() >= node.hello.configured_count_max;
}

}  // namespace

// What the law wants of one node.
struct LimitPlanner::Proposal {
  Node* node;
  int64_t before;
  LimitAnswer answer;
  Reason reason;  // kNone: nothing changes
};

// Leases are renewed after a third of their length, and not all in one tick: what was granted in one tick would come
// back in one for ever, and a tick of 10,000 grants takes twice as long as one of none.
constexpr size_t kRenewalTicks = 8;
constexpr size_t kFew = 16;

// A node that is cut off keeps its grant beyond the lease. One that is not back after so long is dead, and what it was
// known to have is reserved as before.
constexpr absl::Duration kUnheardMax = absl::Hours(1);

LimitPlanner::LimitPlanner(State& state, const Policy& policy, absl::Time now)
    : state_(state),
      policy_(policy),
      now_(now),
      active_bucket_(WindowedMax::Bucket(now, Node::kActivePeakWindow)),
      open_bucket_(WindowedMax::Bucket(now, policy.limits.peak_window)),
      renewals_left_(1 + state.fleet.nodes().size() / kRenewalTicks) {}

LimitPlanner::~LimitPlanner() = default;

void LimitPlanner::Add(Node& node) {
  if (!policy_.limits.enabled) return;
  reserved_count_ += node.behind.silent_count;  // the agent is gone; its proxy may let as many through as before
  if (node.unheard) {
    unheard_count_ += Committed(node);
    awaits_unheard_ |= now_ - node.last_report_at < kUnheardMax;
  }
  if (node.behind.holds_slots) {
    slots_usual_count_ = std::max(slots_usual_count_, node.ConfiguredCount());
  } else if (AwaitedAtBalancers(node, now_)) {
    ++unlisted_nodes_;
    unlisted_count_ += Committed(node);
  }
  if (!node.IsSteerable()) {
    // Whatever became of it, what it was granted it may still use.
    if (!node.hypothetical) reserved_count_ += Committed(node);
    return;
  }
  LearnClamp(node);
  if (node.foreign_since != absl::InfinitePast()) {
    plan_.alarms.push_back(MakeReason(ReasonCode::kAlarmForeignWriter, node.id, node.report.limits.connection_count_max,
                                      node.granted_count));
  }
  Proposal proposal = Propose(node);
  if (policy_.limits.budget_count > 0)
    proposals_.push_back(std::move(proposal));
  else
    Conclude(std::move(proposal));
}

LimitPlan LimitPlanner::Finish() && {
  ApplyBudget();
  for (Proposal& proposal : proposals_) Conclude(std::move(proposal));
  return std::move(plan_);
}

// Whoever holds the slots has not spoken for a while.
bool LimitPlanner::IsSilent(const Node& node) const {
  return now_ - node.news_at() > policy_.control.silent_after;
}

LimitPlanner::Proposal LimitPlanner::Propose(Node& node) {
  if (node.limit.limit_count == 0)
    node.limit.limit_count = node.LimitCount();  // adopt what is in force, never a default
  const int64_t before = node.limit.limit_count;
  LimitInputs in = InputsOf(node, {active_bucket_, open_bucket_}, now_);
  const LimitMemory memory = node.limit;
  // A stream that broke and came back does not make old news of its last report new.
  const bool news = !IsSilent(node) && node.news_at() > node.limit_stepped_at;
  in.health_is_new = node.reported_at > node.limit_stepped_at;
  if (news) {
    node.limit_stepped_at = std::max(node.news_at(), node.reported_at);
    if (now_ - node.reported_at > policy_.control.silent_after) ForgetHealth(in);
  }
  const LimitPolicy& law = policy_.limits.law;
  LimitAnswer answer = news ? NextLimit(law, in, node.limit, now_) : KeepLimit(law, in, node.limit, now_);
  Reason reason = ReasonOf(node, in, law, {before, answer});
  if (node.fixed.count > 0 && node.fixed.until > now_) {
    answer = Overruled(law, in, answer, node.fixed.count);
    reason = MakeReason(ReasonCode::kLimitFixed, node.id, node.fixed.count);
  } else if ((answer.limit_count > before && HeldUp(state_, now_)) ||
             (answer.limit_count < before && !MayLower(state_, now_))) {
    node.limit = memory;
    answer = Overruled(law, in, answer, before);
    reason = {};
  }
  node.limit.limit_count = node.limit.wanted_count = answer.limit_count;
  return {&node, before, answer, std::move(reason)};
}

// Balancers that hold the slots give to one that they do not know yet as many as to the others in the beginning.
int64_t LimitPlanner::UnlistedCount() const {
  if (slots_usual_count_ == 0) return 0;
  return std::max<int64_t>(0, unlisted_nodes_ * slots_usual_count_ - unlisted_count_);
}

// What those may hold, beyond what is known of them, that have not been heard since the controller restarted: the last
// grants of the one before may be written nowhere. It kept the budget, so what the others were found with is not
// theirs.
int64_t LimitPlanner::UnheardCount() const {
  bool holds = false, unheard = false, unwritten = false;
  for (const auto& [id, balancer] : state_.fleet.balancers()) {
    holds |= HoldsSlots(balancer);
    unheard |= balancer.unheard && HoldsSlots(balancer);
    unwritten |= balancer.unheard && balancer.words.empty();
  }
  if (holds && unwritten) return policy_.limits.budget_count;  // what it holds may be anything
  if (!awaits_unheard_ && !unheard) return 0;
  return std::max<int64_t>(0, policy_.limits.budget_count - state_.fleet.adopted_count() - unheard_count_);
}

// One node's share, of what is free and of what it has. More than it was told takes room, be it that it has not
// confirmed to have less: while more is in use than there is, nobody is told to use more, not even what it was told
// before and has not taken.
int64_t LimitPlanner::ShareOf(const Proposal& proposal, const BudgetClaim& claim, int64_t fair, int64_t& free) const {
  const Node& node = *proposal.node;
  const int64_t taken = std::max(InForce(node), claim.floor_count);
  const int64_t held = free < 0 ? std::min(Told(node), taken) : Committed(node);
  const int64_t grown = std::clamp<int64_t>(fair - held, 0, std::max<int64_t>(0, free));
  free -= grown;
  // What works is never cut off, whatever others hold: a node keeps its floor as far as it has it.
  const int64_t kept = std::min(claim.floor_count, held);
  return std::max(kept, std::min(fair, held + grown));
}

// Shrink -> confirm -> grow: nobody grows into room that another still holds. A lost node's share stays reserved until
// the provider says that its machine is gone.
void LimitPlanner::ApplyBudget() {
  const int64_t budget = policy_.limits.budget_count;
  if (proposals_.empty()) return;
  std::vector<BudgetClaim> claims;
  int64_t floors = 0, committed = 0;
  for (const Proposal& proposal : proposals_) {
    // What a silent one needs is not known: it keeps what it has.
    const int64_t needed = IsSilent(*proposal.node)
                               ? Told(*proposal.node)
                               : proposal.node->report.active_count + policy_.limits.law.reserve_count;
    const int64_t floor = std::min(proposal.answer.limit_count, needed);
    claims.push_back({1.0, floor, proposal.answer.limit_count});
    floors += floor;
    committed += Committed(*proposal.node);
  }
  const int64_t sharable = std::max<int64_t>(0, budget - reserved_count_ - UnlistedCount());
  const BudgetShares shares = ShareBudget(sharable, claims);
  if (!shares.floors_fit) plan_.alarms.push_back(MakeReason(ReasonCode::kAlarmFloorsExceedBudget, floors, budget));
  int64_t free = sharable - UnheardCount() - committed;
  for (size_t i = 0; i < proposals_.size(); ++i) {
    Proposal& proposal = proposals_[i];
    const int64_t wanted = proposal.answer.limit_count;
    const int64_t share = ShareOf(proposal, claims[i], shares.counts[i], free);
    if (share == wanted) continue;
    proposal.answer = Overruled(policy_.limits.law, PressureOf(*proposal.node), proposal.answer, share);
    proposal.answer.bound_by = Ceiling::kBudget;
    proposal.node->limit.limit_count = share;
    proposal.reason = MakeReason(ReasonCode::kLimitBudget, proposal.node->id, wanted, share, budget);
  }
}

// At half its length a lease is renewed however many there are.
bool LimitPlanner::RenewalIsDue(const Node& node) {
  const absl::Duration age = now_ - node.granted_at, lease = policy_.limits.lease;
  if (age < lease / 3 || (renewals_left_ == 0 && age < lease / 2)) return false;
  if (renewals_left_ > 0) --renewals_left_;
  return true;
}

// In a surge every node gets a word at once; growing step by step would move them all several times.
template <typename Value>
void LimitPlanner::Push(std::vector<Value>& values, Value value) {
  if (values.size() == kFew) values.reserve(state_.fleet.nodes().size());
  values.push_back(std::move(value));
}

void LimitPlanner::Conclude(Proposal proposal) {
  const LimitAnswer& answer = proposal.answer;
  const bool bound = answer.cause == LimitCause::kCeiling || answer.bound_by == Ceiling::kBudget;
  const bool vetoed = answer.cause >= LimitCause::kVetoLatency && answer.cause <= LimitCause::kVetoPlateau;
  if (answer.limit_count != proposal.before || bound || vetoed) {
    Push(plan_.decisions, LimitDecision{proposal.node->id, proposal.before, answer.limit_count, answer.idle_timeout,
                                        answer.bound_by, proposal.reason});
  }
  if (answer.cause == LimitCause::kCeiling) {
    plan_.alarms.push_back(
        MakeReason(ReasonCode::kAlarmCeiling, proposal.node->id, CeilingName(answer.bound_by), answer.ceiling_count));
  }
  Grant(std::move(proposal));
}

void LimitPlanner::Grant(Proposal proposal) {
  Node& node = *proposal.node;
  const LimitAnswer& answer = proposal.answer;
  const bool first = node.granted_count == 0;
  const bool limit_moved = answer.limit_count != (first ? node.LimitCount() : node.granted_count);
  const bool idle_moved = IdleTimeoutMoved(first ? node.hello.configured_idle_timeout : node.granted_idle_timeout,
                                           answer.idle_timeout, node.hello.configured_idle_timeout);
  if (!limit_moved && !idle_moved && !first && !RenewalIsDue(node)) return;
  if (idle_moved || first) node.granted_idle_timeout = answer.idle_timeout;
  node.Granted(++state_.grant_sequence, answer.limit_count, now_);
  GrantLimits grant;
  grant.grant_id = node.grant_id;
  const bool at_balancers = node.behind.holds_slots || (slots_usual_count_ > 0 && AwaitedAtBalancers(node, now_));
  grant.connection_count_max =
      CountAtNode(node, answer.limit_count, at_balancers ? SlotPlace::kBalancer : SlotPlace::kNode, policy_);
  grant.idle_timeout = node.granted_idle_timeout;
  grant.lease = policy_.limits.lease;
  grant.floor_count = policy_.limits.law.floor_count;
  // Alone, a node may not take more of a shared budget than it was last granted.
  grant.ceiling_count = policy_.limits.budget_count > 0 ? grant.connection_count_max
                                                        : std::max(answer.ceiling_count, grant.connection_count_max);
  grant.renewal = !limit_moved && !idle_moved;
  Reason reason = proposal.reason.code == ReasonCode::kNone
                      ? MakeReason(ReasonCode::kLimitRenewed, node.id, answer.limit_count)
                      : std::move(proposal.reason);
  Push(plan_.actions, Action{"", state_.term, node.id, std::move(reason), grant});
}

std::vector<Action> PlanRebalance(State& state, const FleetSummary& summary, const Policy& policy, absl::Time now) {
  constexpr absl::Duration kPause = absl::Seconds(2), kYoung = absl::Minutes(1), kIdle = absl::Milliseconds(500);
  constexpr double kPoor = 0.7, kRich = 1.1, kShare = 0.2;
  std::vector<Action> actions;
  const bool settled = now - summary.newest_at >= kYoung;
  if (!policy.limits.enabled || summary.serving < 2 || settled || now - state.scale.shed_at < kPause) return actions;
  const double fair = static_cast<double>(summary.open) / summary.serving;
  const auto& nodes = state.fleet.nodes();
  const bool poor = std::any_of(nodes.begin(), nodes.end(), [&](const auto& entry) {
    const Node& node = entry.second;
    return node.IsSteerable() && node.state == NodeState::kServing && now - node.state_since < kYoung &&
           static_cast<double>(node.OpenCount()) < kPoor * fair;
  });
  if (!poor) return actions;
  for (const auto& [id, node] : nodes) {
    const auto open = static_cast<double>(node.OpenCount());
    if (!node.IsSteerable() || !node.Can("shed") || node.state != NodeState::kServing || open <= kRich * fair) continue;
    const auto count = static_cast<int64_t>(std::min(open - fair, kShare * open));
    if (count < 1) continue;
    actions.push_back({"", state.term, id, MakeReason(ReasonCode::kShedRebalance, id, count, node.OpenCount(), fair),
                       ShedConnections{count, kIdle}});
  }
  if (!actions.empty()) state.scale.shed_at = now;
  return actions;
}

}  // namespace headroom
