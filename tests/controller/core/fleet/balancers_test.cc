#include <functional>
#include <utility>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/http_balancer.h"
#include "tests/controller/core/world.h"

// What balancers say, and what it is worth when they fall silent.

namespace headroom {
namespace {

TEST(Balancers, WhereABalancerHoldsTheSlotsItsLimitIsRaisedAndTheNodesOwnIsNeverCut) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(3));  // the nodes are there before the balancer
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(10), balancer.Says(20, 0));
  EXPECT_EQ(balancer.limit, 60) << "the nodes' own 200 is no limit of the balancer's";
  world.Run(absl::Seconds(5), balancer.Says(60, 100));
  EXPECT_GT(balancer.limit, 150);
  for (const Action& action : world.ActionsOf("grant_limits")) {
    EXPECT_GE(std::get<GrantLimits>(action.body).connection_count_max, 200);
  }
}

TEST(Balancers, OneThatLeavesShrinksNothingAndLosesNoLimit) {
  World world = SixNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Minutes(3), balancer.Says(50, 0));
  const int64_t limit = world.core.fleet().Find("node-1")->granted_count;
  ASSERT_EQ(world.core.fleet().Find("node-1")->ConfiguredCount(), 60);
  balancer.Leave();
  world.Run(absl::Minutes(9));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  EXPECT_EQ(world.Last().demands.front().reason.code, ReasonCode::kSignalBalancers);
  EXPECT_EQ(world.core.fleet().Find("node-1")->granted_count, limit);
  balancer.Join();
  world.Run(absl::Seconds(10), balancer.Says(50, 0));
  EXPECT_TRUE(world.Last().demands.front().node_count.has_value());
  EXPECT_EQ(world.core.fleet().Find("node-1")->ConfiguredCount(), 60);
}

TEST(Balancers, OneThatFallsSilentIsNotTakenForAQuietFleet) {
  World world = SixNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Minutes(3), balancer.Says(50, 0));
  world.Run(absl::Minutes(5));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  EXPECT_FALSE(world.Last().demands.front().node_count.has_value());
}

TEST(Balancers, AnEmptyListIsARestartAndKeepsTheLimits) {
  World world = SixNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(10), balancer.Says(20, 0));
  world.Run(absl::Seconds(10), balancer.Says(60, 40));
  const int64_t raised = world.core.fleet().Find("node-1")->granted_count;
  ASSERT_GT(raised, 60);
  balancer.lists = false;
  world.Run(absl::Seconds(20), balancer.Says(0, 0));
  EXPECT_GE(world.core.fleet().Find("node-1")->granted_count, raised);
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  balancer.lists = true;
  balancer.limit = 60;  // its configuration's, until it is told again
  world.Run(absl::Seconds(10), balancer.Says(60, 0));
  EXPECT_GE(world.core.fleet().Find("node-1")->granted_count, raised);
}

TEST(Balancers, AfterAnHourOneThatIsGoneHoldsNothingMore) {
  World world = SixNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Minutes(1), balancer.Says(50, 0));
  balancer.Leave();
  world.Run(absl::Minutes(59));
  EXPECT_TRUE(world.ActionsOf("drain").empty());
  world.Run(absl::Minutes(2));
  ASSERT_FALSE(world.nodes.empty());
  EXPECT_FALSE(world.core.fleet().Find(world.nodes.begin()->first)->behind.holds_slots);
  EXPECT_TRUE(world.Last().demands.front().node_count.has_value());
}

TEST(Balancers, WhatTwoCameWithIsAddedUpWhicheverComesFirst) {
  World world = SixNodes();
  HttpBalancer first(world);
  world.Run(absl::Seconds(3), first.Says(20, 0));
  HttpBalancer second(world, "second");
  const auto says = first.Says(20, 0), says_too = second.Says(20, 0);
  world.Run(absl::Seconds(3), [&] {
    says();
    says_too();
  });
  const Node& node = *world.core.fleet().Find("node-1");
  EXPECT_EQ(node.ConfiguredCount(), 120);
  EXPECT_EQ(node.OpenCount(), 40);
}

TEST(Balancers, OneOfTwoThatHoldsNoSlotsDoesNotHideTheOther) {
  World world = SixNodes();
  HttpBalancer first(world);
  HttpBalancer second(world, "second");
  second.limit = 0;
  second.obeys = false;
  const auto says = first.Says(20, 0), says_too = second.Says(20, 0);
  world.Run(absl::Seconds(3), [&] {
    says();
    says_too();
  });
  EXPECT_TRUE(world.core.fleet().Find("node-1")->behind.holds_slots);
}

TEST(Balancers, WhatASilentOneMayStillLetThroughIsPartOfTheBudget) {
  Policy policy = LivePolicy();
  policy.nodes.max = 6;
  policy.limits.budget_count = 1200;
  World world = SixNodes(policy);
  HttpBalancer first(world), second(world, "second");
  const auto says = first.Says(20, 0), says_too = second.Says(20, 0);
  world.Run(absl::Seconds(5), [&] {
    says();
    says_too();
  });
  second.Leave();  // its agent; the 60 for each node stay where they are
  world.Run(absl::Seconds(30), first.Says(100, 100));
  int64_t granted = 0;
  for (const auto& [id, node] : world.core.fleet().nodes()) granted += node.granted_count;
  EXPECT_GT(granted, 720);
  EXPECT_LE(granted + 6 * 60, 1200);
}

TEST(Balancers, OneWhoseNameChangesWithEachStartLeavesNoTrailWithoutEnd) {
  World world = SixNodes();
  std::string newest;
  for (size_t i = 0; i < Fleet::kBalancersMax + 10; ++i) {
    HttpBalancer balancer(world, newest = "front-" + std::to_string(1000 - i));
    world.Run(absl::Seconds(1), balancer.Says(20, 0));
    balancer.Leave();
  }
  EXPECT_EQ(world.core.fleet().balancers().size(), Fleet::kBalancersMax);
  EXPECT_TRUE(world.core.fleet().balancers().contains(newest));
  EXPECT_FALSE(world.core.fleet().balancers().contains("front-1000")) << "heard longest ago";
}

TEST(Balancers, ThoseThatAreConnectedDoNotGiveWayToOneMore) {
  World world = SixNodes();
  for (size_t i = 0; i < Fleet::kBalancersMax; ++i) HttpBalancer(world, "front-" + std::to_string(i));
  HttpBalancer one_more(world, "one-more");
  world.Run(absl::Seconds(1), one_more.Says(20, 0));
  EXPECT_EQ(world.core.fleet().balancers().size(), Fleet::kBalancersMax);
  EXPECT_FALSE(world.core.fleet().balancers().contains("one-more"));
}

// Two nodes of three are behind a balancer, that came with 300 for each, and all are asked for more than there is.
class MixedFleet {
 public:
  static constexpr int64_t kBudget = 1000;
  MixedFleet() : world(Budgeted()), balancer_(world) {
    balancer_.limit = 300;
    balancer_.skipped = "node-3";
    world.Run(absl::Seconds(2));
  }
  void Run() {
    const auto says = balancer_.Says(300, 100);
    world.Run(absl::Minutes(3), [&] {
      says();
      world.nodes["node-3"].open = world.nodes["node-3"].limit;
      world.nodes["node-3"].queue = 100;
    });
  }

  World world;

 private:
  static World Budgeted() {
    Policy policy = LivePolicy();
    policy.nodes.max = 3;
    policy.limits.budget_count = kBudget;
    return ThreeNodes(policy);
  }

  HttpBalancer balancer_;
};

TEST(Balancers, NoBudgetIsHeldBackForANodeThatNoneWillList) {
  MixedFleet mixed;
  mixed.world.nodes["node-3"].silent = true;  // it is dead, with 200
  mixed.Run();
  const Fleet& fleet = mixed.world.core.fleet();
  ASSERT_EQ(fleet.Find("node-3")->state, NodeState::kLost);
  EXPECT_EQ(fleet.Find("node-1")->granted_count + fleet.Find("node-2")->granted_count, MixedFleet::kBudget - 200);
}

TEST(Balancers, ANodeThatIsBehindNoneIsGrantedItsShareAndNoMore) {
  MixedFleet mixed;
  mixed.Run();
  const Node& direct = *mixed.world.core.fleet().Find("node-3");
  ASSERT_FALSE(direct.behind.holds_slots);
  EXPECT_EQ(mixed.world.nodes["node-3"].limit, direct.granted_count);
}

// Two of them share the slots of three nodes under a budget that leaves no room. Each began with 100 for each node.
class TwoBalancers {
 public:
  static constexpr int64_t kBudget = 600, kShare = 100;
  TwoBalancers() : world(Budgeted()), front(world), second(world, "second") {
    front.limit = second.limit = kShare;
    Run(absl::Seconds(20));
  }
  static World Budgeted() {
    Policy policy = LivePolicy();
    policy.nodes.max = 3;
    policy.limits.budget_count = kBudget;
    return ThreeNodes(policy);
  }
  // The world goes on; those report that are there. What the one that stays is told is never below its share.
  void Run(absl::Duration time) {
    world.Run(time, [this] {
      front.Says(sessions, queue)();
      if (second_is_there) second.Says(std::min(sessions, second.limit), 0)();
      if (third != nullptr) third->Says(0, 0)();
      least = std::min(least, front.limit);
      most = std::max(most, front.limit + second.limit);
    });
  }
  void SecondLeaves() {
    second_is_there = false;
    second.Leave();
  }
  void SecondComesBack() {
    second.Join();
    Run(absl::Seconds(2));
    second_is_there = true;
    Run(absl::Seconds(20));
  }

  World world;
  HttpBalancer front, second;
  HttpBalancer* third = nullptr;
  bool second_is_there = true;
  int64_t sessions = 90, queue = 0;
  int64_t least = kShare, most = 2 * kShare;  // of what `front` had, and of what both had together
};

TEST(Balancers, OneOfTwoThatLeavesAndComesBackCutsNoSessionsOfTheOther) {
  TwoBalancers two;
  ASSERT_EQ(two.front.limit, TwoBalancers::kShare);
  two.SecondLeaves();
  two.Run(absl::Minutes(2));
  two.SecondComesBack();
  EXPECT_EQ(two.least, TwoBalancers::kShare);
  EXPECT_EQ(two.most, 2 * TwoBalancers::kShare);
  EXPECT_EQ(two.second.limit, TwoBalancers::kShare);
}

TEST(Balancers, AStreamThatBreaksBetweenTwoTicksMovesNoLimit) {
  TwoBalancers two;
  two.second.Leave();
  two.SecondComesBack();
  EXPECT_EQ(two.least, TwoBalancers::kShare);
  EXPECT_EQ(two.most, 2 * TwoBalancers::kShare);
}

TEST(Balancers, OneOfTwoWhoseProcessRestartsBehindItsAgentCutsNoSessionsOfTheOther) {
  TwoBalancers two;
  two.second.lists = false;
  two.Run(absl::Minutes(1));
  two.second.lists = true;
  two.Run(absl::Seconds(20));
  EXPECT_EQ(two.least, TwoBalancers::kShare);
  EXPECT_EQ(two.most, 2 * TwoBalancers::kShare);
}

TEST(Balancers, OneThatComesBackWithoutAServerIsGivenNoRoomForItThatIsNotThere) {
  TwoBalancers two;
  two.SecondLeaves();
  two.Run(absl::Seconds(20));
  two.second.limit = 120;  // its process has restarted, and is over its share of the others
  two.second.skipped = "node-1";
  two.second.Join();
  two.second_is_there = true;
  two.Run(absl::Seconds(1));
  EXPECT_EQ(two.world.core.fleet().Find("node-1")->granted_count, TwoBalancers::kShare);
}

TEST(Balancers, OneThatNobodyKnowsBringsWhatItHasAndIsToldNoLimitBefore) {
  TwoBalancers two;
  two.SecondLeaves();
  two.Run(absl::Minutes(62));  // it is given up, and its room is the other's
  two.sessions = 200;
  two.queue = 50;
  two.Run(absl::Seconds(30));
  ASSERT_EQ(two.front.limit, 2 * TwoBalancers::kShare);
  two.second.limit = 60;
  two.second.Join();
  two.Run(absl::Seconds(5));
  EXPECT_EQ(two.second.limit, 60) << "it has not reported";
  EXPECT_EQ(two.front.limit, 2 * TwoBalancers::kShare);
  two.second_is_there = true;
  two.Run(absl::Seconds(30));
  EXPECT_EQ(two.front.limit + two.second.limit, 2 * TwoBalancers::kShare);
  EXPECT_EQ(two.least, TwoBalancers::kShare) << "a like part of what there is, and no less";
}

TEST(Balancers, OneThatNeverReportsHoldsTheOthersLimitsForSecondsOnly) {
  TwoBalancers two;
  const HttpBalancer mute(two.world, "mute");
  two.Run(two.world.core.policy().control.silent_after + absl::Seconds(3));
  const auto told = two.world.ActionsOf("set_servers");
  ASSERT_FALSE(told.empty());
  for (const ServerTarget& target : std::get<SetServers>(told.back().body).servers)
    EXPECT_GT(target.session_count_max, 0);
  EXPECT_EQ(two.least, TwoBalancers::kShare) << "its proxy may be down";
}

TEST(Balancers, OneWhoseProxyHasNoServersYetHasNoShareAndIsToldNoLimit) {
  TwoBalancers two;
  HttpBalancer empty(two.world, "empty");
  empty.lists = false;
  two.third = &empty;
  two.Run(absl::Seconds(20));
  EXPECT_EQ(two.least, TwoBalancers::kShare);
  EXPECT_EQ(two.front.limit, TwoBalancers::kShare);
  EXPECT_EQ(empty.limit, 60) << "more would be beyond the budget";
  empty.lists = true;
  two.Run(absl::Seconds(20));
  EXPECT_EQ(empty.limit, two.front.limit);
  EXPECT_LE(empty.limit + two.front.limit + two.second.limit, TwoBalancers::kBudget / 3);
  EXPECT_GE(two.least, TwoBalancers::kBudget / 3 / 3);
}

TEST(Balancers, WithoutABudgetOneThatNobodyKnowsDelaysNoRaise) {
  World world = ThreeNodes();
  HttpBalancer front(world);
  world.Run(absl::Seconds(10), front.Says(20, 0));
  ASSERT_EQ(front.limit, 60);
  const HttpBalancer mute(world, "mute");
  world.Run(absl::Seconds(2), front.Says(60, 100));
  EXPECT_GT(front.limit, 60);
}

TEST(Balancers, OfTwoThatComeAtOnceTheFirstToSpeakIsNotHalved) {
  for (const int64_t budget : {0, 600}) {
    Policy policy = LivePolicy();
    policy.limits.budget_count = budget;
    World world = ThreeNodes(policy);
    world.Run(absl::Seconds(70));
    HttpBalancer first(world), second(world, "second");
    first.limit = second.limit = 100;
    int64_t least = 100;
    for (int second_now = 0; second_now < 20; ++second_now) {
      world.Run(absl::Seconds(1), [&] {
        first.Says(60, 0)();
        if (second_now > 0) second.Says(60, 0)();
        least = std::min({least, first.limit, second.limit});
      });
    }
    EXPECT_EQ(least, 100) << "with a budget of " << budget;
  }
}

TEST(Balancers, WithoutABudgetRestartsDoNotAddUpToEverMore) {
  World world = ThreeNodes();
  HttpBalancer front(world), second(world, "second");
  front.limit = second.limit = 100;
  for (int restart = 0; restart < 5; ++restart) {
    world.Run(absl::Seconds(10), [&] {
      front.Says(60, 0)();
      second.Says(60, 0)();
    });
    EXPECT_LE(world.core.fleet().Find("node-1")->granted_count, 200) << restart;
    second.Leave();
    world.Run(absl::Seconds(10), front.Says(60, 0));
    second.Join();
  }
}

TEST(Balancers, AControllerThatRestartsCutsNoSessions) {
  TwoBalancers two;
  State saved = two.world.core.Save();
  saved.fleet.ForgiveSilence(two.world.now, absl::ZeroDuration());
  const Policy policy = two.world.core.policy();
  two.world.core = Autoscaler::Load(policy, std::move(saved));
  for (const auto& [id, node] : two.world.nodes)
    two.world.core.Observe(two.world.now, NodeLeft{id, node.boot, NodeLeft::How::kLost});
  two.front.Leave();
  two.SecondLeaves();
  two.world.core.Observe(two.world.now, TermChanged{2});
  two.front.Join();
  two.Run(absl::Seconds(3));
  two.SecondComesBack();
  EXPECT_EQ(two.least, TwoBalancers::kShare);
  EXPECT_EQ(two.most, 2 * TwoBalancers::kShare);
}

TEST(Balancers, NoLimitIsToldOfANodeWhoseOwnAgentIsAway) {
  TwoBalancers two;
  two.world.nodes["node-1"].silent = true;
  two.world.core.Observe(two.world.now, NodeLeft{"node-1", "boot-1", NodeLeft::How::kLost});
  two.SecondLeaves();
  two.second.limit = 60;  // its machine has restarted
  two.SecondComesBack();
  const SetServers last = std::get<SetServers>(two.world.ActionsOf("set_servers").back().body);
  for (const ServerTarget& target : last.servers)
    EXPECT_EQ(target.session_count_max > 0, target.node != "node-1") << target.node;
}

TEST(Balancers, OneThatNeverReportsIsNotToldItsServersEachTick) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(3));
  const HttpBalancer balancer(world);
  world.Run(absl::Seconds(20));
  EXPECT_EQ(world.ActionsOf("set_servers").size(), 1);
}

TEST(Balancers, OneWhoseLastReportIsAstrayIsToldOnceForIt) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(3));
  HttpBalancer balancer(world);
  balancer.obeys = false;
  world.Run(absl::Seconds(31), balancer.Says(60, 40));
  const size_t before = world.ActionsOf("set_servers").size();
  balancer.Says(60, 40)();  // the 32nd
  world.Run(absl::Seconds(1));
  const size_t told = world.ActionsOf("set_servers").size();
  ASSERT_GT(told, before);
  world.Run(absl::Seconds(20));
  EXPECT_LE(world.ActionsOf("set_servers").size(), told);
}

TEST(Balancers, OneThatMissedThatAServerIsGoneIsToldOnceMore) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(3));
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(20), balancer.Says(20, 0));
  balancer.keeps = "node-4";  // long terminated: the order without it was lost
  const size_t before = world.ActionsOf("set_servers").size();
  world.Run(absl::Seconds(32), balancer.Says(20, 0));
  EXPECT_EQ(world.ActionsOf("set_servers").size(), before + 1);
}

// Sessions that are near no limit, but keep a cut from being needless.
constexpr int64_t kBusySessions = 45;

TEST(Balancers, TheLastWordOfANodeThatHangsCutsNothing) {
  World world = ThreeNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(20), balancer.Says(20, 0));
  world.nodes["node-1"].latency = absl::Seconds(1);
  world.Run(absl::Seconds(1), balancer.Says(kBusySessions, 0));
  ASSERT_EQ(world.core.fleet().Find("node-1")->limit.unhealthy_count, 1);
  world.nodes["node-1"].silent = true;
  world.Run(absl::Seconds(25), balancer.Says(kBusySessions, 0));
  EXPECT_EQ(world.core.fleet().Find("node-1")->limit.limit_count, 60);
}

TEST(Balancers, OneBadReportOfANodeIsOneHoweverManyBalancersTellOfIt) {
  World world = ThreeNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(20), balancer.Says(20, 0));
  world.nodes["node-1"].latency = absl::Seconds(1);
  world.Run(absl::Seconds(1), balancer.Says(kBusySessions, 0));
  for (int i = 0; i < 3; ++i) {
    world.now += absl::Milliseconds(200);
    balancer.Says(kBusySessions, 0)();
    world.core.Tick(world.now);
  }
  EXPECT_EQ(world.core.fleet().Find("node-1")->limit.limit_count, 60);
  world.Run(absl::Seconds(1), balancer.Says(kBusySessions, 0));
  EXPECT_LT(world.core.fleet().Find("node-1")->limit.limit_count, 60) << "two reports are two";
}

TEST(Balancers, ANodeThatSpeaksNoMoreForbidsItsBalancerNothing) {
  World world = ThreeNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(20), balancer.Says(20, 0));
  world.nodes["node-1"].latency = absl::Seconds(1);
  world.Run(absl::Seconds(1), balancer.Says(20, 0));
  world.nodes["node-1"].silent = true;
  world.Run(absl::Seconds(4), balancer.Says(60, 20));
  EXPECT_EQ(world.core.fleet().Find("node-1")->limit.limit_count, 60) << "what it said is still of now";
  world.Run(absl::Seconds(5), balancer.Says(60, 20));
  EXPECT_GT(world.core.fleet().Find("node-1")->limit.limit_count, 60);
}

}  // namespace
}  // namespace headroom
