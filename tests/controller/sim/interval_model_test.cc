#include "controller/sim/interval_model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "controller/sim/cluster_model.h"
#include "controller/sim/runner.h"

namespace headroom::sim {
namespace {

// How connections are held against each other, as docs/planning.md promises.
constexpr double kConnectionsRatio = 0.15, kFailedRatio = 0.15, kFailedPoints = 0.005;

int64_t OpenCount(World& world) {
  int64_t open = 0;
  for (const Machine& machine : world.Machines()) {
    if (world.IsServing(machine.node)) open += world.Report(machine.node).open_count;
  }
  return open;
}

// The nodes alone, without anybody who decides.
struct Course {
  std::vector<double> open;  // each second
  ClientStatistics total;
  double failed_ratio(World& world, double from, double to) const {
    return world.Statistics(world.now() - Ago(from), world.now() - Ago(to)).failed_ratio();
  }
  absl::Duration Ago(double second) const { return absl::Seconds(static_cast<double>(open.size()) - second); }
  double OpenMean(int from, int to) const {
    return std::accumulate(open.begin() + from, open.begin() + to, 0.0) / (to - from);
  }
};

void GoTo(World& world, absl::Time until) {
  while (world.AdvanceTo(until) < until) {
    for (const NodeChange& change : world.TakeChanges()) {
      if (world.IsServing(change.node)) world.Report(change.node);  // calm again
    }
  }
}

Course Follow(World& world, int nodes, int seconds) {
  for (int node = 0; node < nodes; ++node) world.Launch({});
  Course course;
  const absl::Time start = world.now();
  for (int second = 1; second <= seconds; ++second) {
    GoTo(world, start + absl::Seconds(second));
    world.TakeChanges();
    course.open.push_back(static_cast<double>(OpenCount(world)));
  }
  course.total = world.total();
  return course;
}

void ExpectFailedNear(double ours, double reference, const std::string& what) {
  EXPECT_TRUE(std::abs(ours - reference) <= std::max(kFailedRatio * reference, kFailedPoints))
      << what << ": " << ours << " beside " << reference;
}

struct Case {
  std::string name;
  ClusterSettings settings;
  int nodes = 3;
  int from = 0, to = 0;  // seconds of the stretch that is compared
};

ClusterSettings Surge(double before, double in_surge, int64_t clients, int64_t clients_in_surge) {
  ClusterSettings settings;
  settings.phases = {{.duration = absl::Seconds(60), .requests_per_second = before, .clients = clients},
                     {.duration = absl::Seconds(60), .requests_per_second = in_surge, .clients = clients_in_surge},
                     {.duration = absl::Hours(1), .requests_per_second = before, .clients = clients}};
  return settings;
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  cases.push_back({.name = "calm", .settings = Surge(450, 450, 250, 250), .from = 40, .to = 120});
  cases.push_back({.name = "the outage", .settings = Surge(450, 1350, 250, 750), .from = 60, .to = 120});
  cases.push_back({.name = "the way back", .settings = Surge(450, 1350, 250, 750), .from = 120, .to = 180});
  ClusterSettings quick = Surge(450, 1350, 250, 750);
  quick.client.connect_timeout = absl::Seconds(1);
  cases.push_back({.name = "clients that give up early", .settings = quick, .from = 60, .to = 120});
  ClusterSettings no_retries = Surge(450, 1350, 250, 750);
  no_retries.client.retries_max = 0;
  cases.push_back({.name = "no retries", .settings = no_retries, .from = 60, .to = 120});
  ClusterSettings budget = Surge(450, 1350, 250, 750);
  budget.client.retry_budget_ratio = 0.1;
  cases.push_back({.name = "a retry budget", .settings = budget, .from = 60, .to = 120});
  ClusterSettings room = Surge(450, 1350, 250, 750);
  room.node.connection_limit = 2000;
  cases.push_back({.name = "a surge that finds room", .settings = room, .from = 60, .to = 120});
  ClusterSettings brief = room;
  brief.node.idle_timeout = absl::Seconds(5);
  cases.push_back({.name = "a brief idle timeout", .settings = brief, .from = 40, .to = 120});
  ClusterSettings spread = Surge(300, 600, 60, 60);
  spread.client.spread = Spread::kRequests;
  spread.client.connections_max = 0;
  spread.node.connection_limit = 0;
  cases.push_back({.name = "requests spread over nodes", .settings = spread, .from = 20, .to = 120});
  ClusterSettings slow = Surge(300, 900, 250, 250);
  slow.node.knee = 20;
  slow.node.connection_limit = 0;
  cases.push_back({.name = "up to the knee", .settings = slow, .from = 60, .to = 120});
  return cases;
}

TEST(IntervalModel, GoesTheWayOfTheRequestLevelModel) {
  for (const Case& one : Cases()) {
    SCOPED_TRACE(one.name);
    ClusterModel requests(one.settings);
    IntervalModel intervals(one.settings);
    const Course reference = Follow(requests, one.nodes, 180), ours = Follow(intervals, one.nodes, 180);
    const double open = reference.OpenMean(one.from, one.to);
    EXPECT_GT(open, 50) << "else nothing is compared";
    EXPECT_NEAR(ours.OpenMean(one.from, one.to), open, kConnectionsRatio * open);
    ExpectFailedNear(ours.failed_ratio(intervals, one.from, one.to), reference.failed_ratio(requests, one.from, one.to),
                     "failed");
    const auto offered = static_cast<double>(requests.total().offered);
    EXPECT_NEAR(static_cast<double>(intervals.total().offered), offered, 0.02 * offered);
    if (intervals.total().failed == 0) {
      EXPECT_NEAR(
          absl::ToDoubleMilliseconds(ours.total.latency_sum) / static_cast<double>(ours.total.completed),
          absl::ToDoubleMilliseconds(reference.total.latency_sum) / static_cast<double>(reference.total.completed), 4);
    }
  }
}

TEST(IntervalModel, LosesNoRequest) {
  IntervalModel model(Surge(450, 1350, 250, 750));
  Follow(model, 3, 300);
  const ClientStatistics& total = model.total();
  EXPECT_GT(total.failed, 10'000);
  EXPECT_NEAR(static_cast<double>(total.completed + total.failed), static_cast<double>(total.offered), 30);
  EXPECT_GT(total.attempts, total.offered);
}

TEST(IntervalModel, RunsTheSameTwice) {
  const auto run = [] {
    IntervalModel model(Surge(450, 1350, 250, 750));
    Follow(model, 3, 150);
    return std::vector<int64_t>{model.total().completed, model.total().failed, model.total().attempts,
                                model.step_count()};
  };
  EXPECT_EQ(run(), run());
}

TEST(IntervalModel, SaysAtOnceThatALimitIsReached) {
  IntervalModel model(Surge(450, 1350, 250, 750));
  Follow(model, 3, 60);
  const absl::Time surge = model.now();
  const absl::Time turned = model.AdvanceTo(surge + absl::Seconds(10));
  EXPECT_LT(turned, surge + absl::Seconds(1));
  const std::vector<NodeChange> changes = model.TakeChanges();
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes[0].what, NodeChange::What::kTurned);
  EXPECT_EQ(OpenCount(model), 600);
}

TEST(IntervalModel, FailsWhatNobodyServes) {
  IntervalModel model(Surge(100, 100, 50, 50));
  GoTo(model, model.now() + absl::Seconds(20));
  EXPECT_GT(model.total().failed, 1500);
  EXPECT_EQ(model.total().completed, 0);
}

TEST(IntervalModel, TakesConnectionsOfANodeThatIsGoneElsewhere) {
  IntervalModel model(Surge(300, 300, 100, 100));
  Follow(model, 3, 60);
  const int64_t before = OpenCount(model);
  ASSERT_TRUE(model.Terminate(model.Machines()[0].node).ok());
  GoTo(model, model.now() + absl::Seconds(30));
  EXPECT_EQ(model.Machines().size(), 2U);
  EXPECT_NEAR(static_cast<double>(OpenCount(model)), static_cast<double>(before), 0.1 * static_cast<double>(before));
}

TEST(IntervalModel, DrainsANodeAndTakesItBack) {
  IntervalModel model(Surge(300, 300, 100, 100));
  Follow(model, 3, 60);
  const NodeId node = model.Machines()[0].node;
  ASSERT_TRUE(model.Drain(node).ok());
  EXPECT_FALSE(model.Drain(node).ok());
  GoTo(model, model.now() + absl::Seconds(5));
  EXPECT_EQ(model.Report(node).open_count, 0);
  EXPECT_EQ(model.Report(node).state, ServerState::kDraining);
  ASSERT_TRUE(model.Undrain(node).ok());
  GoTo(model, model.now() + absl::Seconds(60));
  EXPECT_GT(model.Report(node).open_count, 10);
  EXPECT_EQ(model.total().failed, 0);
}

TEST(IntervalModel, RestartsAndTerminatesNodesThatRequestsAreSpreadOver) {
  ClusterSettings settings = Surge(300, 600, 60, 60);
  settings.client.spread = Spread::kRequests;
  settings.client.connections_max = 0;
  IntervalModel world(settings);
  Follow(world, 3, 20);
  ASSERT_TRUE(world.Restart("sim-1", absl::Seconds(10)).ok());
  ASSERT_TRUE(world.Restart("sim-2", absl::Seconds(10)).ok());
  GoTo(world, world.now() + absl::Seconds(5));
  ASSERT_TRUE(world.Restart("sim-1", absl::Seconds(10)).ok()) << "again, while it is down";
  ASSERT_TRUE(world.Terminate("sim-2").ok()) << "while it is down";
  GoTo(world, world.now() + absl::Seconds(30));
  ASSERT_TRUE(world.IsServing("sim-1"));
  EXPECT_FALSE(world.IsServing("sim-2"));
  EXPECT_GT(world.Report("sim-1").counters.completed, 0) << "it is given requests again";
  EXPECT_LT(world.Statistics(world.now() - absl::Seconds(10), world.now()).failed_ratio(), 0.01);
}

TEST(IntervalModel, ShedsTheLongestIdleAndNoBusyOne) {
  IntervalModel model(Surge(300, 300, 100, 100));
  Follow(model, 1, 60);
  const NodeId node = model.Machines()[0].node;
  const int64_t open = model.Report(node).open_count, active = model.Report(node).active_count;
  ASSERT_TRUE(model.Shed(node, {.connection_count = 10, .idle_min = absl::ZeroDuration()}).ok());
  EXPECT_EQ(model.Report(node).open_count, open - 10);
  ASSERT_TRUE(model.Shed(node, {.connection_count = 10'000, .idle_min = absl::ZeroDuration()}).ok());
  EXPECT_NEAR(static_cast<double>(model.Report(node).open_count), static_cast<double>(active), 1);
}

// The production loop over both.
struct Outcome {
  std::vector<double> open, nodes, effective;  // each second; the last as decisions have it, a dry run's of its shadow
  double failed_ratio = 0;
  std::set<Cause> causes;
};

constexpr int kSeconds = 3600;  // until the nodes that are too many have left

Outcome RunOver(const Scenario& scenario, std::unique_ptr<World> world) {
  SimRunner run(scenario, std::move(world));
  Outcome outcome;
  for (int second = 1; second <= kSeconds; ++second) {
    run.RunUntil(run.start() + absl::Seconds(second));
    outcome.open.push_back(static_cast<double>(OpenCount(run.cluster().model())));
    outcome.nodes.push_back(static_cast<double>(run.cluster().model().Machines().size()));
    outcome.effective.push_back(run.Latest()->effective_count);
  }
  outcome.failed_ratio = run.cluster().model().total().failed_ratio();
  outcome.causes = run.summary().causes;
  return outcome;
}

TEST(IntervalModel, LeadsTheProductionLoopToTheSameDecisions) {
  for (const Mode mode : {Mode::kDryRun, Mode::kLive}) {
    SCOPED_TRACE(mode == Mode::kLive ? "live" : "dry run");
    Scenario scenario;
    scenario.policy.mode = mode;
    scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
    scenario.policy.limits.law.ceiling_count = 2000;
    scenario.cluster.initial_count = 3;
    scenario.cluster.settings.phases = {
        {.duration = absl::Minutes(10), .requests_per_second = 450, .clients = 150},
        {.duration = absl::Minutes(5), .requests_per_second = 1350, .clients = 750},
        {.duration = absl::Hours(1000), .requests_per_second = 450, .clients = 150},
    };
    const Outcome reference = RunOver(scenario, std::make_unique<ClusterModel>(scenario.cluster.settings));
    const Outcome ours = RunOver(scenario, std::make_unique<IntervalModel>(scenario.cluster.settings));
    const auto mean = [](const std::vector<double>& values) {
      return std::accumulate(values.begin() + 600, values.begin() + 900, 0.0) / 300;
    };
    EXPECT_NEAR(mean(ours.open), mean(reference.open), kConnectionsRatio * mean(reference.open));
    ExpectFailedNear(ours.failed_ratio, reference.failed_ratio, "failed");
    constexpr size_t kApart = 15;  // seconds
    for (size_t second = kApart; second + kApart < kSeconds; ++second) {
      double nearest = 1e9;
      for (size_t other = second - kApart; other <= second + kApart; ++other) {
        nearest = std::min(nearest, std::abs(reference.effective[other] - ours.effective[second]));
      }
      ASSERT_LE(nearest, 1) << "nodes after " << second << " s";
    }
    const auto most = [](const Outcome& outcome) {
      return *std::max_element(outcome.effective.begin(), outcome.effective.end());
    };
    EXPECT_LT(reference.effective.back(), most(reference)) << "else no way back is compared";
    EXPECT_NEAR(ours.nodes.back(), reference.nodes.back(), 1) << "machines, none of which a dry run launches";
    EXPECT_TRUE(ours.causes.contains(Cause::kSurge));
  }
}

}  // namespace
}  // namespace headroom::sim
