#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "controller/core/autoscaler.h"
#include "controller/runtime/journal.h"

namespace headroom {

inline Policy HostilePolicy() {
  Policy policy;
  policy.mode = Mode::kLive;
  policy.nodes.min = 2;
  policy.nodes.max = 12;
  policy.nodes.zones = {"a", "b"};
  policy.nodes.stabilization = absl::Seconds(20);
  policy.nodes.cooldown = absl::Seconds(20);
  policy.nodes.launch_timeout = absl::Seconds(40);
  policy.control.lost_after = absl::Seconds(10);
  return policy;
}

// HostileEvents: a seeded world that does all that the world may do, in no good order: joins without reports, reports
// without joins, replayed and old ones, new boots, losses, lists with foreign machines, operators' commands, outcomes
// of actions late, twice, failed or never. Run() drives a core through it and returns what the core was given.
class HostileEvents {
 public:
  explicit HostileEvents(uint64_t seed) : random_(seed) {}

  std::vector<Recorded> Run(Autoscaler& core, int seconds) {
    records_.clear();
    Give(core, TermChanged{++term_});
    for (const absl::Time end = now_ + absl::Seconds(seconds); now_ < end;) {
      now_ += absl::Milliseconds(20 + Below(200));
      for (int64_t events = Below(6); events > 0; --events) Give(core, Any());
      if (now_ >= core.next_tick()) Tick(core);
    }
    return records_;
  }
  absl::Time now() const { return now_; }

 private:
  int64_t Below(int64_t bound) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(bound)); }
  NodeId AnyNode() { return absl::StrCat("node-", Below(8)); }
  std::string AnyBoot() { return absl::StrCat("boot-", Below(2)); }

  void Give(Autoscaler& core, Event event) {
    core.Observe(now_, event);
    records_.push_back({now_, std::move(event)});
  }

  void Tick(Autoscaler& core) {
    const Decision decision = core.Tick(now_);
    records_.push_back({now_, std::nullopt});
    for (const Action& action : decision.actions) {
      Give(core, ActionStarted{action});
      open_.push_back(action);
    }
  }

  Event Any() {
    switch (Below(20)) {
      case 0:
        return Join();
      case 1:
        return NodeLeft{AnyNode(), AnyBoot(), static_cast<NodeLeft::How>(Below(3))};
      case 2:
        return Machines();
      case 3:
      case 4:
      case 5:
        return Outcome();
      case 6:
        return Balancer();
      case 7:
        return Command();
      default:
        return Report();
    }
  }

  Event Join() {
    NodeHello hello;
    hello.boot_id = AnyBoot();
    hello.limits.connection_count_max = hello.configured_count_max = 200;
    hello.zone = Below(2) == 0 ? "a" : "b";
    hello.address = "10.0.0.1:80";
    if (!open_.empty() && Below(2) == 0) hello.launch_id = open_.back().id;
    return NodeJoined{AnyNode(), hello};
  }

  Event Report() {
    const NodeId node = AnyNode();
    NodeReport report = reports_[node];
    if (report.boot_id.empty() || Below(40) == 0) {
      report = {};
      report.boot_id = AnyBoot();
    }
    if (Below(10) != 0) ++report.sequence;
    report.open_count = Below(260);
    report.active_count = Below(report.open_count + 1);
    report.accept_queue_count = Below(4) == 0 ? Below(100) : 0;
    report.limits.connection_count_max = 200;
    report.urgency = static_cast<Urgency>(Below(6));
    report.counters.uptime += absl::Milliseconds(Below(2000));
    report.counters.completed += Below(500);
    report.counters.errors += Below(5);
    report.counters.rejected += Below(3) == 0 ? Below(50) : 0;
    report.counters.latency.counts[static_cast<size_t>(Below(LatencyHistogram::kBuckets))] += Below(100);
    reports_[node] = report;
    if (Below(30) == 0) report.sequence = 0;
    return NodeReported{node, report};
  }

  Event Machines() {
    MachinesListed listed;
    for (int i = 0; i < 8; ++i) {
      if (Below(5) != 0) listed.machines.push_back({absl::StrCat("node-", i), Machine::State::kRunning, "a", ""});
    }
    if (Below(3) == 0) listed.machines.push_back({"foreign", Machine::State::kStarting, "c", "unknown-launch"});
    return listed;
  }

  Event Outcome() {
    ActionFinished finished;
    finished.id = open_.empty() ? "never-begun" : open_[static_cast<size_t>(Below(std::ssize(open_)))].id;
    if (Below(3) == 0) {
      finished.code = absl::StatusCode::kResourceExhausted;
      finished.message = "no room";
    } else if (Below(2) == 0) {
      finished.node = AnyNode();
    }
    if (open_.size() > 50) open_.erase(open_.begin(), open_.begin() + 25);
    return finished;
  }

  Event Balancer() {
    BalancerReport report;
    report.boot_id = "b";
    report.sequence = static_cast<uint64_t>(Below(1000));
    report.servers.push_back({AnyNode(), Below(100), Below(20)});
    if (Below(4) == 0) return BalancerJoined{"lb"};
    if (Below(4) == 0) return BalancerLeft{"lb"};
    return BalancerReported{"lb", report};
  }

  Event Command() {
    const absl::Time until = now_ + absl::Seconds(Below(30));
    switch (Below(6)) {
      case 0:
        return HoldChanged{static_cast<HoldDirection>(Below(4)), until, "because", "operator"};
      case 1:
        return OverrideSet{static_cast<int>(Below(4)), 0, static_cast<int>(Below(6)), until, "because", "operator"};
      case 2:
        return NodeLimitFixed{AnyNode(), Below(500), until, "because", "operator"};
      case 3:
        return NodePinned{AnyNode(), Below(2) == 0, "because", "operator"};
      case 4:
        return DrainRequested{AnyNode(), Below(2) == 0, "because", "operator"};
      default:
        return JournalChanged{Below(2) == 0 ? "" : "full"};
    }
  }

  std::mt19937_64 random_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  int64_t term_ = 0;
  std::map<NodeId, NodeReport> reports_;
  std::vector<Action> open_;
  std::vector<Recorded> records_;
};

}  // namespace headroom
