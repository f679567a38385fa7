// What a tick of the core costs at 10,000 nodes that report once a second, in virtual time: on a calm day, and in a
// surge that fills every node. Only Tick() is timed. Prints one JSON object: the p99 of each day (the best of a few
// repetitions: the machine's other work can only make a tick slower) and what the core keeps of a node.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include <malloc.h>
#include <time.h>

#include "controller/core/autoscaler.h"

namespace headroom {
namespace {

constexpr int kRepetitions = 3;
constexpr int kSeconds = 100;

absl::Duration ClockNow(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return absl::DurationFromTimespec(now);
}

absl::Duration Quantile(std::vector<absl::Duration> values, double quantile) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(quantile * static_cast<double>(values.size() - 1))];
}

// How long ticks took, by the clock on the wall and by the processor's: their difference is the machine's other work.
struct Ticks {
  std::vector<absl::Duration> wall, processor;
};

// The best of the repetitions.
struct Figures {
  absl::Duration p50 = absl::InfiniteDuration(), p99 = absl::InfiniteDuration();
  absl::Duration processor_p99 = absl::InfiniteDuration();
  size_t count = 0;

  void Take(const Ticks& ticks) {
    p50 = std::min(p50, Quantile(ticks.wall, 0.5));
    p99 = std::min(p99, Quantile(ticks.wall, 0.99));
    processor_p99 = std::min(processor_p99, Quantile(ticks.processor, 0.99));
    count += ticks.wall.size();
  }
  std::string Json() const {
    return absl::StrFormat("{\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"processor_p99_ms\": %.3f, \"ticks\": %d}",
                           absl::ToDoubleMilliseconds(p50), absl::ToDoubleMilliseconds(p99),
                           absl::ToDoubleMilliseconds(processor_p99), count);
  }
};

struct FakeNode {
  NodeId id;
  NodeReport report;
  int64_t limit = 200;
};

NodeHello HelloOf(int n) {
  NodeHello hello;
  hello.boot_id = absl::StrCat("0123456789abcdef-", n);
  hello.server_version = "headroom-node 1.4.2";
  hello.config_hash = "sha256:5f2b8c7e9a";
  hello.address = absl::StrCat("10.1.", n / 250, ".", n % 250, ":8080");
  hello.admin_address = absl::StrCat("10.1.", n / 250, ".", n % 250, ":8081");
  hello.zone = absl::StrCat("zone-", n % 3);
  hello.configured_count_max = hello.limits.connection_count_max = 200;
  hello.configured_idle_timeout = absl::Seconds(30);
  hello.fd_count_max = 100'000;
  hello.memory_count_max = 50'000;
  return hello;
}

// A cluster whose nodes are plain numbers. `load` is their use of 200 slots, from 0.
class Cluster {
 public:
  explicit Cluster(int count) : core_(MakePolicy(count)) {
    core_.Observe(now_, TermChanged{1});
    nodes_.resize(static_cast<size_t>(count));
    for (int n = 0; n < count; ++n) {
      FakeNode& node = nodes_[static_cast<size_t>(n)];
      node.id = absl::StrCat("storage-node-", n);
      const NodeHello hello = HelloOf(n);
      node.report.boot_id = hello.boot_id;
      core_.Observe(now_, NodeJoined{node.id, hello});
    }
    List();
  }

  // One second: every node reports, and the core ticks when it asks for it.
  void Second(double load, Ticks& ticks) {
    const absl::Time end = now_ + absl::Seconds(1);
    const size_t slices = 100;
    for (size_t slice = 0; slice < slices; ++slice) {
      now_ += absl::Milliseconds(10);
      for (size_t n = slice; n < nodes_.size(); n += slices) Report(nodes_[n], load);
      if (core_.next_tick() <= now_) Tick(ticks);
    }
    now_ = end;
  }

  size_t BytesPerNode() const {
    const Autoscaler copy = core_;
    const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    const State state = copy.Save();
    return (mallinfo2().uordblks + mallinfo2().hblkhd - before) / nodes_.size();
  }

 private:
  static Policy MakePolicy(int count) {
    Policy policy;
    policy.cluster = "bench";
    policy.nodes.min = policy.nodes.max = count;
    policy.limits.enabled = true;
    return policy;
  }

  void Report(FakeNode& node, double load) {
    NodeReport& report = node.report;
    ++report.sequence;
    const int64_t demand = static_cast<int64_t>(200 * load) + static_cast<int64_t>(report.sequence % 7);
    report.open_count = std::min(demand, node.limit);
    report.active_count = report.open_count / 10;
    report.accept_queue_count = demand - report.open_count;
    report.accept_queue_count_max = 128;
    report.idle_age_counts = {20, 20, 10, 10, 10, 5, 5};
    report.top_clients.assign(8, {"10.2.0.17", 3});
    report.client_count = 60;
    report.limits.connection_count_max = node.limit;
    report.limits.idle_timeout = absl::Seconds(30);
    report.cpu_count = 8;
    report.memory_full_ratio = report.io_full_ratio = report.cpu_some_ratio = 0.01;
    NodeCounters& counters = report.counters;
    counters.uptime += absl::Seconds(1);
    counters.accepted += report.open_count / 4;
    counters.rejected += report.accept_queue_count;
    counters.completed += report.open_count;
    counters.sent_bytes += report.open_count * 16384;
    counters.overflows = 0;
    counters.segments_out = counters.completed * 12;
    counters.retransmits = counters.completed / 500;
    counters.device_time = absl::Milliseconds(2) * counters.completed;
    for (size_t bucket = 20; bucket < 60; ++bucket) counters.latency.counts[bucket] += report.open_count / 40;
    core_.Observe(now_, NodeReported{node.id, report});
  }

  void Tick(Ticks& ticks) {
    const absl::Duration wall = ClockNow(CLOCK_MONOTONIC), processor = ClockNow(CLOCK_THREAD_CPUTIME_ID);
    const Decision decision = core_.Tick(now_);
    ticks.wall.push_back(ClockNow(CLOCK_MONOTONIC) - wall);
    ticks.processor.push_back(ClockNow(CLOCK_THREAD_CPUTIME_ID) - processor);
    for (const Action& action : decision.actions) {
      core_.Observe(now_, ActionStarted{action});
      if (std::holds_alternative<ListMachines>(action.body)) {
        core_.Observe(now_, ActionFinished{.id = action.id});
        List();
      }
      const auto* grant = std::get_if<GrantLimits>(&action.body);
      if (grant == nullptr) continue;
      size_t n = 0;
      if (absl::SimpleAtoi(action.node.substr(sizeof("storage-node-") - 1), &n)) {
        nodes_[n].limit = grant->connection_count_max;
        nodes_[n].report.limits.grant_id = grant->grant_id;
        nodes_[n].report.limits.source = LimitSource::kGrant;
      }
    }
  }

  void List() {
    MachinesListed listed;
    for (const FakeNode& node : nodes_) listed.machines.push_back({node.id, Machine::State::kRunning, "zone", ""});
    core_.Observe(now_, listed);
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  Autoscaler core_;
  std::vector<FakeNode> nodes_;
};

int Main(int count) {
  Figures calm, surge;
  size_t bytes_per_node = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    Cluster cluster(count);
    Ticks warm_up, calm_ticks, surge_ticks;
    for (int second = 0; second < 20; ++second) cluster.Second(0.4, warm_up);
    for (int second = 0; second < kSeconds; ++second) cluster.Second(0.4, calm_ticks);
    // Up within 10 s to three times the slots, and there to the end.
    for (int second = 0; second < kSeconds / 4; ++second)
      cluster.Second(std::min(3.0, 0.4 + 0.26 * second), surge_ticks);
    calm.Take(calm_ticks);
    surge.Take(surge_ticks);
    bytes_per_node = cluster.BytesPerNode();
  }
  std::cout << absl::StrFormat(
      "{\"nodes\": %d, \"repetitions\": %d, \"calm\": %s, \"surge\": %s, \"bytes_per_node\": %d}\n", count,
      kRepetitions, calm.Json(), surge.Json(), bytes_per_node);
  return 0;
}

}  // namespace
}  // namespace headroom

// One argument, optional: how many nodes.
int main(int argc, char** argv) {
  return headroom::Main(argc > 1 ? std::atoi(argv[1]) : 10'000);
}
