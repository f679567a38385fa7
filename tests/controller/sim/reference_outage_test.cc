// The reference outcomes of the research notes (a toy model of its own, 1 to 5 seeds a row), reproduced in direction
// and order of magnitude: 4 nodes, limit 200, backlog 128, 20 ms, 900 requests a second of 100 clients that spread
// their requests; from 60 to 90 s twice the load of twice the clients.
#include <algorithm>
#include <functional>
#include <map>

#include "gtest/gtest.h"

#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

constexpr int kEnd = 390;

using EachSecond = std::function<void(ClusterModel&, int second)>;

struct Row {
  ClusterSettings settings;
  int surge_end = 90;
  EachSecond each_second = [](ClusterModel&, int) {};
};

// Completions an arrival, and what else the notes tell of a span.
struct Span {
  double goodput = 0, attempts = 0, latency_ms = 0;
};
struct Outcome {
  Span before, surge, after, end;       // 40 to 60 s, the surge, the minute after it, the last two minutes
  double nodes_up = 0;                  // mean of the last two minutes
  int restarts = 0, late_restarts = 0;  // late: in the last two minutes
  int64_t limit_peak = 0;
};

Row Static() {
  Row row;
  row.settings.client.spread = Spread::kRequests;
  row.settings.client.connections_max = 0;
  row.settings.phases = {{.duration = absl::Seconds(60), .requests_per_second = 900, .clients = 100},
                         {.duration = absl::Seconds(30), .requests_per_second = 1800, .clients = 200},
                         {.duration = absl::Hours(1), .requests_per_second = 900, .clients = 100}};
  return row;
}

Row WithLivenessKill() {
  Row row = Static();
  row.settings.node.probes.way = ProbeSettings::Way::kShared;
  return row;
}

Span SpanOf(const ClusterModel& model, int from, int to) {
  const ClientStatistics sum =
      model.Statistics(absl::UnixEpoch() + absl::Seconds(from), absl::UnixEpoch() + absl::Seconds(to));
  const auto offered = static_cast<double>(sum.offered);
  return {.goodput = static_cast<double>(sum.completed) / offered,
          .attempts = static_cast<double>(sum.attempts) / offered,
          .latency_ms =
              absl::ToDoubleMilliseconds(sum.latency_sum) / std::max<double>(1, static_cast<double>(sum.completed))};
}

Outcome Replay(Row row, uint64_t seed) {
  row.settings.seed = seed;
  ClusterModel model(row.settings);
  for (int node = 0; node < 4; ++node) model.Launch({});
  Outcome outcome;
  for (int second = 0; second < kEnd; ++second) {
    const absl::Time until = absl::UnixEpoch() + absl::Seconds(second + 1);
    bool there = false;
    while (!there) {
      there = model.AdvanceTo(until) >= until;
      for (const NodeChange& change : model.TakeChanges()) {
        if (change.what != NodeChange::What::kStopped) continue;
        ++outcome.restarts;
        if (second >= kEnd - 120) ++outcome.late_restarts;
      }
    }
    for (const Machine& machine : model.Machines()) {
      if (!model.IsServing(machine.node)) continue;
      if (second >= kEnd - 120) outcome.nodes_up += 1.0 / 120;
      outcome.limit_peak = std::max(outcome.limit_peak, model.Limits(machine.node).connection_count_max);
    }
    row.each_second(model, second);
  }
  outcome.before = SpanOf(model, 40, 60);
  outcome.surge = SpanOf(model, 60, row.surge_end);
  outcome.after = SpanOf(model, row.surge_end, row.surge_end + 60);
  outcome.end = SpanOf(model, kEnd - 120, kEnd);
  return outcome;
}

// The simple law of the notes: nearly full and as fast as ever: a quarter more; three times slower: a tenth less.
EachSecond AdaptLimits() {
  struct Seen {
    NodeCounters counters;
    double fastest_ms = 1e9;
  };
  return [seen = std::map<NodeId, Seen>()](ClusterModel& model, int) mutable {
    for (const Machine& machine : model.Machines()) {
      if (!model.IsServing(machine.node)) continue;
      NodeReport report = model.Report(machine.node);
      Seen& last = seen[machine.node];
      const LatencyHistogram latency = report.counters.latency.Since(last.counters.latency);
      last.counters = report.counters;
      if (latency.Total() == 0) continue;
      const double ms = absl::ToDoubleMilliseconds(latency.Quantile(0.5));
      last.fastest_ms = std::min(last.fastest_ms, ms);
      int64_t& limit = report.limits.connection_count_max;
      const auto demand = static_cast<double>(report.open_count + report.accept_queue_count);
      if (ms > 3 * last.fastest_ms && report.active_count > 20) {
        limit = std::max<int64_t>(50, limit * 9 / 10);
      } else if (demand > 0.8 * static_cast<double>(limit)) {
        limit = std::min<int64_t>(4000, limit * 5 / 4 + 8);
      }
      ASSERT_TRUE(model.SetLimits(machine.node, report.limits).ok());
    }
  };
}

void SetLimitOfAll(ClusterModel& model, int64_t limit) {
  for (const Machine& machine : model.Machines()) {
    if (!model.IsServing(machine.node)) continue;
    LimitsInForce limits = model.Limits(machine.node);
    limits.connection_count_max = limit;
    ASSERT_TRUE(model.SetLimits(machine.node, limits).ok());
  }
}

// Rows A, F, H, I and J: killed for being full, the cluster loses nodes for as long as the load lasts, whatever the
// accept queue and the retries are.
void ExpectRestartLoop(const Outcome& outcome) {
  EXPECT_GT(outcome.before.goodput, 0.99);
  EXPECT_LT(outcome.surge.goodput, 0.45);
  EXPECT_GT(outcome.after.goodput, 0.6);
  EXPECT_GT(outcome.end.goodput, 0.95);
  EXPECT_LT(outcome.nodes_up, 2.5);
  EXPECT_GT(outcome.restarts, 18);
  EXPECT_GT(outcome.late_restarts, 5);
}

TEST(ReferenceOutage, EndsInARestartLoopWhereProbesShareTheSlots) {
  for (const uint64_t seed : {1, 2}) {
    const Outcome outcome = Replay(WithLivenessKill(), seed);
    ExpectRestartLoop(outcome);
    EXPECT_GT(outcome.surge.attempts, 2.3);
    EXPECT_GT(outcome.end.latency_ms, 35) << "base is 22 ms";
  }
}

TEST(ReferenceOutage, IsWorseForMoreClients) {
  Row row = WithLivenessKill();
  for (Phase& phase : row.settings.phases) phase.clients = phase.clients * 135 / 100;
  const Outcome outcome = Replay(row, 1);
  EXPECT_LT(outcome.before.goodput, 0.6) << "it fails before the surge";
  EXPECT_LT(outcome.after.goodput, 0.9);
  EXPECT_LT(outcome.end.goodput, 0.99);
  EXPECT_LT(outcome.nodes_up, 2);
}

TEST(ReferenceOutage, ShutsNewcomersOutUnderStaticLimits) {
  for (const uint64_t seed : {1, 2, 3}) {
    const Outcome outcome = Replay(Static(), seed);
    EXPECT_GT(outcome.surge.goodput, 0.45);
    EXPECT_LT(outcome.surge.goodput, 0.80);
    EXPECT_GT(outcome.surge.attempts, 1.5);
    EXPECT_LT(outcome.surge.attempts, 3);
    EXPECT_GT(outcome.after.goodput, 1) << "what waited is served";
    EXPECT_GT(outcome.end.goodput, 0.99);
    EXPECT_LT(outcome.end.latency_ms, 30);
    EXPECT_EQ(outcome.restarts, 0);
  }
}

TEST(ReferenceOutage, DoesNotKillWhereProbesHaveSlotsOfTheirOwn) {
  Row row = Static();
  row.settings.node.probes.way = ProbeSettings::Way::kReserved;
  EXPECT_EQ(Replay(row, 1).restarts, 0);
}

TEST(ReferenceOutage, EndsWhenTheLimitIsRaisedByHand) {
  Row row = WithLivenessKill();
  row.each_second = [](ClusterModel& model, int second) {
    if (second >= 210) SetLimitOfAll(model, 600);
  };
  const Outcome outcome = Replay(row, 1);
  EXPECT_LT(outcome.surge.goodput, 0.45);
  EXPECT_GT(outcome.restarts, 8);
  EXPECT_EQ(outcome.late_restarts, 0);
  EXPECT_GT(outcome.end.goodput, 0.999);
  EXPECT_LT(outcome.end.latency_ms, 25);
  EXPECT_NEAR(outcome.nodes_up, 4, 0.01);
}

TEST(ReferenceOutage, DoesNotHappenUnderAdaptiveLimits) {
  for (const uint64_t seed : {1, 2, 3}) {
    Row row = WithLivenessKill();
    row.each_second = AdaptLimits();
    const Outcome outcome = Replay(row, seed);
    EXPECT_GT(outcome.surge.goodput, 0.99);
    EXPECT_LT(outcome.surge.attempts, 1.05);
    EXPECT_GT(outcome.end.goodput, 0.99);
    EXPECT_LT(outcome.end.latency_ms, 25);
    EXPECT_EQ(outcome.restarts, 0);
    EXPECT_GT(outcome.limit_peak, 300);
    EXPECT_LT(outcome.limit_peak, 1200);
  }
}

TEST(ReferenceOutage, EndsByItselfWithAShortIdleTimeout) {
  Row row = WithLivenessKill();
  row.settings.node.idle_timeout = absl::Seconds(5);
  const Outcome outcome = Replay(row, 1);
  EXPECT_LT(outcome.surge.goodput, 0.9);
  EXPECT_LT(outcome.restarts, 10);
  EXPECT_EQ(outcome.late_restarts, 0);
  EXPECT_GT(outcome.end.goodput, 0.99);
  EXPECT_NEAR(outcome.nodes_up, 4, 0.01);
}

TEST(ReferenceOutage, IsNotHealedByARetryBudget) {
  Row row = WithLivenessKill();
  row.settings.client.retry_budget_ratio = 0.1;
  const Outcome outcome = Replay(row, 1);
  ExpectRestartLoop(outcome);
  EXPECT_LT(outcome.surge.attempts, 1.1);
}

TEST(ReferenceOutage, IsNotHealedByAnyBacklog) {
  for (const int backlog : {16, 1024}) {
    Row row = WithLivenessKill();
    row.settings.node.backlog = backlog;
    ExpectRestartLoop(Replay(row, 1));
  }
}

TEST(ReferenceOutage, IsNotHealedByClientsThatNeverTryAgain) {
  Row row = WithLivenessKill();
  row.settings.client.retries_max = 0;
  const Outcome outcome = Replay(row, 2);
  ExpectRestartLoop(outcome);
  EXPECT_EQ(outcome.surge.attempts, 1);
}

// Bound by storage instead: 40 active requests are the knee, idle connections stay for 1 s; from 60 to 120 s the disks
// are four times slower under twice the load of the same clients.
Row SlowDisks(int64_t limit) {
  Row row = Static();
  row.surge_end = 120;
  row.settings.node.knee = 40;
  row.settings.node.idle_timeout = absl::Seconds(1);
  row.settings.node.connection_limit = limit;
  row.settings.phases[1] = {.duration = absl::Seconds(60), .requests_per_second = 1800, .clients = 100};
  row.each_second = [](ClusterModel& model, int second) {
    if (second != 59 && second != 119) return;
    for (const Machine& node : model.Machines()) ASSERT_TRUE(model.SetSlowness(node.node, second == 59 ? 4 : 1).ok());
  };
  return row;
}

TEST(StorageBound, QueuesForEverUnderALimitThatIsTooLow) {
  const Outcome outcome = Replay(SlowDisks(60), 1);
  EXPECT_NEAR(outcome.surge.goodput, 0.55, 0.15);
  EXPECT_GT(outcome.after.goodput, 1);
  EXPECT_NEAR(outcome.end.goodput, 0.96, 0.03);
  EXPECT_GT(outcome.end.latency_ms, 1000);
}

TEST(StorageBound, RecoversUnderALimitNearTheKnee) {
  const Outcome outcome = Replay(SlowDisks(120), 1);
  EXPECT_LT(outcome.surge.goodput, 0.4);
  EXPECT_GT(outcome.after.goodput, 1.1);
  EXPECT_GT(outcome.end.goodput, 0.99);
  EXPECT_LT(outcome.end.latency_ms, 30);
}

TEST(StorageBound, DoesNotRecoverWhereTheLimitLetsAllIn) {
  for (const double budget : {0.0, 0.1}) {
    Row row = SlowDisks(4000);
    row.settings.client.retry_budget_ratio = budget;
    const Outcome outcome = Replay(row, 1);
    EXPECT_LT(outcome.surge.goodput, 0.1);
    EXPECT_LT(outcome.after.goodput, 0.05);
    EXPECT_LT(outcome.end.goodput, 0.05);
  }
}

TEST(StorageBound, KeepsTheMostUnderAdaptiveLimits) {
  Row row = SlowDisks(200);
  row.each_second = [faults = row.each_second, adapt = AdaptLimits()](ClusterModel& model, int second) {
    adapt(model, second);
    faults(model, second);
  };
  const Outcome outcome = Replay(row, 1);
  EXPECT_NEAR(outcome.surge.goodput, 0.5, 0.15);
  EXPECT_GT(outcome.after.goodput, 1.05);
  EXPECT_GT(outcome.end.goodput, 0.99);
}

}  // namespace
}  // namespace headroom::sim
