#include "tests/swarm/plan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace headroom::swarm {
namespace {

absl::Duration SecondsBetween(sim::Random& random, double low, double high) {
  return absl::Milliseconds(static_cast<int64_t>(1000 * Between(random, low, high)));
}

void DrawWindows(Policy& policy, sim::Random& random) {
  NodePolicy& nodes = policy.nodes;
  nodes.stabilization = SecondsBetween(random, 10, 60);
  nodes.cooldown = SecondsBetween(random, 10, 120);
  nodes.remove_count_max = Between(random, 1, 3);
  nodes.growth_ratio_max = Between(random, 1.2, 4.0);
  nodes.lead_time = SecondsBetween(random, 5, 40);
  nodes.drain_timeout = SecondsBetween(random, 20, 90);
  nodes.launch_timeout = SecondsBetween(random, 60, 120);
  nodes.restart_grace = SecondsBetween(random, 5, 40);
  nodes.launch_failures_max = Between(random, 1, 4);
  nodes.launch_backoff = SecondsBetween(random, 2, 15);
}

void DrawLimits(Policy& policy, sim::Random& random) {
  FleetLimitPolicy& limits = policy.limits;
  limits.enabled = Chance(random, 0.9);
  limits.law.floor_count = Between(random, 4, 32);
  limits.law.ceiling_count = Between(random, 500, 2000);
  limits.law.reserve_count = Between(random, 1, 16);
  limits.law.decay_after = SecondsBetween(random, 10, 40);
  limits.law.decay_half_life = SecondsBetween(random, 10, 30);
  limits.law.watch = SecondsBetween(random, 10, 60);
  limits.peak_window = SecondsBetween(random, 20, 90);
  limits.lease = SecondsBetween(random, 6, 30);
}

void DrawSignals(Policy& policy, sim::Random& random) {
  if (Chance(random, 0.5)) policy.connections.per_node_count = Between(random, 100, 250);
  policy.connections.target_ratio = Between(random, 0.5, 0.85);
  if (Chance(random, 0.25)) {
    policy.throughput.bytes_per_second_per_node = Between(random, 100'000, 250'000);
  }
  if (Chance(random, 0.2)) policy.latency.objective = absl::Milliseconds(200);
  policy.forecast.enabled = Chance(random, 0.7);
  policy.anomaly.enabled = Chance(random, 0.8);
  policy.anomaly.hold = SecondsBetween(random, 10, 120);
}

void DrawControl(Policy& policy, sim::Random& random) {
  ControlPolicy& control = policy.control;
  control.tick = SecondsBetween(random, 0.5, 2);
  control.urgent_tick = absl::Milliseconds(Between(random, 50, 300));
  control.silent_after = SecondsBetween(random, 3, 6);
  control.lost_after = SecondsBetween(random, 8, 30);
  control.quorum_ratio = Between(random, 0.6, 0.95);
  control.list_interval = SecondsBetween(random, 5, 20);
  control.baseline_window = SecondsBetween(random, 20, 120);
  control.deploy_window = absl::Minutes(1);
}

// By a generator of its own: a seed keeps its cluster when there is more to draw.
void DrawMemories(Policy& policy, uint64_t seed) {
  sim::Random random(seed * 0x9e3779b97f4a7c15 + 2);
  if (Chance(random, 0.5)) policy.nodes.paid_min = SecondsBetween(random, 10, 120);
  policy.limits.law.bad_memory = SecondsBetween(random, 20, 200);
}

Hazards DrawHazards(sim::Random& random) {
  Hazards hazards;
  for (bool* hazard : {&hazards.reports, &hazards.streams, &hazards.orders, &hazards.provider, &hazards.crashes,
                       &hazards.disk, &hazards.clock, &hazards.foreigners, &hazards.operators, &hazards.policies,
                       &hazards.restarts, &hazards.deaths, &hazards.partitions, &hazards.errors, &hazards.balancers}) {
    *hazard = Chance(random, 0.4);
  }
  return hazards;
}

void DrawWorld(Plan& plan, sim::Random& random) {
  WorldSettings& world = plan.world;
  world.seed = plan.seed;
  world.start = absl::FromUnixSeconds(1'700'000'000);
  world.zones = plan.policy.nodes.zones;
  world.boot = SecondsBetween(random, 3, 25);
  world.idle_timeout = Chance(random, 0.9) ? absl::Seconds(30) : absl::ZeroDuration();
  world.initial_count = Between(random, plan.policy.nodes.min, plan.policy.nodes.max + (Chance(random, 0.1) ? 2 : 0));
  const int kind = Between(random, 0, 9);
  world.balancing = kind < 5 ? Balancing::kNone : kind < 7 ? Balancing::kConnections : Balancing::kRequests;
  world.balancers = world.balancing == Balancing::kNone ? 0 : Between(random, 1, 2);
}

}  // namespace

absl::Duration Plan::ConvergesWithin() const {
  const NodePolicy& nodes = policy.nodes;
  // Nodes leave one after the other, the last of them after eight windows, the one before after a quarter of that.
  constexpr int kWindows = 15;
  const absl::Duration removal = nodes.cooldown + nodes.drain_timeout + absl::Seconds(10);
  return absl::Minutes(12) + kWindows * nodes.stabilization + nodes.launch_timeout + nodes.max * removal;
}

Plan DrawPlan(uint64_t seed) {
  sim::Random random(seed * 0x9e3779b97f4a7c15 + 1);
  Plan plan;
  plan.seed = seed;
  plan.hazards = DrawHazards(random);
  Policy& policy = plan.policy;
  policy.cluster = "swarm";
  policy.mode = Chance(random, 0.9) ? Mode::kLive : Mode::kDryRun;
  policy.nodes.min = Between(random, 1, 4);
  policy.nodes.max = policy.nodes.min + Between(random, 1, 8);
  if (Chance(random, 0.12)) policy.nodes.data = DataPlacement::kBearing;
  if (Chance(random, 0.25)) policy.nodes.data_floor = Between(random, 1, policy.nodes.max);
  for (int zone = Chance(random, 0.4) ? Between(random, 2, 3) : 0; zone > 0; --zone) {
    policy.nodes.zones.push_back(absl::StrCat("zone-", zone));
  }
  DrawWindows(policy, random);
  DrawLimits(policy, random);
  DrawSignals(policy, random);
  DrawControl(policy, random);
  DrawMemories(policy, seed);
  DrawWorld(plan, random);
  if (Chance(random, 0.3)) {
    const auto configured = static_cast<double>(plan.world.connection_limit * policy.nodes.max);
    policy.limits.budget_count = static_cast<int64_t>(configured * Between(random, 1.0, 1.6));
  }
  plan.reports_are_journalled = Chance(random, 0.7);
  const double one = NodesNeeded(policy, plan.world, 1);
  plan.demand_high = policy.nodes.max * Between(random, 0.5, 1.4) / one;
  plan.demand_calm = policy.nodes.max * Between(random, 0.05, 0.95) / one;
  plan.hostile = SecondsBetween(random, 180, 600);
  return plan;
}

Policy Redraw(Policy policy, sim::Random& random) {
  switch (Between(random, 0, 3)) {
    case 0:
      DrawWindows(policy, random);
      break;
    case 1:
      DrawLimits(policy, random);
      break;
    case 2:
      DrawControl(policy, random);
      break;
    default:
      policy.nodes.min = Between(random, 1, policy.nodes.max);
  }
  return policy;
}

sim::ControlFaultSettings DrawFaults(const Hazards& hazards, sim::Random& random) {
  sim::ControlFaultSettings faults;
  const auto some = [&random](double most) { return Chance(random, 0.5) ? Between(random, 0.0, most) : 0.0; };
  if (hazards.reports) {
    faults.report_lost_ratio = Chance(random, 0.1) ? 1 : some(0.6);
    faults.report_late_ratio = some(0.5);
    faults.report_twice_ratio = some(0.3);
    faults.report_forged_ratio = some(0.3);
  }
  if (hazards.streams) {
    faults.hello_late_ratio = some(0.8);
    faults.leave_late_ratio = some(0.8);
  }
  if (hazards.orders) faults.order_lost_ratio = some(0.7);
  if (hazards.provider) {
    faults.call_refused_ratio = Chance(random, 0.15) ? 1 : some(0.7);
    faults.stock_out_ratio = Chance(random, 0.15) ? 1 : some(0.7);
    faults.answer_lost_ratio = some(0.5);
    faults.call_max = SecondsBetween(random, 1, 60);
  }
  faults.late_max = SecondsBetween(random, 1, 30);
  return faults;
}

double NodesNeeded(const Policy& policy, const WorldSettings& world, double connections) {
  const int64_t per_node =
      policy.connections.per_node_count > 0 ? policy.connections.per_node_count : world.connection_limit;
  double nodes = connections / (static_cast<double>(per_node) * policy.connections.target_ratio);
  if (const int64_t bytes = policy.throughput.bytes_per_second_per_node; bytes > 0) {
    nodes = std::max(nodes, connections * world.bytes_per_connection /
                                (static_cast<double>(bytes) * policy.throughput.target_ratio));
  }
  return nodes;
}

std::string Describe(const Plan& plan) {
  const Hazards& hazards = plan.hazards;
  std::vector<std::string> all;
  const auto name = [&all](bool has, const char* what) {
    if (has) all.emplace_back(what);
  };
  name(hazards.reports, "reports");
  name(hazards.streams, "streams");
  name(hazards.orders, "orders");
  name(hazards.provider, "provider");
  name(hazards.crashes, "crashes");
  name(hazards.disk, "disk");
  name(hazards.clock, "clock");
  name(hazards.foreigners, "foreigners");
  name(hazards.operators, "operators");
  name(hazards.policies, "policies");
  name(hazards.restarts, "restarts");
  name(hazards.deaths, "deaths");
  name(hazards.partitions, "partitions");
  name(hazards.errors, "errors");
  name(hazards.balancers, "balancers");
  const NodePolicy& nodes = plan.policy.nodes;
  return absl::StrCat("mode ", plan.policy.mode == Mode::kLive ? "live" : "dry_run", ", nodes ", nodes.min, "..",
                      nodes.max, " from ", plan.world.initial_count, ", data floor ", nodes.data_floor,
                      nodes.data == DataPlacement::kBearing ? " bearing" : "", ", zones ", nodes.zones.size(),
                      ", balancers ", plan.world.balancers,
                      plan.world.balancing == Balancing::kRequests ? " with slots" : "", ", budget ",
                      plan.policy.limits.budget_count, ", demand up to ", plan.demand_high, ", then ", plan.demand_calm,
                      "; hazards: ", absl::StrJoin(all, " "));
}

}  // namespace headroom::swarm
