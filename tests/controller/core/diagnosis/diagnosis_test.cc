#include "controller/core/diagnosis/diagnosis.h"

#include <map>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/core/diagnosis/generated_cluster.h"

namespace headroom {
namespace {

constexpr int kSeeds = 5;

int Named(const std::map<Cause, int>& said) {
  int named = 0;
  for (const auto& [cause, count] : said) named += cause >= Cause::kSurge ? count : 0;
  return named;
}

TEST(Diagnosis, ACalmClusterIsWell) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    GeneratedCluster cluster({}, seed);
    EXPECT_THAT(PlayFor(cluster, 200, Everyday), testing::ElementsAre(testing::Pair(Cause::kNone, 400)));
    EXPECT_THAT(RenderReason(cluster.memory().last.reason), testing::StartsWith("Nothing is wrong: 5"));
    EXPECT_THAT(cluster.memory().last.ruled_out, testing::IsEmpty());
  }
}

TEST(Diagnosis, AClusterWithFewRequestsIsWell) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    GeneratedCluster cluster({.nodes = 2}, seed);
    const auto said = PlayFor(cluster, 300, [](int, int, NodeWeather& w) {
      w.requests = 1.5;
      w.connections = 4;
      w.arrivals = 0.3;
    });
    EXPECT_THAT(said, testing::ElementsAre(testing::Pair(Cause::kNone, 600)));
  }
}

TEST(Diagnosis, GrowthThatFitsIsNoTrouble) {
  GeneratedCluster cluster({}, 1);
  const auto said =
      PlayFor(cluster, 120, [](int s, int, NodeWeather& w) { Scale(w, s < 40 ? 0.5 : 0.5 + 0.01 * (s - 40)); });
  EXPECT_THAT(said, testing::ElementsAre(testing::Pair(Cause::kNone, 240)));
}

TEST(Diagnosis, AQuietNightIsNoTrouble) {
  GeneratedCluster cluster({}, 1);
  const auto said = PlayFor(cluster, 200, [](int s, int, NodeWeather& w) { Scale(w, s < 40 ? 1 : 0.1); });
  EXPECT_THAT(said, testing::ElementsAre(testing::Pair(Cause::kNone, 400)));
}

TEST(Diagnosis, ARollingRestartIsNotMistaken) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    GeneratedCluster cluster({.nodes = 5, .has_balancer = true}, seed);
    const auto said = PlayFor(cluster, 150, [](int s, int i, NodeWeather& w) {
      const int down = s >= 30 ? (s - 30) / 12 : -1;  // a node every 12 s, each down for 6 s
      const bool one_is_down = down >= 0 && down < 5 && (s - 30) % 12 < 6;
      w.serves = !(one_is_down && i == down);
      if (one_is_down) {
        w.connections *= 1.25;
        w.requests *= 1.25;
        w.arrivals *= 5;
        w.failed_connects = i == down ? 10 : 0;
      }
    });
    EXPECT_EQ(Named(said), 0) << Explain(cluster.memory().last);
    EXPECT_GT(said.at(Cause::kNone), 250);
  }
}

TEST(Diagnosis, ALostNodeIsNotMistaken) {
  for (const bool balanced : {false, true}) {
    GeneratedCluster cluster({.nodes = 4, .has_balancer = balanced, .balancer_sees_up = false}, 3);
    const auto said = PlayFor(cluster, 120, [](int s, int i, NodeWeather& w) {
      if (s < 30) return;
      if (i == 2) w.reports = false;
      w.connections *= 1.33;
      w.requests *= 1.33;
    });
    EXPECT_EQ(Named(said), 0);
  }
}

TEST(Diagnosis, AGoodDeployIsNoTrouble) {
  GeneratedCluster cluster({}, 2);
  PlayFor(cluster, 40, Everyday);
  for (int i = 0; i < 4; ++i) {
    cluster.Change(i, "server/1.5.0", "cfg-2");
    EXPECT_THAT(PlayFor(cluster, 15, Everyday), testing::ElementsAre(testing::Pair(Cause::kNone, 30)));
  }
}

TEST(Diagnosis, EmptyNewNodesAreNoTrouble) {
  GeneratedCluster cluster({.nodes = 3}, 2);
  PlayFor(cluster, 40, Everyday);
  cluster.AddNode();
  cluster.AddNode();
  const auto said = PlayFor(cluster, 60, [](int, int i, NodeWeather& w) {
    if (i >= 3) Scale(w, 0.05);
  });
  EXPECT_THAT(said, testing::ElementsAre(testing::Pair(Cause::kNone, 120)));
}

// Two nodes come that get nothing to do, while each of the others is newly connected to so many times a second.
std::map<Cause, int> SaidOfIdleSpares(const ClusterSetup& setup, double arrivals) {
  GeneratedCluster cluster(setup, 2);
  const auto play = [&](int seconds) {
    return PlayFor(cluster, seconds, [&](int, int i, NodeWeather& w) {
      w.arrivals = arrivals;
      if (i < 3) return;
      w.requests = w.retries = w.connections = w.arrivals = 0;
    });
  };
  play(40);
  cluster.AddNode();
  cluster.AddNode();
  return play(60);
}

TEST(Diagnosis, SparesThatNobodyHasReasonToConnectToAreNoTrouble) {
  const ClusterSetup keeping{.nodes = 3, .keeps_clients = true}, hidden{.nodes = 3, .tells_clients = false};
  EXPECT_THAT(SaidOfIdleSpares(keeping, 0), testing::ElementsAre(testing::Pair(Cause::kNone, 120)));
  EXPECT_THAT(SaidOfIdleSpares(hidden, 0), testing::ElementsAre(testing::Pair(Cause::kNone, 120)));
  EXPECT_THAT(SaidOfIdleSpares(keeping, 4), testing::Contains(testing::Key(Cause::kImbalance)));
}

TEST(Diagnosis, SparesThatAreUnknownToClientsWhoAskAllTheOthersArePassedOver) {
  EXPECT_THAT(SaidOfIdleSpares({.nodes = 3}, 0), testing::Contains(testing::Key(Cause::kImbalance)));
}

TEST(Diagnosis, NodesThatNobodyHasFoundDoNotMakeTheOthersHot) {
  GeneratedCluster cluster({.nodes = 2, .keeps_clients = true}, 2);
  PlayFor(cluster, 40, Everyday);
  for (int i = 0; i < 4; ++i) cluster.AddNode();
  const auto said = PlayFor(cluster, 60, [](int, int i, NodeWeather& w) {
    w.connections = 230;
    if (i >= 2) w.requests = w.retries = w.connections = w.arrivals = 0;
  });
  EXPECT_THAT(said, testing::Not(testing::Contains(testing::Key(Cause::kHotNode))));
  EXPECT_THAT(said, testing::Contains(testing::Key(Cause::kImbalance)));
}

TEST(Diagnosis, TheOneHealthyNodeOfManySlowOnesIsNotHot) {
  GeneratedCluster cluster({}, 2);
  PlayFor(cluster, 40, Everyday);
  const auto said = PlayFor(cluster, 60, [](int, int i, NodeWeather& w) {
    if (i == 3) return;
    w.requests = 15;
    w.service_ms = 1500;
  });
  EXPECT_THAT(said, testing::Not(testing::Contains(testing::Key(Cause::kHotNode))));
  EXPECT_THAT(said, testing::Contains(testing::Key(Cause::kCannotTell)));
}

// What is said of errors that begin so many seconds after a release has come everywhere.
std::map<Cause, int> SaidOfErrorsAfterARelease(int seconds) {
  GeneratedCluster cluster({}, 2);
  PlayFor(cluster, 40, Everyday);
  for (int i = 0; i < 4; ++i) cluster.Change(i, "server/1.5.0", "cfg-2");
  PlayFor(cluster, seconds, Everyday);
  return PlayFor(cluster, 30, [](int, int, NodeWeather& w) { w.error_ratio = 0.2; });
}

TEST(Diagnosis, ErrorsThatBeginLongAfterAReleaseHasSettledAreNotItsDoing) {
  EXPECT_THAT(SaidOfErrorsAfterARelease(2), testing::Contains(testing::Key(Cause::kBadDeploy)));
  EXPECT_THAT(SaidOfErrorsAfterARelease(25), testing::Not(testing::Contains(testing::Key(Cause::kBadDeploy))));
  EXPECT_THAT(SaidOfErrorsAfterARelease(60), testing::Contains(testing::Key(Cause::kSoftware)));
}

TEST(Diagnosis, ASurgeAfterAGoodDeployIsASurge) {
  GeneratedCluster cluster({.version_age = absl::Minutes(1)}, 4);
  PlayFor(cluster, 30, Everyday);
  const auto said = PlayFor(cluster, 20, [](int, int, NodeWeather& w) { Scale(w, 3); });
  EXPECT_EQ(Named(said), said.at(Cause::kSurge));
  EXPECT_GE(said.at(Cause::kSurge), 32);
  std::string text;
  for (const Reason& reason : cluster.memory().last.ruled_out) absl::StrAppend(&text, RenderReason(reason), " ");
  EXPECT_THAT(text, testing::HasSubstr("Not a deploy: 100 % of the nodes changed version or configuration 1m"));
}

TEST(Diagnosis, WithoutAPastASurgeIsNotClaimed) {
  GeneratedCluster cluster({}, 4);
  const auto said = PlayFor(cluster, 30, [](int, int, NodeWeather& w) { Scale(w, 3); });
  EXPECT_EQ(Named(said), 0);
  EXPECT_GT(said.at(Cause::kCannotTell), 50);
  EXPECT_THAT(RenderReason(cluster.memory().last.ruled_out.front()), testing::HasSubstr("too little history"));
}

TEST(Diagnosis, TheCauseOutlivesAShortReliefAndEndsWithTheTrouble) {
  GeneratedCluster cluster({}, 5);
  PlayFor(cluster, 30, Everyday);
  PlayFor(cluster, 10, [](int, int, NodeWeather& w) { Scale(w, 3); });
  ASSERT_EQ(cluster.memory().last.cause, Cause::kSurge);
  const absl::Time since = cluster.memory().last.since;
  EXPECT_THAT(PlayFor(cluster, 5, Everyday), testing::ElementsAre(testing::Pair(Cause::kSurge, 10)));
  PlayFor(cluster, 10, [](int, int, NodeWeather& w) { Scale(w, 3); });
  EXPECT_EQ(cluster.memory().last.since, since);
  PlayFor(cluster, 15, Everyday);
  EXPECT_EQ(cluster.memory().last.cause, Cause::kNone);
}

TEST(Diagnosis, WhatIsUsualStandsStillWhileThereIsTrouble) {
  GeneratedCluster cluster({}, 6);
  PlayFor(cluster, 60, Everyday);
  const double usual = *cluster.memory().series.usual()->Get(Metric::kDemand);
  PlayFor(cluster, 300, [](int, int, NodeWeather& w) { Scale(w, 3); });
  EXPECT_EQ(*cluster.memory().series.usual()->Get(Metric::kDemand), usual);
  EXPECT_EQ(cluster.memory().last.cause, Cause::kSurge);
}

TEST(Diagnosis, WellUsedSlotsThatHurtNobodyBecomeTheNewUsual) {
  GeneratedCluster cluster({}, 6);
  cluster.policy().control.baseline_window = absl::Minutes(1);
  PlayFor(cluster, 60, Everyday);
  const auto busier = [](int, int, NodeWeather& w) { Scale(w, 1.45); };
  EXPECT_GT(Named(PlayFor(cluster, 30, busier)), 0);
  PlayFor(cluster, 120, busier);
  EXPECT_THAT(PlayFor(cluster, 30, busier), testing::ElementsAre(testing::Pair(Cause::kNone, 60)));
}

TEST(Diagnosis, ABlipLongBeforeASurgeDoesNotMakeItForgetWhatIsUsual) {
  for (int gap = 8; gap <= 14; ++gap) {
    GeneratedCluster cluster({}, 8);
    cluster.policy().control.baseline_window = absl::Seconds(10);
    PlayFor(cluster, 20, Everyday);
    PlayFor(cluster, 1, [](int, int, NodeWeather& w) { w.error_ratio = 0.5; });
    PlayFor(cluster, gap, Everyday);
    PlayFor(cluster, 1, [](int, int, NodeWeather& w) { Scale(w, 1.45); });  // full slots first, rejections then
    PlayFor(cluster, 8, [](int, int, NodeWeather& w) { Scale(w, 3); });
    EXPECT_EQ(cluster.memory().last.cause, Cause::kSurge) << "after " << gap << " s of calm";
  }
}

TEST(Diagnosis, GoesOnFromACopyAsIfNothingHadHappened) {
  GeneratedCluster one({}, 7);
  PlayFor(one, 40, Everyday);
  GeneratedCluster two = one;
  const auto surge = [](int, int, NodeWeather& w) { Scale(w, 3); };
  EXPECT_EQ(PlayFor(one, 20, surge), PlayFor(two, 20, surge));
  EXPECT_EQ(one.memory().last.reason, two.memory().last.reason);
  EXPECT_EQ(one.memory().last.ruled_out, two.memory().last.ruled_out);
}

// `dead` of the nodes fall silent at second 40 and are down for the balancers, where there are any.
std::map<Cause, int> PlayDeaths(GeneratedCluster& cluster, int dead) {
  const Week week = [dead](int s, int i, NodeWeather& w) { w.reports = s < 40 || i >= dead; };
  PlayFor(cluster, 100, week);
  return PlayFor(cluster, 10, [dead](int, int i, NodeWeather& w) { w.reports = i >= dead; });
}

TEST(Diagnosis, NodesThatAreDownAreSaidToBe) {
  for (const bool has_balancer : {true, false}) {
    for (const int dead : {1, 3}) {
      GeneratedCluster cluster({.nodes = 3, .has_balancer = has_balancer, .balancer_sees_up = false}, 1);
      const auto said = PlayDeaths(cluster, dead);
      EXPECT_EQ(said.count(Cause::kNone), 0u) << dead << " dead, balancer " << has_balancer;
      if (cluster.memory().last.cause != Cause::kCannotTell) continue;
      EXPECT_THAT(RenderReason(cluster.memory().last.reason),
                  testing::HasSubstr(absl::StrCat(dead, " of 3 nodes are down")));
    }
  }
}

TEST(Diagnosis, ANodeThatIsDownAndThatNobodyFeelsIsNoTrouble) {
  GeneratedCluster cluster({.nodes = 10, .has_balancer = true, .balancer_sees_up = false}, 1);
  const auto said = PlayDeaths(cluster, 1);
  EXPECT_GT(said.count(Cause::kCannotTell), 0u) << "it is said";
  EXPECT_EQ(cluster.memory().trouble.onset, absl::InfiniteFuture()) << "and the calm goes on being learned";
}

TEST(Diagnosis, ACauseThatIsOverIsNotNamedForWhatIsWrongNow) {
  GeneratedCluster cluster({.nodes = 5}, 1);
  PlayFor(cluster, 60, Everyday);
  const auto surge = PlayFor(cluster, 30, [](int, int, NodeWeather& w) { Scale(w, 2.5); });
  ASSERT_GT(surge.count(Cause::kSurge), 0u);
  const Week one_is_dead = [](int, int i, NodeWeather& w) { w.reports = i != 0; };
  PlayFor(cluster, 60, one_is_dead);
  const auto said = PlayFor(cluster, 10, one_is_dead);
  EXPECT_EQ(said.count(Cause::kSurge), 0u);
  EXPECT_GT(said.count(Cause::kCannotTell), 0u);
}

}  // namespace
}  // namespace headroom
