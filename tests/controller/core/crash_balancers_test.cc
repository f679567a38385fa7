#include <algorithm>

#include <gtest/gtest.h>

#include "tests/controller/core/crash.h"
#include "tests/controller/core/http_balancer.h"

// What a controller may think of balancers whose last controller was killed.

namespace headroom {
namespace {

TEST(Crash, SlotsAtBalancersAreAdoptedAsTheyAreFoundAndToldToNobodyBefore) {
  World world = SixNodes();
  HttpBalancer first(world), second(world, "second");
  const auto say = [&](int64_t sessions) {
    first.Says(sessions, 0)();
    second.Says(sessions, 0)();
  };
  world.Run(absl::Seconds(10), [&] { say(20); });
  const State written = world.core.Save();
  ASSERT_EQ(world.core.fleet().Find("node-1")->granted_count, 120);
  world.Run(absl::Seconds(5), [&] { say(first.limit); });
  const int64_t raised = first.limit;
  ASSERT_GT(raised, 60);
  Crash(world, written);
  for (HttpBalancer* balancer : {&first, &second}) balancer->Leave();
  for (const auto& [id, node] : world.nodes) ComeBack(world, id);
  for (HttpBalancer* balancer : {&first, &second}) balancer->Join();
  world.Run(absl::Seconds(1));
  const SetServers told = std::get<SetServers>(world.ActionsOf("set_servers").back().body);
  EXPECT_EQ(told.servers.size(), world.nodes.size());
  for (const ServerTarget& server : told.servers)
    EXPECT_EQ(server.session_count_max, 0) << "nobody has said yet what is in force";
  first.Says(20, 0)();
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_count, 2 * raised) << "each has a like part";
  world.Run(absl::Seconds(3), [&] { say(20); });
  EXPECT_EQ(first.limit, raised);
  EXPECT_EQ(second.limit, raised);
}

TEST(Crash, WhatABalancerMayHoldOfWhomNothingIsWrittenIsNotGivenToTheOthers) {
  World world = Settled(FixedNodes(900));
  HttpBalancer first(world), second(world, "second");
  first.limit = second.limit = 150;
  const State written = world.core.Save();  // none of their reports is
  Crash(world, written);
  for (HttpBalancer* balancer : {&first, &second}) balancer->Leave();
  for (const char* id : {"node-1", "node-2", "node-3"}) ComeBack(world, id);
  first.Join();
  world.Run(absl::Seconds(5), [&] { first.Says(first.limit, 100)(); });
  EXPECT_EQ(first.limit, 150) << "the second may have 150 of each node still";
  second.Join();
  second.limit = 50;
  world.Run(absl::Seconds(10), [&] {
    first.Says(first.limit, 100)();
    second.Says(second.limit, 100)();
  });
  EXPECT_GT(first.limit + second.limit, 200) << "now all is known";
}

// All of 900 is not shared: the first balancer has 150 at each node, and is asked for more. Of the second, that was
// there before the crash, nobody has ever heard a limit.
struct HalfKnown {
  HalfKnown() : world(Settled(FixedNodes(900))), first(world), second(world, "second") {
    first.limit = 150;
    world.Run(absl::Seconds(10), first.Says(20, 0));
    const State written = world.core.Save();
    Crash(world, written);
    for (HttpBalancer* balancer : {&first, &second}) balancer->Leave();
    for (const char* id : {"node-1", "node-2", "node-3"}) ComeBack(world, id);
    first.Join();
  }
  void Fill(absl::Duration time) {
    world.Run(time, [this] { first.Says(first.limit, 100)(); });
  }
  World world;
  HttpBalancer first, second;
};

TEST(Crash, ABalancerWhoseProxyIsDownHoldsNothingBackOnceItsAgentIsBack) {
  HalfKnown half;
  half.second.Join();  // and never reports
  half.Fill(absl::Seconds(3));
  EXPECT_EQ(half.first.limit, 150) << "it may be about to show as much";
  half.Fill(absl::Seconds(10));
  EXPECT_GT(half.first.limit, 150);
}

TEST(Crash, ABalancerThatComesUnderAnotherNameHoldsNothingBackForLong) {
  HalfKnown half;
  half.Fill(absl::Minutes(9));
  EXPECT_EQ(half.first.limit, 150);
  half.Fill(absl::Minutes(2));
  EXPECT_GT(half.first.limit, 150);
}

TEST(Crash, BalancersThatRejoinOneAfterTheOtherKeepWhatTheyHave) {
  World world = SixNodes();
  HttpBalancer first(world), second(world, "second");
  int64_t least = 1'000'000, most = 0;
  const auto say = [&](int64_t sessions) {
    first.Says(sessions, 0)();
    second.Says(sessions, 0)();
  };
  world.Run(absl::Seconds(10), [&] { say(20); });
  world.Run(absl::Seconds(5), [&] { say(first.limit); });
  world.Run(absl::Seconds(3), [&] { say(20); });
  const int64_t raised = first.limit;
  ASSERT_GT(raised, 120) << "more than both came with";
  Crash(world, world.core.Save());
  for (HttpBalancer* balancer : {&first, &second}) balancer->Leave();
  for (const auto& [id, node] : world.nodes) ComeBack(world, id);
  first.Join();
  world.Run(absl::Seconds(1));
  for (int second_now = 0; second_now < 20; ++second_now) {
    if (second_now == 4) second.Join();
    world.Run(absl::Seconds(1), [&] {
      first.Says(20, 0)();
      if (second_now > 5) second.Says(20, 0)();
      least = std::min({least, first.limit, second.limit});
      most = std::max({most, first.limit, second.limit});
    });
  }
  EXPECT_EQ(least, raised);
  EXPECT_EQ(most, raised);
}

}  // namespace
}  // namespace headroom
