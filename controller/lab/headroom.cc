#include "controller/lab/headroom.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace headroom::lab {
namespace {

constexpr absl::Duration kStep = absl::Seconds(kStepSeconds);
constexpr int64_t kPerNode = Headroom::kInFullCount;
constexpr int64_t kDated = 365 * 86'400;          // what lies before counts from 0
constexpr int64_t kSomeMidnight = 1'600'041'600;  // the core takes the beginning of time for never

Policy OfTheTask(Policy policy, const Terms& terms, Headroom::Unit unit) {
  policy.cluster = "lab";
  policy.mode = Mode::kLive;
  policy.nodes.min = terms.nodes_min;
  policy.nodes.max = terms.nodes_max;
  policy.nodes.data = DataPlacement::kGateway;
  policy.nodes.lead_time = terms.law.mature_steps() * kStep;
  if (unit == Headroom::Unit::kAtTarget) policy.nodes.paid_min = terms.law.paid_steps_min * kStep;
  const bool believes = unit == Headroom::Unit::kInFull && policy.connections.per_node_count > 0;
  if (!believes) policy.connections.per_node_count = kPerNode;
  policy.control.tick = policy.control.report_interval = kStep;
  policy.control.silent_after = 3 * kStep;
  return policy;
}

}  // namespace

Headroom::Headroom(Policy policy, const Terms& terms, Unit unit)
    : law_(terms.law), unit_(unit), core_(OfTheTask(std::move(policy), terms, unit)) {}

void Headroom::Begin(const Meter& meter) {
  const int64_t start = meter.start_unix_seconds();
  start_ = absl::FromUnixSeconds(start < kDated ? kSomeMidnight + start : start);
  core_.Observe(At(0), TermChanged{1});
}

absl::Time Headroom::At(int step) const {
  return start_ + step * kStep;
}

void Headroom::Add(int serves_at, const std::string& launch_id) {
  servers_[absl::StrCat("node-", ++named_)] = {.serves_at = serves_at, .launch_id = launch_id};
}

// The oldest, as the crew loses them: they are neither heard of nor listed any more.
void Headroom::Lose(int nodes) {
  for (int i = 0; i < nodes && !servers_.empty(); ++i) {
    servers_.erase(std::min_element(servers_.begin(), servers_.end(), [](const auto& a, const auto& b) {
      return a.second.serves_at < b.second.serves_at;
    }));
  }
}

double Headroom::metric_max() const {
  return unit_ == Unit::kAtTarget ? 1 / core_.policy().connections.target_ratio : 1;
}

// A core that is not told what is paid goes by connections.
Victims Headroom::victims() const {
  return core_.policy().nodes.paid_min > absl::ZeroDuration() ? Victims::kPaidOut : Victims::kYoungest;
}

int Headroom::Decide(const Meter& meter, const Nodes& nodes) {
  const int step = meter.now();
  if (step == 0) Begin(meter);
  if (servers_.empty()) {
    for (int i = 0; i < nodes.present; ++i) Add(step, "");
  }
  const double offered = meter.Mean(step - 1, step);
  if (std::isnan(offered) && step > 0) return nodes.present;  // nobody sees anything
  Report(step, step > 0 ? offered : 0);
  while (core_.next_tick() <= At(step)) Carry(step, core_.Tick(At(step)));
  return static_cast<int>(servers_.size());  // one that drains is paid until it is gone
}

void Headroom::Join(int step, const NodeId& id, Server& server) {
  NodeHello hello;
  hello.boot_id = absl::StrCat(id, "-1");
  hello.configured_count_max = hello.limits.connection_count_max = kPerNode;
  hello.configured_idle_timeout = absl::Seconds(30);
  hello.capabilities = {"drain"};
  hello.address = absl::StrCat(id, ":1");
  hello.launch_id = server.launch_id;
  core_.Observe(At(step), NodeJoined{id, hello});
  server.joined = true;
  std::get<NodeReported>(server.said).node = id;
  server.report().boot_id = hello.boot_id;
  server.report().limits.connection_count_max = kPerNode;
}

void Headroom::Report(int step, double offered) {
  const auto serving = std::count_if(servers_.begin(), servers_.end(), [step](const auto& server) {
    return server.second.serves_at <= step && !server.second.draining;
  });
  const double carried = unit_ == Unit::kAtTarget ? core_.policy().connections.target_ratio : 1;
  const double share =
      offered * carried * static_cast<double>(kPerNode) / static_cast<double>(std::max<int64_t>(1, serving));
  const absl::Time now = At(step);
  for (auto& [id, server] : servers_) {
    if (server.serves_at > step) continue;
    if (!server.joined) Join(step, id, server);
    NodeReport& report = server.report();
    ++report.sequence;
    const double open = server.draining ? 0 : share;
    report.open_count = static_cast<int64_t>(std::min(open, static_cast<double>(report.limits.connection_count_max)));
    report.accept_queue_count = static_cast<int64_t>(open) - report.open_count;
    report.accept_queue_count_max = 1 << 20;
    report.active_count = report.open_count / 20;
    report.state = server.draining ? ServerState::kDraining : ServerState::kServing;
    report.counters.uptime += kStep;
    report.counters.completed += static_cast<int64_t>(open);
    core_.Observe(now, server.said);
  }
}

void Headroom::Carry(int step, const Decision& decision) {
  for (const Action& action : decision.actions) {
    core_.Observe(At(step), ActionStarted{action});
    core_.Observe(At(step), Do(step, action));
  }
}

ActionFinished Headroom::Do(int step, const Action& action) {
  ActionFinished done{.id = action.id};
  const auto server = servers_.find(action.node);
  if (std::holds_alternative<LaunchNode>(action.body)) {
    Add(step + law_.boot_steps, action.id);
    done.node = absl::StrCat("node-", named_);
  } else if (std::holds_alternative<ListMachines>(action.body)) {
    MachinesListed listed;
    for (const auto& [id, one] : servers_) {
      listed.machines.push_back(
          {id, one.joined ? Machine::State::kRunning : Machine::State::kStarting, "", one.launch_id});
    }
    core_.Observe(At(step), listed);
  } else if (std::holds_alternative<TerminateNode>(action.body)) {
    servers_.erase(action.node);
  } else if (server == servers_.end()) {
    done.code = absl::StatusCode::kUnavailable;
  } else if (std::holds_alternative<DrainNode>(action.body)) {
    server->second.draining = true;
  } else if (std::holds_alternative<CancelDrain>(action.body)) {
    server->second.draining = false;
  } else if (const auto* grant = std::get_if<GrantLimits>(&action.body)) {
    server->second.report().limits.connection_count_max = grant->connection_count_max;
  }
  return done;
}

Contender Ours(const Policy& policy) {
  return {.name = "headroom",
          .standing = Standing::kOurs,
          .make = [policy](const Setting&) { return std::make_unique<Headroom>(policy); },
          .settings = [](const Contender&,
                         const std::vector<Demand>&) { return std::vector<Setting>{{.name = "one policy"}}; }};
}

}  // namespace headroom::lab
