#include <ctime>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/nodes/planner.h"
#include "tests/controller/core/http_balancer.h"

// What balancers are told of nodes, and what the first sight of a node behind them is worth.

namespace headroom {
namespace {

TEST(Balancers, ALimitThatAnEarlierControllerRaisedIsNotTakenForTheSizeOfTheNode) {
  World world = SixNodes();
  HttpBalancer balancer(world);
  balancer.limit = 345;  // of 200, and the state was lost with the disk
  world.Run(absl::Seconds(10), balancer.Says(150, 0));
  EXPECT_EQ(world.core.fleet().Find("node-1")->ConfiguredCount(), 200);
  EXPECT_EQ(balancer.limit, 345) << "nothing is cut in a hurry";
}

TEST(Balancers, ALimitThatAnEarlierControllerCutIsNotTakenForTheSizeOfTheNode) {
  World world(LivePolicy());  // its state was lost with the disk
  BalancerReported reported{.balancer = "front"};
  reported.report.boot_id = "boot";
  reported.report.sequence = 1;
  reported.report.slot_place = SlotPlace::kBalancer;
  for (const char* id : {"node-1", "node-2", "node-3"}) {
    world.AddNode(id);
    NodeHello hello;
    hello.boot_id = "boot-1";
    hello.configured_count_max = 200;
    hello.term_max_seen = 7;
    world.core.Observe(world.now, NodeJoined{id, hello});
    const int64_t limit = id == std::string("node-2") ? 50 : 200;
    reported.report.servers.push_back({.node = id, .session_count = 40, .session_count_max = limit, .up = true});
  }
  world.core.Observe(world.now, BalancerJoined{"front"});
  world.core.Observe(world.now, reported);
  world.Run(absl::Seconds(1));
  const FleetSummary summary = Summarize(world.core.fleet(), world.core.policy(), world.now);
  EXPECT_NEAR(*summary.positions.Quantile(0.95), 0.2, 0.03) << "of each node 40 of 200 are in use";
}

TEST(Balancers, ANodeThatOneOfTwoListsBeforeTheOtherIsNotCutToHalf) {
  World world = SixNodes();
  HttpBalancer first(world), second(world, "second");
  second.skipped = "z-late";
  const auto says = first.Says(20, 0), says_too = second.Says(20, 0);
  const auto both = [&] {
    says();
    says_too();
  };
  world.Run(absl::Minutes(2), both);
  world.AddNode("z-late");
  world.Run(absl::Seconds(3), both);
  second.skipped = "";
  world.Run(absl::Seconds(5), both);
  EXPECT_EQ(world.core.fleet().Find("z-late")->ConfiguredCount(), 120);
  EXPECT_EQ(first.limit, 60);
  EXPECT_EQ(second.limit, 60);
}

TEST(Balancers, WhenLimitsAreTurnedOffNoneIsToldAnyMore) {
  World world = SixNodes();
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(3), balancer.Says(20, 0));
  world.Run(absl::Seconds(5), balancer.Says(60, 100));
  ASSERT_GT(balancer.limit, 60);
  balancer.limit = 60;  // by hand
  balancer.obeys = false;
  Policy policy = world.core.policy();
  policy.limits.enabled = false;
  world.core.Observe(world.now, PolicyChanged{policy});
  world.decisions.clear();
  world.Run(absl::Seconds(3), balancer.Says(20, 0));
  world.AddNode("another");
  world.Run(absl::Seconds(3), balancer.Says(20, 0));
  const std::vector<Action> told = world.ActionsOf("set_servers");
  ASSERT_FALSE(told.empty());
  for (const ServerTarget& target : std::get<SetServers>(told.back().body).servers)
    EXPECT_EQ(target.session_count_max, 0) << target.node;
}

TEST(Balancers, OneOfTwoThatNeverListsANodeIsNotWaitedForWithoutEnd) {
  World world = SixNodes();
  HttpBalancer first(world), second(world, "second");
  second.skipped = "node-1";
  const auto says = first.Says(40, 0), says_too = second.Says(40, 0);
  world.Run(absl::Seconds(65), [&] {
    says();
    says_too();
  });
  EXPECT_TRUE(world.core.fleet().Find("node-1")->behind.holds_slots);
}

TEST(Balancers, OneThatKeepsAServerThatIsGoneForItsSessionsIsNotToldAgainAndAgain) {
  World world = ThreeNodes();
  world.Run(absl::Seconds(3));
  HttpBalancer balancer(world);
  world.Run(absl::Seconds(20), balancer.Says(20, 0));
  balancer.keeps = "node-4";
  balancer.kept_sessions = 3;
  const size_t before = world.ActionsOf("set_servers").size();
  world.Run(absl::Seconds(100), balancer.Says(20, 0));
  EXPECT_EQ(world.ActionsOf("set_servers").size(), before);
  balancer.kept_sessions = 0;
  world.Run(absl::Seconds(32), balancer.Says(20, 0));
  EXPECT_EQ(world.ActionsOf("set_servers").size(), before + 1);
}

// Of two servers, of which the first is to drain.
bool IsAstrayWith(const BalancedServer& first, const BalancedServer& second) {
  const std::vector<ServerTarget> told = {{.node = "node-1", .draining = true}, {.node = "node-2"}};
  BalancerReport report;
  report.sequence = 32;
  report.servers = {first, second};
  report.servers[0].node = "node-1";
  report.servers[1].node = "node-2";
  return IsAstray(report, told);
}

TEST(Balancers, OneThatDoesNotDrainItsLastServerThatServesIsNotToldAgain) {
  const BalancedServer serves = {.up = true}, down;
  EXPECT_FALSE(IsAstrayWith(serves, down));
  EXPECT_TRUE(IsAstrayWith(serves, serves)) << "it is not the last";
  EXPECT_TRUE(IsAstrayWith(down, serves)) << "it would come up and serve";
}

TEST(Balancers, OneWhoseServerIsInMaintenanceIsNotToldToUseIt) {
  const BalancedServer drains = {.up = true, .draining = true}, in_maintenance = {.draining = true};
  EXPECT_FALSE(IsAstrayWith(drains, in_maintenance));
  EXPECT_TRUE(IsAstrayWith(drains, drains)) << "the word that takes it back was lost";
}

// One in mode tcp knows all of many nodes, and holds no slots of any: to find that out for each node took their square.
TEST(Balancers, ALongListOfOneWithoutSlotsIsNotReadAnewForEachNode) {
  constexpr int kNodes = 5000;
  World world(LivePolicy());
  BalancerReported tcp{.balancer = "tcp"}, http{.balancer = "http"};
  tcp.report.boot_id = http.report.boot_id = "boot";
  http.report.slot_place = SlotPlace::kBalancer;
  for (int i = 0; i < kNodes; ++i) {
    const NodeId id = "node-" + std::to_string(i);
    world.AddNode(id);
    world.Report(id);
    BalancedServer server;
    server.node = id;
    tcp.report.servers.push_back(server);
    server.session_count_max = 100;
    http.report.servers.push_back(server);
  }
  const auto ticks_of = [&world](BalancerReported& event) {
    ++event.report.sequence;
    world.core.Observe(world.now, BalancerJoined{event.balancer});
    const std::clock_t begin = std::clock();
    world.core.Observe(world.now, event);
    return std::clock() - begin;
  };
  const std::clock_t one = ticks_of(tcp), both = ticks_of(http);
  ASSERT_TRUE(world.core.fleet().Find("node-1")->behind.holds_slots);
  EXPECT_LT(both, 10 * one) << "of the processor's time";
}

}  // namespace
}  // namespace headroom
