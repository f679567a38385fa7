#include "controller/sim/cluster_model.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kForEver = absl::Hours(1'000'000);

absl::Time After(const ClusterModel& model, double seconds) {
  return model.now() + absl::Seconds(seconds);
}

// Goes there, whatever nodes have to say on the way.
void GoTo(ClusterModel& model, absl::Time until) {
  while (model.AdvanceTo(until) < until) model.TakeChanges();
  model.TakeChanges();
}

std::vector<NodeId> StartNodes(ClusterModel& model, int count) {
  std::vector<NodeId> nodes;
  for (int node = 0; node < count; ++node) nodes.push_back(model.Launch({}));
  GoTo(model, model.now());
  return nodes;
}

// Nodes that never fill up and never slow down.
ClusterSettings Roomy(double requests_per_second) {
  ClusterSettings settings;
  settings.node.connection_limit = 0;
  settings.node.knee = 0;
  settings.phases = {{.duration = kForEver, .requests_per_second = requests_per_second, .clients = 100}};
  return settings;
}

TEST(ClusterModel, ServesWhatIsOfferedWhereThereIsRoom) {
  ClusterModel model(Roomy(500));
  StartNodes(model, 2);
  GoTo(model, After(model, 100));
  EXPECT_NEAR(static_cast<double>(model.total().offered), 50'000, 5 * std::sqrt(50'000));
  EXPECT_EQ(model.total().failed, 0);
  EXPECT_EQ(model.total().attempts, model.total().offered);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(model.total().latency_sum) / static_cast<double>(model.total().completed), 20,
              0.6);
}

TEST(ClusterModel, KeepsLittlesLaw) {
  ClusterModel model(Roomy(1000));
  const NodeId node = StartNodes(model, 1)[0];
  GoTo(model, After(model, 5));
  double active_sum = 0;
  const int64_t completed = model.Report(node).counters.completed;
  constexpr int kSamples = 4000;
  for (int sample = 0; sample < kSamples; ++sample) {
    GoTo(model, After(model, 0.05));
    active_sum += static_cast<double>(model.Report(node).active_count);
  }
  const double throughput = static_cast<double>(model.Report(node).counters.completed - completed) / 200;
  EXPECT_NEAR(active_sum / kSamples, throughput * 0.020, 0.02 * throughput * 0.020);
}

// Requests that are each a connection, nobody waits, nobody tries again: an M/M/c/c queue.
TEST(ClusterModel, BlocksAsErlangSays) {
  constexpr int kSlots = 10;
  constexpr double kLoad = 8;
  ClusterSettings settings = Roomy(kLoad / 0.020);
  settings.node.connection_limit = kSlots;
  settings.node.backlog = -1;
  settings.node.idle_timeout = absl::Nanoseconds(1);
  settings.client = {.connect_timeout = absl::Nanoseconds(1), .retries_max = 0};
  settings.phases[0].clients = 100'000;
  ClusterModel model(settings);
  StartNodes(model, 1);
  GoTo(model, After(model, 500));
  double blocking = 1;
  for (int k = 1; k <= kSlots; ++k) blocking = kLoad * blocking / (k + kLoad * blocking);
  EXPECT_NEAR(model.total().failed_ratio(), blocking, 0.03 * blocking);
  EXPECT_GT(model.total().offered, 150'000);
}

TEST(ClusterModel, GetsSlowerPastTheKnee) {
  const auto latency = [](int64_t knee) {
    ClusterSettings settings = Roomy(2000);
    settings.node.knee = knee;
    ClusterModel model(settings);
    StartNodes(model, 1);
    GoTo(model, After(model, 20));
    return model.total().latency.Quantile(0.5);
  };
  EXPECT_GT(latency(60), 1.3 * latency(0));
}

TEST(ClusterModel, LosesNoRequest) {
  ClusterSettings settings = Roomy(2000);
  settings.node.connection_limit = 150;
  settings.seed = 5;
  ClusterModel model(settings);
  const std::vector<NodeId> nodes = StartNodes(model, 3);
  const auto check = [&](double seconds) {
    GoTo(model, After(model, seconds));
    EXPECT_GE(model.in_flight_count(), 0);
    int64_t served = 0;
    for (const Machine& machine : model.Machines()) {
      if (!model.IsServing(machine.node)) continue;
      const NodeReport report = model.Report(machine.node);
      EXPECT_LE(report.active_count, report.open_count);
      served += report.active_count;
    }
    // Busy slots beyond the clients' requests are zombie work only.
    EXPECT_LE(served, model.in_flight_count() + 3 * 150);
  };
  check(10);
  ASSERT_TRUE(model.Terminate(nodes[0]).ok());
  check(10);
  ASSERT_TRUE(model.Restart(nodes[1], absl::Seconds(2)).ok());
  check(10);
  ASSERT_TRUE(model.Drain(nodes[2]).ok());
  check(10);
  EXPECT_GT(model.total().failed, 0);
  EXPECT_GT(model.total().completed, 10'000);
  // Nothing is in flight for ever: with every node gone each request ends.
  ASSERT_TRUE(model.Terminate(nodes[1]).ok());
  ASSERT_TRUE(model.Terminate(nodes[2]).ok());
  GoTo(model, After(model, 10));
  EXPECT_LT(model.in_flight_count(), 2000 * 0.7 + 200) << "at most what tries again within its back-off";
}

TEST(ClusterModel, RunsTheSameFromTheSameSeed) {
  const auto run = [](uint64_t seed) {
    ClusterSettings settings = Roomy(1500);
    settings.node.connection_limit = 100;
    settings.seed = seed;
    ClusterModel model(settings);
    const std::vector<NodeId> nodes = StartNodes(model, 3);
    GoTo(model, After(model, 30));
    std::vector<int64_t> all = {model.event_count(), model.total().completed, model.total().failed,
                                absl::ToInt64Nanoseconds(model.total().latency_sum)};
    for (const NodeId& node : nodes) all.push_back(model.Report(node).counters.accepted);
    return all;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(ClusterModel, HoldsIdleConnectionsUntilTheirTimeout) {
  ClusterSettings settings = Roomy(200);
  settings.phases = {{.duration = absl::Seconds(20), .requests_per_second = 200, .clients = 50},
                     {.duration = kForEver, .requests_per_second = 0}};
  ClusterModel model(settings);
  const NodeId node = StartNodes(model, 1)[0];
  GoTo(model, After(model, 25));
  const NodeReport quiet = model.Report(node);
  EXPECT_GE(quiet.open_count, 50);
  EXPECT_EQ(quiet.active_count, 0);
  EXPECT_EQ(quiet.client_count, 50);
  EXPECT_THAT(quiet.top_clients, SizeIs(8));
  int64_t idle = 0;
  for (const int64_t count : quiet.idle_age_counts) idle += count;
  EXPECT_EQ(idle, quiet.open_count);
  GoTo(model, After(model, 26));
  EXPECT_EQ(model.Report(node).open_count, 0);
  EXPECT_EQ(model.Report(node).counters.closed_idle, model.Report(node).counters.accepted);
}

TEST(ClusterModel, AppliesAShorterIdleTimeoutToWhatIsIdleAlready) {
  ClusterSettings settings = Roomy(200);
  settings.phases = {{.duration = absl::Seconds(20), .requests_per_second = 200, .clients = 50},
                     {.duration = kForEver, .requests_per_second = 0}};
  ClusterModel model(settings);
  const NodeId node = StartNodes(model, 1)[0];
  GoTo(model, After(model, 26));
  ASSERT_GE(model.Report(node).open_count, 50);
  ASSERT_TRUE(model.SetLimits(node, {.connection_count_max = 0, .idle_timeout = absl::Seconds(5)}).ok());
  GoTo(model, After(model, 0.1));
  EXPECT_EQ(model.Report(node).open_count, 0);
}

TEST(ClusterModel, ShedsTheOldestIdleConnectionsAndOnlyThose) {
  ClusterSettings settings = Roomy(200);
  settings.phases = {{.duration = absl::Seconds(10), .requests_per_second = 200, .clients = 50},
                     {.duration = kForEver, .requests_per_second = 0}};
  ClusterModel model(settings);
  const NodeId node = StartNodes(model, 1)[0];
  GoTo(model, After(model, 12));
  const int64_t open = model.Report(node).open_count;
  ASSERT_TRUE(model.Shed(node, {.connection_count = 20, .idle_min = absl::Seconds(20)}).ok());
  EXPECT_EQ(model.Report(node).open_count, open) << "none is idle for so long";
  ASSERT_TRUE(model.Shed(node, {.connection_count = 20, .idle_min = absl::Seconds(1)}).ok());
  EXPECT_EQ(model.Report(node).open_count, open - 20);
  EXPECT_EQ(model.Report(node).counters.shed, 20);
}

TEST(ClusterModel, DrainsANodeWithoutFailingARequest) {
  ClusterModel model(Roomy(500));
  const std::vector<NodeId> nodes = StartNodes(model, 2);
  GoTo(model, After(model, 10));
  ASSERT_TRUE(model.Drain(nodes[0]).ok());
  GoTo(model, After(model, 3));
  const NodeReport drained = model.Report(nodes[0]);
  EXPECT_EQ(drained.open_count, 0);
  EXPECT_EQ(drained.state, ServerState::kDraining);
  ASSERT_TRUE(model.Terminate(nodes[0]).ok());
  GoTo(model, After(model, 10));
  EXPECT_EQ(model.total().failed, 0);
  EXPECT_EQ(model.total().attempts, model.total().offered);
  EXPECT_FALSE(model.IsServing(nodes[0]));
  EXPECT_EQ(model.Terminate(nodes[0]).code(), absl::StatusCode::kNotFound);
}

TEST(ClusterModel, TakesANodeBackFromADrain) {
  ClusterModel model(Roomy(500));
  const NodeId node = StartNodes(model, 1)[0];
  GoTo(model, After(model, 1));
  ASSERT_TRUE(model.Drain(node).ok());
  ASSERT_TRUE(model.Undrain(node).ok());
  GoTo(model, After(model, 5));
  EXPECT_GT(model.Report(node).open_count, 0);
  EXPECT_EQ(model.Report(node).state, ServerState::kServing);
}

TEST(ClusterModel, ServesFromANewNodeOnlyWhenItHasBooted) {
  ClusterModel model(Roomy(100));
  const NodeId node = model.Launch({.launch_id = "a", .zone = "z", .boot = absl::Seconds(45)});
  ASSERT_THAT(model.Machines(), SizeIs(1));
  EXPECT_EQ(model.Machines()[0].state, Machine::State::kStarting);
  EXPECT_EQ(model.AdvanceTo(After(model, 100)), absl::UnixEpoch() + absl::Seconds(45));
  EXPECT_THAT(model.TakeChanges(), ElementsAre(Field(&NodeChange::what, NodeChange::What::kServing)));
  EXPECT_EQ(model.Machines()[0].state, Machine::State::kRunning);
  EXPECT_EQ(model.Hello(node).launch_id, "a");
  EXPECT_EQ(model.Hello(node).configured_idle_timeout, absl::Seconds(30));
}

TEST(ClusterModel, BeginsAnewAfterARestart) {
  ClusterModel model(Roomy(100));
  const NodeId node = StartNodes(model, 1)[0];
  ASSERT_TRUE(model.SetLimits(node, {.connection_count_max = 999}).ok());
  GoTo(model, After(model, 10));
  const std::string boot_id = model.Hello(node).boot_id;
  ASSERT_TRUE(model.Restart(node, absl::Seconds(1)).ok());
  EXPECT_THAT(model.TakeChanges(), ElementsAre(Field(&NodeChange::what, NodeChange::What::kStopped)));
  EXPECT_FALSE(model.IsServing(node));
  GoTo(model, After(model, 1.5));
  EXPECT_NE(model.Hello(node).boot_id, boot_id);
  EXPECT_EQ(model.Report(node).limits.connection_count_max, 0);
  EXPECT_LT(model.Report(node).counters.completed, 100);
}

TEST(ClusterModel, StopsAtTheFirstRejectionAndSaysSoOnce) {
  ClusterSettings settings = Roomy(2000);
  settings.node.connection_limit = 20;
  settings.client.retries_max = 0;
  ClusterModel model(settings);
  const NodeId node = StartNodes(model, 1)[0];
  const absl::Time end = After(model, 60);
  EXPECT_LT(model.AdvanceTo(end), end);
  const std::vector<NodeChange> changes = model.TakeChanges();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].urgency, Urgency::kLimitReached);
  const absl::Time second = After(model, 1);
  EXPECT_EQ(model.AdvanceTo(second), second) << "it was said";
  EXPECT_GT(model.Report(node).counters.rejected, 0);
}

}  // namespace
}  // namespace headroom::sim
