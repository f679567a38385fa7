#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/core/diagnosis/generated_cluster.h"

// What diagnosis once took for something else, or did not see: incidents as operators tell them.

namespace headroom {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Key;
using testing::Not;
using testing::Pair;

TEST(DiagnosisMistakes, ALeakWhileNodesAreAddedIsNoSurge) {
  GeneratedCluster cluster({.nodes = 5}, 3);
  PlayFor(cluster, 100, [](int, int, NodeWeather& w) { w.connections = 125; });
  for (int i = 0; i < 4; ++i) cluster.AddNode();
  const auto said = PlayFor(cluster, 60, [](int, int, NodeWeather& w) {
    w.requests = 150.0 * 5 / 9;  // the same traffic; the same clients connect to all
    w.connections = 170;
    w.arrivals = 10;
  });
  EXPECT_THAT(said, Not(Contains(Key(Cause::kSurge))));
  EXPECT_GT(said.rbegin()->first, Cause::kNone) << "slots are well used: something must be said";
}

TEST(DiagnosisMistakes, ALeakBesideARiseOfTrafficIsNoSurge) {
  GeneratedCluster cluster({.tells_clients = false}, 3);
  PlayFor(cluster, 100, [](int, int, NodeWeather& w) { w.connections = 60; });
  const auto said = PlayFor(cluster, 100, [](int s, int, NodeWeather& w) {
    w.requests = 210;
    w.arrivals = 6;
    w.connections = 60 + 1.2 * s;
  });
  EXPECT_THAT(said, Not(Contains(Key(Cause::kSurge))));
  EXPECT_GT(said.rbegin()->first, Cause::kNone) << "slots are well used: something must be said";
}

TEST(DiagnosisMistakes, NewConnectionsBesideMoreWorkAreNoRetryStorm) {
  GeneratedCluster cluster({}, 3);
  PlayFor(cluster, 100, [](int, int, NodeWeather& w) { w.arrivals = 1; });
  const auto said = PlayFor(cluster, 60, [](int s, int, NodeWeather& w) {
    w.requests = 210;
    w.arrivals = 9;
    w.connections = 115 + s;
  });
  EXPECT_THAT(said, Not(Contains(Key(Cause::kRetryStorm))));
}

TEST(DiagnosisMistakes, AnswersThatTakeTheCoresTheyCostAreSeenWhileCoresAreLeft) {
  GeneratedCluster cluster({}, 3);
  const auto site = [](NodeWeather& w) {
    w.cpu_ms = 2;
    w.service_ms = 10;
    w.device_ms = 5;
  };
  PlayFor(cluster, 60, [&](int, int, NodeWeather& w) { site(w); });
  const auto said = PlayFor(cluster, 30, [&](int, int, NodeWeather& w) {
    site(w);
    w.cpu_ms = 8;
    w.service_ms = 24;
    w.cpu_some = 0.15;
  });
  EXPECT_GE(said.count(Cause::kCpu) > 0 ? said.at(Cause::kCpu) : 0, 44);
}

TEST(DiagnosisMistakes, OneOfManyNodesWhoseAnswersBecameDearIsSeenWhileItHasCoresLeft) {
  GeneratedCluster cluster({.nodes = 12}, 3);
  const auto site = [](NodeWeather& w) {
    w.cpu_ms = 1;
    w.service_ms = 10;
    w.device_ms = 5;
  };
  PlayFor(cluster, 60, [&](int, int, NodeWeather& w) { site(w); });
  const auto said = PlayFor(cluster, 30, [&](int, int index, NodeWeather& w) {
    site(w);
    if (index != 7) return;
    w.cpu_ms = 7;
    w.service_ms = 22;
  });
  EXPECT_GE(said.count(Cause::kCpu) > 0 ? said.at(Cause::kCpu) : 0, 44);
}

TEST(DiagnosisMistakes, OneOfManyNodesThatFailsIsSeen) {
  GeneratedCluster cluster({.nodes = 24}, 3);
  const auto few = [](int, int, NodeWeather& w) { w.requests = 30; };
  PlayFor(cluster, 60, few);
  const auto said = PlayFor(cluster, 30, [&](int s, int index, NodeWeather& w) {
    few(s, index, w);
    if (index == 7) w.error_ratio = 0.25;
  });
  EXPECT_GE(said.count(Cause::kSoftware) > 0 ? said.at(Cause::kSoftware) : 0, 40);
}

TEST(DiagnosisMistakes, AFewErrorsEverywhereAreNotOneNodes) {
  GeneratedCluster cluster({.nodes = 40}, 3);
  const auto said = PlayFor(cluster, 200, [](int, int, NodeWeather& w) {
    w.requests = 30;
    w.error_ratio = 0.01;
  });
  EXPECT_THAT(said, ElementsAre(Pair(Cause::kNone, 400)));
}

TEST(DiagnosisMistakes, DevicesOfMostNodesThatAreSlowAreSeenBesideTheFastOnesThatDoTheWork) {
  GeneratedCluster cluster({.nodes = 7}, 3);
  PlayFor(cluster, 60, Everyday);
  const auto said = PlayFor(cluster, 30, [](int, int index, NodeWeather& w) {
    w.requests = 240;
    if (index < 3) return;
    w.requests = 60;
    w.device_ms = 48;
    w.service_ms = 56;
    w.io_full = 0.4;
  });
  EXPECT_GE(said.count(Cause::kSlowDisk) > 0 ? said.at(Cause::kSlowDisk) : 0, 44);
}

TEST(DiagnosisMistakes, NodesThatHardlyAnybodyCallsAreNotPassedOver) {
  GeneratedCluster cluster({.nodes = 15, .keeps_clients = true}, 3);
  const auto said = PlayFor(cluster, 200, [](int, int, NodeWeather& w) {
    w.requests = 1.5;
    w.connections = 2;
    w.arrivals = 0.3;
  });
  EXPECT_THAT(said, ElementsAre(Pair(Cause::kNone, 400)));
}

TEST(DiagnosisMistakes, ANewNodeIsPassedOverByThoseWhomFullOnesTurnAway) {
  GeneratedCluster cluster({.nodes = 3, .keeps_clients = true}, 3);
  const auto site = [](int, int index, NodeWeather& w) {
    w.arrivals = 0;
    if (index == 3) w.requests = w.retries = w.connections = 0;
  };
  PlayFor(cluster, 90, site);
  cluster.AddNode();
  const auto said = PlayFor(cluster, 60, [&](int s, int index, NodeWeather& w) {
    site(s, index, w);
    if (index < 3 && s > 5) w.connections = 260;
  });
  EXPECT_THAT(said, Contains(Key(Cause::kImbalance)));
}

TEST(DiagnosisMistakes, AReleaseThatMakesClientsTryAgainStaysNamedWhileTrafficRises) {
  GeneratedCluster cluster({}, 3);
  PlayFor(cluster, 60, [](int, int, NodeWeather& w) { w.arrivals = 1; });
  for (int i = 0; i < 4; ++i) cluster.Change(i, "server/1.5.0", "cfg-1");
  const auto slow = [](NodeWeather& w) {
    w.service_ms = 90;
    w.arrivals = 60;
  };
  PlayFor(cluster, 20, [&](int, int, NodeWeather& w) { slow(w); });
  EXPECT_EQ(cluster.memory().last.cause, Cause::kBadDeploy);
  const auto said = PlayFor(cluster, 60, [&](int, int, NodeWeather& w) {
    slow(w);
    w.requests = 202;
  });
  EXPECT_THAT(said, Not(Contains(Key(Cause::kRetryStorm))));
}

TEST(DiagnosisMistakes, ARetryStormStaysNamedWhenItHasTakenAllCores) {
  GeneratedCluster cluster({}, 3);
  const auto site = [](NodeWeather& w) {
    w.cpu_ms = 2;
    w.arrivals = 1;
  };
  PlayFor(cluster, 60, [&](int, int, NodeWeather& w) { site(w); });
  PlayFor(cluster, 10, [&](int, int, NodeWeather& w) {
    site(w);
    w.requests = 330;
    w.arrivals = 180;
  });
  EXPECT_EQ(cluster.memory().last.cause, Cause::kRetryStorm);
  const auto said = PlayFor(cluster, 60, [&](int, int, NodeWeather& w) {
    site(w);
    w.requests = 950;
    w.arrivals = 800;
    w.clients = 160;  // they connect anew wherever they can
    w.cpu_some = 0.8;
    w.service_ms = 180;
    w.connections = 190;
  });
  EXPECT_THAT(said, Not(Contains(Key(Cause::kCpu))));
}

}  // namespace
}  // namespace headroom
