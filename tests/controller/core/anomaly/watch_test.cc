#include "controller/core/anomaly/watch.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace headroom {
namespace {

// A cluster in sums, as a tick sees it: what clients want has a daily cycle and noise; the rest follows from it.
class Days {
 public:
  explicit Days(uint64_t seed) : random_(seed) {}

  // The next ten seconds. `change` is the last to touch them.
  template <typename Change>
  void Step(AnomalyWatch& watch, Change&& change) {
    now_ += AnomalyWatch::kSample;
    noise_ = 0.85 * noise_ + 0.026 * Normal();
    const double hours = absl::ToDoubleHours(now_ - absl::UnixEpoch());
    demand_ = 1000 * (1 + 0.6 * std::sin(2 * std::numbers::pi * (hours - 9) / 24)) * (1 + noise_);
    FleetSummary summary;
    summary.carrying = summary.fresh = summary.serving = 10;
    summary.demand = static_cast<int64_t>(demand_);
    summary.open = static_cast<int64_t>(demand_ * (1 + 0.01 * Normal()));
    summary.accepted = demand_ * 0.3 * (1 + 0.05 * Normal());
    summary.completed = demand_ * 2 * (1 + 0.03 * Normal());
    summary.sent_bytes = summary.completed * 50e3 * (1 + 0.1 * Normal());
    summary.errors = Uniform() < 0.02 ? 0.5 * Uniform() : 0;
    const double micros = 80e3 * (1 + 0.2 * demand_ / 1600) * std::exp(0.2 * Normal());
    for (int i = 0; i < 100; ++i) summary.latency.Add(absl::Microseconds(static_cast<int64_t>(micros)));
    change(summary);
    watch.Observe({summary, FleetSpread(absl::Seconds(5), now_), policy_, now_});
  }
  void Run(AnomalyWatch& watch, absl::Duration time) {
    for (const absl::Time end = now_ + time; now_ < end;) Step(watch, [](FleetSummary&) {});
  }

  Policy policy_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);

 private:
  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double Normal() { return std::sqrt(-2 * std::log(1 - Uniform())) * std::cos(2 * std::numbers::pi * Uniform()); }

  std::mt19937_64 random_;
  double noise_ = 0, demand_ = 0;
};

const AnomalyIncident* Of(const AnomalyWatch& watch, WatchedSeries series) {
  const auto& all = watch.incidents();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.series == series; });
  return found == all.end() ? nullptr : &*found;
}

TEST(AnomalyWatch, AHealthyDailyCycleIsUnusualForLessThanAFiveHundredthOfTheTime) {
  int steps = 0, held = 0, told = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Days days(seed);
    AnomalyWatch watch;
    for (int i = 0; i < 14 * 8640; ++i) {
      days.Step(watch, [](FleetSummary&) {});
      ++steps;
      held += watch.incidents().empty() ? 0 : 1;
      told += static_cast<int>(std::count_if(watch.incidents().begin(), watch.incidents().end(),
                                             [&](const auto& incident) { return incident.since == days.now_; }));
    }
  }
  EXPECT_LT(held, steps / 500);
  EXPECT_LT(told, 42) << "less than one a day, over 42 days";
}

// Two usual days, then `change` for as long as told.
struct Incident {
  explicit Incident(uint64_t seed) : days(seed) { days.Run(watch, absl::Hours(48)); }
  template <typename Change>
  void Run(absl::Duration time, Change&& change) {
    for (const absl::Time end = days.now_ + time; days.now_ < end;) days.Step(watch, change);
  }
  Days days;
  AnomalyWatch watch;
};

TEST(AnomalyWatch, ADropIsHeldUntilItIsOverOrBelieved) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Incident drop(seed);
    const auto quarter = [](FleetSummary& sums) { sums.demand /= 4; };
    drop.Run(absl::Minutes(2), quarter);
    const AnomalyIncident* told = Of(drop.watch, WatchedSeries::kDemand);
    ASSERT_NE(told, nullptr) << seed;
    EXPECT_LT(told->seen, told->expected);
    EXPECT_GT(told->score, 0.5);
    AnomalyWatch back = drop.watch;
    Days days = drop.days;
    days.Run(back, absl::Minutes(2));
    EXPECT_EQ(Of(back, WatchedSeries::kDemand), nullptr) << "the load is back";
    drop.Run(absl::Minutes(15), quarter);
    EXPECT_EQ(Of(drop.watch, WatchedSeries::kDemand), nullptr) << "that is how it is now";
  }
}

TEST(AnomalyWatch, ASurgeIsToldWithWhatALeadTimeBrought) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Incident surge(seed);
    EXPECT_FALSE(surge.watch.DemandSurge(absl::Minutes(2)).has_value());
    double factor = 1;
    surge.Run(absl::Minutes(2), [&](FleetSummary& sums) {
      factor += 0.15;
      sums.demand = static_cast<int64_t>(static_cast<double>(sums.demand) * factor);
    });
    const auto told = surge.watch.DemandSurge(absl::Minutes(2));
    ASSERT_TRUE(told.has_value()) << seed;
    EXPECT_GT(told->now, 2 * told->before);
    EXPECT_GT(told->sigmas, 0);
    EXPECT_LE(told->in, absl::Minutes(2));
  }
}

TEST(AnomalyWatch, FailuresAndSlownessAreIncidentsAndTheirEndIsNot) {
  Incident incident(1);
  incident.Run(absl::Minutes(1), [](FleetSummary& sums) {
    sums.errors = 0.2 * sums.completed;
    sums.latency.Add(absl::Seconds(3));
    for (int i = 0; i < 10; ++i) sums.latency.Add(absl::Seconds(3));
  });
  EXPECT_NE(Of(incident.watch, WatchedSeries::kFailures), nullptr);
  EXPECT_NE(Of(incident.watch, WatchedSeries::kLatency), nullptr);
  incident.Run(absl::Minutes(3), [](FleetSummary& sums) {
    sums.latency = {};
    for (int i = 0; i < 100; ++i) sums.latency.Add(absl::Milliseconds(20));
  });
  EXPECT_EQ(Of(incident.watch, WatchedSeries::kFailures), nullptr);
  EXPECT_EQ(Of(incident.watch, WatchedSeries::kLatency), nullptr);
}

TEST(AnomalyWatch, MissingDataIsNoDrop) {
  Incident missing(2);
  missing.Run(absl::Minutes(10), [](FleetSummary& sums) {
    sums = {};
    sums.carrying = 10;
  });
  EXPECT_TRUE(missing.watch.incidents().empty());
}

TEST(AnomalyWatch, OffItKnowsNothing) {
  Incident off(1);
  off.days.policy_.anomaly.enabled = false;
  off.Run(absl::Minutes(2), [](FleetSummary& sums) { sums.demand *= 4; });
  EXPECT_TRUE(off.watch.incidents().empty());
}

// Nodes beside each other, a second at a time.
class Nodes {
 public:
  explicit Nodes(size_t count) : nodes(count) {
    for (Node& node : nodes) {
      node.state = NodeState::kServing;
      node.report.open_count = 100;
      node.hello.configured_count_max = node.report.limits.connection_count_max = 200;
      node.id = "node-" + std::to_string(&node - nodes.data());
    }
  }
  void Run(absl::Duration time) {
    for (const absl::Time end = now + time; now < end;) {
      now += absl::Seconds(1);
      FleetSummary summary;
      summary.carrying = summary.serving = static_cast<int>(nodes.size());
      FleetSpread spread(absl::Seconds(5), now);
      for (Node& node : nodes) {
        if (!silent.contains(node.id)) node.last_report_at = now;
        summary.fresh += now - node.last_report_at <= absl::Seconds(5) ? 1 : 0;
        spread.Add(node);
      }
      watch.Observe({summary, spread, Policy(), now});
    }
  }
  std::vector<Node> nodes;
  std::set<NodeId> silent;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  AnomalyWatch watch;
};

TEST(AnomalyWatch, OneSilentNodeOfThreeIsAnIncidentUntilItSpeaksAgain) {
  Nodes fleet(3);
  fleet.Run(absl::Minutes(5));
  EXPECT_TRUE(fleet.watch.incidents().empty());
  fleet.silent = {"node-1"};
  fleet.Run(absl::Seconds(10));
  const AnomalyIncident* told = Of(fleet.watch, WatchedSeries::kSilentNodes);
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->node, "node-1");
  EXPECT_EQ(told->kind, AnomalyKind::kSilence);
  fleet.silent = {};
  fleet.Run(absl::Seconds(70));
  EXPECT_TRUE(fleet.watch.incidents().empty());
}

TEST(AnomalyWatch, OneSilentNodeOfTwelveIsToldForAsLongAsIncidentsAreHeld) {
  Nodes fleet(12);
  fleet.Run(absl::Minutes(5));
  fleet.silent = {"node-1"};
  for (int minute = 0; minute < 14; ++minute) {
    fleet.Run(absl::Minutes(1));
    ASSERT_NE(Of(fleet.watch, WatchedSeries::kSilentNodes), nullptr) << "usual after " << minute << " minutes";
  }
  fleet.Run(absl::Minutes(20));
  EXPECT_EQ(Of(fleet.watch, WatchedSeries::kSilentNodes), nullptr) << "it is how things are";
}

TEST(AnomalyWatch, InALargeFleetASilentNodeMoreIsUsual) {
  Nodes fleet(500);
  for (int i = 0; i < 20; ++i) fleet.silent.insert("node-" + std::to_string(i));
  fleet.Run(absl::Hours(4));
  EXPECT_TRUE(fleet.watch.incidents().empty()) << "twenty have been silent for hours";
  fleet.silent.insert("node-100");
  fleet.Run(absl::Minutes(1));
  EXPECT_TRUE(fleet.watch.incidents().empty());
  for (int i = 200; i < 220; ++i) fleet.silent.insert("node-" + std::to_string(i));
  fleet.Run(absl::Minutes(1));
  EXPECT_NE(Of(fleet.watch, WatchedSeries::kSilentNodes), nullptr);
}

TEST(AnomalyWatch, ANodeThatIsFullBesideHalfEmptyOnesIsHot) {
  Nodes fleet(5);
  fleet.Run(absl::Minutes(5));
  fleet.nodes[3].report.open_count = 190;
  fleet.Run(absl::Seconds(5));
  EXPECT_TRUE(fleet.watch.incidents().empty()) << "a moment is no incident";
  fleet.Run(absl::Seconds(10));
  const AnomalyIncident* told = Of(fleet.watch, WatchedSeries::kHotNode);
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->node, "node-3");
  EXPECT_NEAR(told->seen, 0.95, 0.01);
  EXPECT_NEAR(told->expected, 0.5, 0.02);
}

TEST(AnomalyWatch, AFleetThatIsFullAllOverOrUnevenByNatureHasNoHotNode) {
  Nodes full(5);
  for (Node& node : full.nodes) node.report.open_count = 195;
  full.Run(absl::Minutes(5));
  EXPECT_TRUE(full.watch.incidents().empty());
  Nodes uneven(40);
  for (size_t i = 0; i < uneven.nodes.size(); ++i) uneven.nodes[i].report.open_count = 20 + static_cast<int64_t>(4 * i);
  uneven.Run(absl::Minutes(5));
  EXPECT_TRUE(uneven.watch.incidents().empty());
}

}  // namespace
}  // namespace headroom
