#include "controller/sim/faults.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kForEver = absl::Hours(24 * 365);
constexpr absl::string_view kNames[] = {
    "slow_disk",  "busy_processor",  "software_errors", "packet_loss", "hot_node",    "imbalance",     "node_crash",
    "power_loss", "rolling_restart", "bad_deploy",      "client_leak", "retry_storm", "foreign_writer"};
static_assert(std::size(kNames) == std::variant_size_v<FaultKind>);

template <class Kind>
bool Is(const Fault& fault) {
  return std::holds_alternative<Kind>(fault.what);
}

bool TakesTheFirst(const Fault& fault) {
  return Is<HotNode>(fault) || Is<NodeCrash>(fault) || Is<PowerLoss>(fault);
}

bool IsOfNodes(const Fault& fault) {
  return !Is<ClientLeak>(fault) && !Is<RetryStorm>(fault);
}

// Adds what a fault does to a node that it has hit.
struct Worsen {
  NodeCondition& condition;

  void operator()(const SlowDisk& fault) const { condition.device_slowness *= fault.slowness; }
  void operator()(const BusyProcessor& fault) const { condition.processor_cost *= fault.cost; }
  void operator()(const SoftwareErrors& fault) const { AddRatio(condition.error_ratio, fault.error_ratio); }
  void operator()(const PacketLoss& fault) const { AddRatio(condition.loss_ratio, fault.loss_ratio); }
  void operator()(const HotNode& fault) const { AddRatio(condition.attraction, fault.share); }
  void operator()(const Imbalance&) const { condition.shunned = true; }
  void operator()(const BadDeploy& fault) const {
    AddRatio(condition.error_ratio, fault.error_ratio);
    condition.code_slowness *= fault.code_slowness;
    condition.processor_cost *= fault.processor_cost;
  }
  template <class Other>
  void operator()(const Other&) const {}

  static void AddRatio(double& ratio, double more) { ratio = 1 - (1 - ratio) * (1 - more); }
};

void Worsened(ClientCondition& condition, const Fault& fault) {
  if (const auto* leak = std::get_if<ClientLeak>(&fault.what)) {
    condition.leaked_per_second += leak->connections_per_second;
    condition.leaking_clients = std::max(condition.leaking_clients, leak->clients);
  } else if (const auto* storm = std::get_if<RetryStorm>(&fault.what)) {
    condition.request_timeout = storm->request_timeout;
    condition.backoff = storm->backoff;
    condition.retries_max = storm->retries_max;
  }
}

}  // namespace

absl::string_view FaultName(const FaultKind& what) {
  return kNames[what.index()];
}

Faults::Faults(std::vector<Fault> faults, absl::Time start) {
  for (Fault& fault : faults) {
    Course& course = courses_.emplace_back();
    course.begin = start + fault.at;
    course.end = course.begin + (fault.duration > absl::ZeroDuration() ? fault.duration : kForEver);
    if (TakesTheFirst(fault) && fault.where.nodes.empty() && fault.where.zone.empty()) {
      fault.where.count = std::max(1, fault.where.count);
    }
    course.fault = std::move(fault);
  }
}

absl::Time Faults::NextAt() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Course& course : courses_) {
    if (course.stage == Stage::kWaiting) next = std::min(next, course.begin);
    if (course.stage == Stage::kUnderWay) next = std::min(next, course.end);
    if (course.stage != Stage::kOver) next = std::min(next, course.step_at);
  }
  return next;
}

absl::Status Faults::Advance(World& world) {
  const absl::Time now = world.now();
  if (NextAt() > now) return absl::OkStatus();
  for (Course& course : courses_) {
    if (course.stage == Stage::kWaiting && course.begin <= now) Begin(course, world);
    if (course.stage == Stage::kUnderWay && course.end <= now) End(course, now);
    while (course.step_at <= now) Step(course, world);
  }
  Refresh(world);
  return Told();
}

absl::Status Faults::NodeServes(const NodeId& node, World& world) {
  if (courses_.empty()) return absl::OkStatus();
  const std::vector<Machine> machines = world.Machines();
  const auto machine = std::find_if(machines.begin(), machines.end(), [&](const Machine& m) { return m.node == node; });
  if (machine == machines.end()) return absl::OkStatus();
  for (Course& course : courses_) {
    if (course.stage != Stage::kUnderWay || course.end <= world.now() || course.hit.count(node) > 0) continue;
    if (Is<Imbalance>(course.fault)) course.hit.insert(node);
    if (!IsAimedAt(course, *machine)) continue;
    if (Is<RollingRestart>(course.fault)) continue;
    course.hit.insert(node);
    if (const auto* deploy = std::get_if<BadDeploy>(&course.fault.what)) {
      // One that restarts by itself comes back with the new release.
      const auto waits = std::find(course.pending.begin(), course.pending.end(), node);
      if (waits != course.pending.end()) course.pending.erase(waits);
      Note(world.SetRelease(node, deploy->release));
    }
    if (Is<NodeCrash>(course.fault) || Is<PowerLoss>(course.fault)) TakeDown(course, node, world);
  }
  Refresh(world);
  return Told();
}

bool Faults::IsAimedAt(const Course& course, const Machine& machine) const {
  const FaultTarget& where = course.fault.where;
  if (!IsOfNodes(course.fault) || Is<Imbalance>(course.fault)) return false;
  if (!where.nodes.empty()) return std::find(where.nodes.begin(), where.nodes.end(), machine.node) != where.nodes.end();
  if (!where.zone.empty()) return machine.zone == where.zone;
  return where.count == 0;
}

void Faults::Begin(Course& course, World& world) {
  course.stage = Stage::kUnderWay;
  const FaultTarget& where = course.fault.where;
  const bool by_count = where.nodes.empty() && where.zone.empty() && where.count > 0;
  for (const Machine& machine : world.Machines()) {
    if (!world.IsServing(machine.node)) continue;
    const bool counted = by_count && static_cast<int>(course.hit.size()) < where.count && IsOfNodes(course.fault);
    if (counted || IsAimedAt(course, machine)) course.hit.insert(machine.node);
  }
  if (Is<RollingRestart>(course.fault) || Is<BadDeploy>(course.fault)) {
    course.pending.assign(course.hit.rbegin(), course.hit.rend());
    course.hit.clear();
    course.step_at = course.begin;
  } else if (Is<NodeCrash>(course.fault) || Is<PowerLoss>(course.fault)) {
    for (const NodeId& node : course.hit) TakeDown(course, node, world);
  } else if (Is<ForeignWriter>(course.fault)) {
    course.step_at = course.begin;
  }
}

void Faults::TakeDown(const Course& course, const NodeId& node, World& world) {
  const Outage how = Is<NodeCrash>(course.fault) ? Outage::kCrash : Outage::kPowerLoss;
  Note(world.TakeDown(node, how, course.end - world.now()));
}

void Faults::End(Course& course, absl::Time now) {
  course.stage = Stage::kOver;
  course.step_at = absl::InfiniteFuture();
  if (!Is<BadDeploy>(course.fault)) return course.hit.clear();
  course.stage = Stage::kRollingBack;
  course.pending.assign(course.hit.rbegin(), course.hit.rend());
  course.step_at = now;
}

void Faults::Write(Course& course, World& world) {
  const auto& writer = std::get<ForeignWriter>(course.fault.what);
  for (const NodeId& node : course.hit) {
    if (!world.IsServing(node)) continue;
    LimitsInForce limits = world.Limits(node);
    limits.connection_count_max = writer.limit_count;
    limits.source = LimitSource::kForeign;
    Note(world.SetLimits(node, limits));
  }
  course.step_at += writer.each;
}

// One more node of a rolling restart.
void Faults::Step(Course& course, World& world) {
  if (Is<ForeignWriter>(course.fault)) return Write(course, world);
  if (course.pending.empty()) {
    course.step_at = absl::InfiniteFuture();
    if (course.stage == Stage::kRollingBack) course.stage = Stage::kOver;
    return;
  }
  const NodeId node = std::move(course.pending.back());
  course.pending.pop_back();
  const auto* deploy = std::get_if<BadDeploy>(&course.fault.what);
  const auto* restart = std::get_if<RollingRestart>(&course.fault.what);
  course.step_at += deploy != nullptr ? deploy->gap : restart->gap;
  if (!world.IsServing(node)) return;
  if (deploy != nullptr && course.stage == Stage::kUnderWay) {
    course.hit.insert(node);
    Note(world.SetRelease(node, deploy->release));
  } else if (deploy != nullptr) {
    course.hit.erase(node);
    Note(world.SetRelease(node, {}));
  }
  Note(world.TakeDown(node, Outage::kRestart, deploy != nullptr ? deploy->down : restart->down));
}

// Sets all conditions to what the faults that are under way make of them.
void Faults::Refresh(World& world) {
  for (const Machine& machine : world.Machines()) {
    NodeCondition condition;
    for (const Course& course : courses_) {
      const bool hits = course.stage == Stage::kUnderWay || course.stage == Stage::kRollingBack;
      if (hits && course.hit.count(machine.node) > 0) std::visit(Worsen{condition}, course.fault.what);
    }
    Note(world.SetCondition(machine.node, condition));
  }
  ClientCondition client;
  for (const Course& course : courses_) {
    if (course.stage == Stage::kUnderWay) Worsened(client, course.fault);
  }
  if (client == client_) return;
  client_ = client;
  Note(world.SetCondition(client));
}

void Faults::Note(const absl::Status& status) {
  if (absl::IsUnimplemented(status)) status_.Update(status);
}

absl::Status Faults::Told() {
  return std::exchange(status_, absl::OkStatus());
}

}  // namespace headroom::sim
