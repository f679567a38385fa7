#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "tests/swarm/hostile_run.h"

// What happens to the cluster, and how it must end.

namespace headroom::swarm {
namespace {

// The chance within one step of what happens every `mean` on average.
double Every(absl::Duration mean) {
  return absl::FDivDuration(World::kStep, mean);
}

}  // namespace

std::string WhyOf(const Decision& decision) {
  std::string why;
  for (const Demand& demand : decision.demands) absl::StrAppend(&why, "; ", RenderReason(demand.reason));
  for (const Verdict& verdict : decision.verdicts) {
    absl::StrAppend(&why, "; ", verdict.guard, ": ", RenderReason(verdict.reason));
  }
  for (const LimitDecision& limit : decision.limits) absl::StrAppend(&why, "; ", RenderReason(limit.reason));
  if (decision.diagnosis.cause != Cause::kNone) absl::StrAppend(&why, "; ", RenderReason(decision.diagnosis.reason));
  return why;
}

NodeId HostileRun::AnyServer() {
  const auto& servers = world_.servers();
  if (servers.empty()) return "";
  return std::next(servers.begin(), sim::Index(random_, static_cast<uint32_t>(servers.size())))->first;
}

// Demand goes where it wants to, in jumps and in slopes.
void HostileRun::Wander() {
  if (hostile_ && Chance(random_, Every(absl::Seconds(40)))) {
    demand_goal_ = plan_.demand_high * Between(random_, 0.0, 1.0);
    if (Chance(random_, 0.4)) world_.SetDemand(demand_goal_);
  }
  const double demand = world_.demand();
  world_.SetDemand(demand + std::clamp(demand_goal_ - demand, -plan_.demand_high * 0.02, plan_.demand_high * 0.02));
}

void HostileRun::Trouble() {
  if (Chance(random_, Every(absl::Seconds(40)))) {
    const bool some = Chance(random_, 0.7);
    faults_.Set(some ? DrawFaults(plan_.hazards, random_) : sim::ControlFaultSettings());
  }
  TroubleController();
  if (!world_.servers().empty()) TroubleCluster();
  if (plan_.hazards.foreigners && Chance(random_, Every(absl::Seconds(60)))) Meddle();
  if (plan_.hazards.operators && loop_ != nullptr && Chance(random_, Every(absl::Seconds(40)))) Command();
}

void HostileRun::TroubleController() {
  const Hazards& hazards = plan_.hazards;
  if (hazards.crashes && Chance(random_, Every(absl::Seconds(100)))) {
    Crash();
    const bool other_mode = plan_.policy.mode == Mode::kDryRun && Chance(random_, 0.3);
    if (other_mode) policy_.mode = policy_.mode == Mode::kLive ? Mode::kDryRun : Mode::kLive;
  }
  if (hazards.disk && Chance(random_, Every(absl::Seconds(60)))) {
    TellDisk(!disk_fails_ && Chance(random_, 0.7) ? absl::ResourceExhaustedError("the disk is full")
                                                  : absl::OkStatus());
  }
  if (hazards.clock && Chance(random_, Every(absl::Seconds(100)))) {
    const bool set_right = clock_behind_ > absl::ZeroDuration() && Chance(random_, 0.4);
    clock_behind_ = set_right ? absl::ZeroDuration() : clock_behind_ + absl::Seconds(Between(random_, 1, 300));
    Line(absl::StrCat("the clock is ", absl::FormatDuration(clock_behind_), " behind"));
    wake_ = now_;
  }
  if (hazards.policies && loop_ != nullptr && Chance(random_, Every(absl::Seconds(80)))) {
    policy_ = Redraw(policy_, random_);
    Line("the policy changes");
    Post(PolicyChanged{policy_});
  }
}

void HostileRun::TroubleCluster() {
  const Hazards& hazards = plan_.hazards;
  const auto happens = [this](bool hazard, absl::Duration mean) { return hazard && Chance(random_, Every(mean)); };
  if (happens(hazards.restarts, absl::Seconds(50))) {
    const NodeId node = AnyServer();
    Line(absl::StrCat(node, " restarts"));
    world_.Restart(node, absl::Seconds(Between(random_, 1, 60)));
  }
  if (happens(hazards.deaths, absl::Seconds(120))) {
    const NodeId node = AnyServer();
    Line(absl::StrCat(node, " dies"));
    world_.Kill(node);
  }
  if (happens(hazards.partitions, absl::Seconds(60))) {
    const bool all = Chance(random_, 0.2);
    const absl::Time until = now_ + absl::Seconds(Between(random_, 1, 60));
    for (const auto& [id, server] : world_.servers()) {
      if (!all && !Chance(random_, 0.3)) continue;
      Line(absl::StrCat(id, " is cut off"));
      world_.Partition(id, until);
    }
  }
  if (happens(hazards.errors, absl::Seconds(60))) {
    const NodeId node = AnyServer();
    world_.SetErrors(node, Chance(random_, 0.5) ? Between(random_, 0.0, 0.3) : 0);
  }
  if (!world_.balancers().empty() && happens(hazards.balancers, absl::Seconds(90))) {
    Line("a balancer restarts");
    world_.RestartBalancer(sim::Index(random_, static_cast<uint32_t>(world_.balancers().size())));
  }
}

// Somebody else works on the same cluster.
void HostileRun::Meddle() {
  const NodeId node = AnyServer();
  switch (Between(random_, 0, 3)) {
    case 0:
      if (node.empty()) return;
      Line(absl::StrCat("somebody else terminates ", node));
      return world_.Terminate(node);
    case 1: {
      const auto& zones = policy_.nodes.zones;
      const NodeId launched = world_.Launch("", zones.empty() ? "" : zones.front(), World::Boots::kWell);
      return Line(absl::StrCat("somebody else launches ", launched));
    }
    case 2:
      if (node.empty()) return;
      Line(absl::StrCat("somebody else sets the limit of ", node));
      return world_.SetLimitByHand(node, Between(random_, 10, 400));
    default:
      if (node.empty()) return;
      const bool drain = hand_drained_.insert(node).second;
      if (!drain) hand_drained_.erase(node);
      Line(absl::StrCat("somebody else ", drain ? "drains " : "takes back ", node));
      world_.DrainByHand(node, drain);
  }
}

void HostileRun::Command() {
  const absl::Time until = CoreNow() + absl::Seconds(Between(random_, 10, 120));
  const NodeId node = AnyServer();
  switch (Between(random_, 0, 5)) {
    case 0: {
      const HoldChanged hold{static_cast<HoldDirection>(Between(random_, 0, 3)), until, "swarm", "operator"};
      if (hold.direction == HoldDirection::kNone) {
        orders_.holds.clear();
      } else {
        std::erase_if(orders_.holds, [&](const HoldChanged& old) { return old.direction == hold.direction; });
        orders_.holds.push_back(hold);
      }
      Line(absl::StrCat("hold ", static_cast<int>(hold.direction)));
      return Post(hold);
    }
    case 1: {
      OverrideSet set{.until = until, .reason = "swarm", .actor = "operator"};
      const int kind = Between(random_, 0, 3);
      if (kind == 1) set.nodes = Between(random_, 1, policy_.nodes.max);
      if (kind == 2) set.nodes_min = Between(random_, 1, policy_.nodes.max);
      if (kind == 3) set.nodes_max = Between(random_, policy_.nodes.min, policy_.nodes.max);
      orders_.override_set = set;
      Line(absl::StrCat("override nodes ", set.nodes, " min ", set.nodes_min, " max ", set.nodes_max));
      return Post(set);
    }
    case 2: {
      const NodeLimitFixed fixed{node, Chance(random_, 0.5) ? Between(random_, 20, 400) : 0, until, "swarm",
                                 "operator"};
      if (node.empty()) return;
      orders_.fixed[node] = fixed;
      Line(absl::StrCat("fixes ", node, " at ", fixed.limit_count));
      return Post(fixed);
    }
    case 3: {
      const bool pin = Chance(random_, 0.5);
      if (node.empty() || !heard_[node].is_told) return;
      pin ? (void)orders_.pinned.insert(node) : (void)orders_.pinned.erase(node);
      Line(absl::StrCat(pin ? "pins " : "unpins ", node));
      return Post(NodePinned{node, pin, "swarm", "operator"});
    }
    default: {
      const bool drain = !orders_.drained.contains(node) && Chance(random_, 0.6);
      if (node.empty() || !heard_[node].is_told) return;
      drain ? (void)orders_.drained.insert(node) : (void)orders_.drained.erase(node);
      Line(absl::StrCat(drain ? "drains " : "takes back ", node));
      return Post(DrainRequested{node, drain, "swarm", "operator"});
    }
  }
}

// The faults stop, and whoever has ordered anything takes it back.
void HostileRun::MakeWell() {
  Line("all is made well");
  hostile_ = false;
  demand_goal_ = plan_.demand_calm;
  faults_.Set({});
  TellDisk(absl::OkStatus());
  for (const NodeId& node : hand_drained_) {
    if (world_.servers().contains(node)) world_.DrainByHand(node, false);
  }
  world_.Heal();
  if (plan_.policy.mode == Mode::kLive) policy_.mode = Mode::kLive;
  restart_at_ = std::min(restart_at_, now_);
  AdvanceTo(now_ + absl::Seconds(5));
  if (loop_ == nullptr) return;
  policy_ = plan_.policy;
  Post(PolicyChanged{policy_});
  if (!policy_.limits.enabled) world_.LeaveLimits();
  Post(HoldChanged{});
  Post(OverrideSet{});
  for (const auto& [id, server] : world_.servers()) {
    Post(NodeLimitFixed{.node = id});
    Post(NodePinned{.node = id, .pinned = false});
    Post(DrainRequested{.node = id, .drain = false});
  }
  orders_ = {};
}

// The largest fleet that may want to be no smaller: with the slack that projection keeps, and a connection for each
// sum of whole numbers that is told.
int HostileRun::MostNeeded(double need) const {
  constexpr double kSlack = 1.1;
  const size_t sums = std::max<size_t>(1, world_.balancers().size());
  const double rounding = NodesNeeded(policy_, world_.settings(), static_cast<double>(sums));
  return static_cast<int>(std::ceil((need + rounding) * kSlack));
}

// A machine that never spoke is a person's to remove where nodes bear data. One that somebody else launched and that no
// list of the provider ever named is nobody's to deny: its name is kept for a day.
bool HostileRun::IsExcused(const Reason& alarm) const {
  if (alarm.code == ReasonCode::kAlarmLaunchStuck) return policy_.nodes.data == DataPlacement::kBearing;
  if (alarm.code != ReasonCode::kAlarmNodeLost) return false;
  const auto& node = std::get<std::string>(alarm.arguments.front());
  return nobodys_.contains(node) && !world_.servers().contains(node);
}

// That the controller can have any reason to know: those that it was ever told of, and launches; in the end, when all
// lists have been read, the machines that are there.
size_t HostileRun::MostNodes() const {
  size_t most = world_.servers().size();
  for (const auto& [node, heard] : heard_) {
    const bool is_gone = !world_.servers().contains(node);
    if (is_gone && (!over_ || nobodys_.contains(node))) ++most;
  }
  return over_ ? most : most + 2 * static_cast<size_t>(plan_.policy.nodes.max);
}

// What is missing until the cluster is what its load needs; nothing: it is.
std::optional<std::string> HostileRun::NotYet() const {
  if (loop_ == nullptr || loop_->Latest() == nullptr) return "no controller";
  const Decision& last = *loop_->Latest();
  if (policy_.mode != Mode::kLive) return std::nullopt;
  const double need = NodesNeeded(policy_, world_.settings(), world_.demand());
  const int least = std::max({static_cast<int>(std::ceil(need - 1e-9)), policy_.nodes.min, policy_.nodes.data_floor});
  const int most = std::max({MostNeeded(need), policy_.nodes.min, policy_.nodes.data_floor});
  int serving = 0, never_spoke = 0;
  for (const auto& [id, server] : world_.servers()) {
    if (server.boot == 0 && policy_.nodes.data == DataPlacement::kBearing) {
      ++never_spoke;  // a person decides what becomes of it, and it counts as a machine
      continue;
    }
    if (!server.Serves()) return absl::StrCat(id, server.IsUp() ? " drains" : " is not up");
    ++serving;
  }
  const std::string counts = absl::StrCat(serving, " nodes serve, ", least, " to ", most, " are needed");
  const bool too_many = policy_.nodes.data == DataPlacement::kGateway && serving > most;
  if (serving < std::min(least, policy_.nodes.max - never_spoke) || too_many) return absl::StrCat(counts, WhyOf(last));
  if (last.serving_count != serving) return absl::StrCat("it counts ", last.serving_count, " of ", serving, " serving");
  if (last.effective_count != serving) return absl::StrCat(last.effective_count, " count, ", serving, " serve");
  const bool stuck_is_said = std::any_of(last.alarms.begin(), last.alarms.end(), [](const Reason& alarm) {
    return alarm.code == ReasonCode::kAlarmLaunchStuck;
  });
  if (never_spoke > 0 && !stuck_is_said) return absl::StrCat(never_spoke, " never spoke, and no alarm says so");
  for (const Reason& alarm : last.alarms) {
    if (IsExcused(alarm)) continue;
    const bool wants_more = alarm.code == ReasonCode::kAlarmAtMax && most >= policy_.nodes.max;
    if (!wants_more) return absl::StrCat("alarm: ", RenderReason(alarm), WhyOf(last));
  }
  return LimitsNotYet();
}

std::optional<std::string> HostileRun::LimitsNotYet() const {
  if (!policy_.limits.enabled) return std::nullopt;
  int64_t sum = 0;
  for (const auto& [id, server] : world_.servers()) {
    if (!server.IsUp()) continue;
    const int64_t limit = server.limits.connection_count_max;
    if (world_.settings().balancing != Balancing::kRequests) sum += limit;
    if (server.limits.source != LimitSource::kGrant || server.lease_until <= now_)
      return absl::StrCat(id, " has no lease");
    if (server.queue > 0) return absl::StrCat(id, " has a queue of ", server.queue);
    if (server.open > static_cast<double>(limit)) return absl::StrCat(id, " has more open than its limit of ", limit);
    const int64_t configured = world_.settings().connection_limit;
    if (policy_.limits.budget_count == 0 && limit < configured)
      return absl::StrCat(id, " has a limit of ", limit, ", below the configured ", configured);
  }
  for (const BalancerProcess& balancer : world_.balancers()) {
    for (const auto& [id, entry] : balancer.servers) {
      if (world_.settings().balancing == Balancing::kRequests) sum += entry.session_count_max;
      if (entry.queue > 0) return absl::StrCat(balancer.id, " queues ", entry.queue, " for ", id);
      const bool is_gone = !world_.servers().contains(id) && !nobodys_.contains(id);
      if (is_gone) return absl::StrCat(balancer.id, " has ", id, ", which is gone");
    }
    for (const auto& [id, server] : world_.servers()) {
      if (server.IsUp() && !balancer.servers.contains(id)) return absl::StrCat(balancer.id, " lacks ", id);
    }
  }
  if (policy_.limits.budget_count > 0 && sum > policy_.limits.budget_count)
    return absl::StrCat("limits add up to ", sum, ", above the budget of ", policy_.limits.budget_count);
  return std::nullopt;
}

}  // namespace headroom::swarm
