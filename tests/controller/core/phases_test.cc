#include <algorithm>

#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// The phases of a node's life, when one is late, and what is asked for in vain.

namespace headroom {
namespace {

// A fleet by hand: launches that boot and join in their own time.
class Launches {
 public:
  explicit Launches(Policy policy = LivePolicy()) : core(std::move(policy)) { core.Observe(now, TermChanged{1}); }
  void Ask(const std::string& id) {
    core.Observe(now, ActionStarted{{"launch-" + id, 1, "", {}, LaunchNode{}}});
    ActionFinished done{"launch-" + id};
    done.node = id;
    core.Observe(now, done);
  }
  void Join(const std::string& id) {
    NodeHello hello;
    hello.boot_id = "boot";
    hello.configured_count_max = hello.limits.connection_count_max = 200;
    core.Observe(now, NodeJoined{id, hello});
  }
  void Serve(const std::string& id) { Say(id, ServerState::kServing, 0); }
  void Say(const std::string& id, ServerState state, int64_t open) {
    NodeReport report;
    report.boot_id = "boot";
    report.sequence = ++sequence_;
    report.state = state;
    report.open_count = open;
    report.counters.uptime = absl::Seconds(static_cast<int64_t>(sequence_));
    core.Observe(now, NodeReported{id, report});
  }
  void Wait(absl::Duration time) { last = core.Tick(now += time); }
  // Six nodes that booted in 40 s and joined in 10 s.
  void Learn() {
    for (int i = 0; i < 6; ++i) {
      const std::string id = "node-" + std::to_string(i);
      Ask(id);
      now += absl::Seconds(40);
      Join(id);
      now += absl::Seconds(10);
      Serve(id);
    }
  }
  bool Alarms(ReasonCode code) const {
    return std::any_of(last.alarms.begin(), last.alarms.end(), [&](const Reason& alarm) { return alarm.code == code; });
  }

  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Autoscaler core;
  Decision last;

 private:
  uint64_t sequence_ = 0;
};

TEST(Phases, TheirTimesAreLearnedOneByOne) {
  Launches fleet;
  fleet.Learn();
  EXPECT_EQ(fleet.core.fleet().boot_times().P95(), absl::Seconds(40));
  EXPECT_EQ(fleet.core.fleet().join_times().P95(), absl::Seconds(10));
  EXPECT_EQ(fleet.core.fleet().boot_times().Deadline(absl::Minutes(15)), absl::Minutes(2));
  EXPECT_EQ(fleet.core.fleet().boot_times().Deadline(absl::Minutes(1)), absl::Minutes(1)) << "the policy's bound";
  EXPECT_EQ(fleet.core.fleet().join_times().Deadline(absl::Minutes(15)), absl::Seconds(30));
}

TEST(Phases, AMachineThatBootsThreeTimesTooLongIsNoCapacityAndIsGivenUpOnlyLater) {
  Launches fleet;
  fleet.Learn();
  fleet.Ask("late");
  fleet.Wait(absl::Seconds(119));
  EXPECT_FALSE(fleet.Alarms(ReasonCode::kAlarmLaunchStuck));
  EXPECT_TRUE(fleet.core.fleet().Find("late")->CountsAsCapacity());
  fleet.Wait(absl::Seconds(2));
  EXPECT_TRUE(fleet.Alarms(ReasonCode::kAlarmLaunchStuck));
  EXPECT_FALSE(fleet.core.fleet().Find("late")->CountsAsCapacity());
  EXPECT_EQ(fleet.core.fleet().launch_failures().in_a_row, 1);
  for (const Action& action : fleet.last.actions) EXPECT_NE(ActionKind(action), "terminate");
  fleet.Join("late");
  fleet.Serve("late");
  EXPECT_TRUE(fleet.core.fleet().Find("late")->CountsAsCapacity()) << "it had a slow day";
  EXPECT_EQ(fleet.core.fleet().launch_failures().in_a_row, 0);
  fleet.Wait(absl::Seconds(1));
  EXPECT_FALSE(fleet.Alarms(ReasonCode::kAlarmLaunchStuck));
}

TEST(Phases, ANodeThatJoinsAndNeverServesIsLateToo) {
  Launches fleet;
  fleet.Learn();
  fleet.Ask("mute");
  fleet.Wait(absl::Seconds(40));
  fleet.Join("mute");
  fleet.Wait(absl::Seconds(31));
  EXPECT_TRUE(fleet.Alarms(ReasonCode::kAlarmLaunchStuck));
  EXPECT_FALSE(fleet.core.fleet().Find("mute")->CountsAsCapacity());
}

TEST(Phases, ALaunchThatWaitsInLineAtTheProviderIsNotLate) {
  Launches fleet;
  fleet.Learn();
  fleet.core.Observe(fleet.now, ActionStarted{{"launch-queued", 1, "", {}, LaunchNode{}}});
  fleet.Wait(absl::Minutes(5));
  EXPECT_EQ(fleet.core.fleet().launch_failures().in_a_row, 0) << "nobody has asked for it yet";
  ActionFinished done{"launch-queued"};
  done.node = "queued";
  fleet.core.Observe(fleet.now, done);
  fleet.Wait(absl::Seconds(119));
  EXPECT_EQ(fleet.core.fleet().launch_failures().in_a_row, 0);
  fleet.Wait(absl::Seconds(2));
  EXPECT_EQ(fleet.core.fleet().launch_failures().in_a_row, 1);
}

TEST(Phases, WhileNothingIsLearnedThePolicysTimeoutHolds) {
  Launches fleet;
  fleet.Ask("first");
  fleet.Wait(absl::Minutes(14));
  EXPECT_FALSE(fleet.Alarms(ReasonCode::kAlarmLaunchStuck));
  fleet.Wait(absl::Minutes(2));
  EXPECT_TRUE(fleet.Alarms(ReasonCode::kAlarmLaunchStuck) || fleet.core.fleet().Find("first") == nullptr);
  EXPECT_EQ(fleet.core.fleet().launch_failures().in_a_row, 1);
}

TEST(Phases, ADrainThatTakesFarLongerThanUsualIsTold) {
  Launches fleet;
  fleet.Learn();
  for (int i = 0; i < 5; ++i) {
    const std::string id = "node-" + std::to_string(i);
    fleet.core.Observe(fleet.now, ActionStarted{{"drain-" + id, 1, id, {}, DrainNode{}}});
    fleet.now += absl::Seconds(20);
    fleet.Say(id, ServerState::kDraining, 0);
  }
  ASSERT_EQ(fleet.core.fleet().drain_times().P95(), absl::Seconds(20));
  fleet.core.Observe(fleet.now, ActionStarted{{"drain-last", 1, "node-5", {}, DrainNode{}}});
  fleet.Wait(absl::Seconds(59));
  EXPECT_FALSE(fleet.Alarms(ReasonCode::kAlarmDrainStuck));
  fleet.Wait(absl::Seconds(2));
  EXPECT_TRUE(fleet.Alarms(ReasonCode::kAlarmDrainStuck));
}

// 600 asked for, 100 running, and no capacity to be had: what is asked for must not grow with every lead time.
TEST(Ratchet, NodesThatDoNotArriveAreNotAskedForAgainAndAgain) {
  Policy policy = LivePolicy();
  policy.nodes.max = 200;
  policy.nodes.growth_ratio_max = 2;
  World world = ThreeNodes(policy);
  world.launches_stick = 1000;
  world.Run(absl::Minutes(5), Spread(world, 6000));
  EXPECT_LE(world.ActionsOf("launch").size(), 21u) << "three doublings, and not one in each of 30 lead times";
  const auto& verdicts = world.Last().verdicts;
  EXPECT_TRUE(
      std::any_of(verdicts.begin(), verdicts.end(), [](const Verdict& verdict) { return verdict.guard == "ratchet"; }));
  for (const auto& [id, node] : world.nodes) EXPECT_GT(node.limit, 1000) << "limits carry on";
}

TEST(Ratchet, MachinesThatWereGivenUpDoNotHoldGrowthUpForGood) {
  Policy policy = LivePolicy();
  policy.nodes.max = 20;
  policy.nodes.data = DataPlacement::kBearing;  // what came and is mute is never terminated
  policy.nodes.launch_timeout = absl::Minutes(1);
  World world = ThreeNodes(policy);
  world.launches_stick = 4;
  world.Run(absl::Minutes(20), Spread(world, 1500));
  EXPECT_GT(world.nodes.size(), 3u) << "the pauses between attempts end, and the fifth machine serves";
}

TEST(Ratchet, OneThatArrivesLetsGrowthGoOn) {
  Policy policy = LivePolicy();
  policy.nodes.max = 200;
  policy.nodes.growth_ratio_max = 2;
  World world = ThreeNodes(policy);
  world.launches_stick = 12;
  world.Run(absl::Minutes(2), Spread(world, 6000));
  const size_t asked = world.ActionsOf("launch").size();
  const auto [id, launch] = *world.stuck.begin();
  world.launched[id] = launch;
  world.stuck.erase(id);
  world.launches_stick = 0;
  world.AddNode(id);
  world.Run(absl::Minutes(2), Spread(world, 6000));
  EXPECT_GT(world.ActionsOf("launch").size(), asked);
}

TEST(Ratchet, OneSlowMachineHoldsNobodyUp) {
  World world = ThreeNodes();
  world.launches_stick = 1;
  world.Run(absl::Minutes(1), Spread(world, 500));
  world.Run(absl::Minutes(1), Spread(world, 1000));
  EXPECT_GE(world.nodes.size(), 7u);
}

}  // namespace
}  // namespace headroom
