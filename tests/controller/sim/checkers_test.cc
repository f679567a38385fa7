#include "controller/sim/checkers.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/sim/decision_stream.h"

// A checker that cannot fail proves nothing: every rule is shown a doctored stream of decisions that breaks it, and it
// alone, beside the same stream as it should be.

namespace headroom::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// One rule: how to break it, and the same without the fault.
struct Mutation {
  std::string rule;
  std::function<std::vector<std::string>(Stream&)> broken, sound;
};

void PrintTo(const Mutation& mutation, std::ostream* out) {
  *out << mutation.rule;
}

std::vector<Mutation> Mutations() {
  std::vector<Mutation> all;
  all.push_back({"min",
                 [](Stream& s) {
                   return s.Decide(kLong, {Drain("a"), Drain("b"), Drain("c")});
                 },
                 [](Stream& s) {
                   return s.Decide(kLong, {Drain("a"), Drain("b")});
                 }});
  all.push_back({"max",
                 [](Stream& s) {
                   return s.Decide(kLong, {Launch(), Launch()});
                 },
                 [](Stream& s) { return s.Decide(kLong, {Launch()}); }});
  all.push_back({"budget",
                 [](Stream& s) {
                   s.now.policy.limits.budget_count = 800;
                   return s.Decide(kLong, {Grant("a", 201)});
                 },
                 [](Stream& s) {
                   s.now.policy.limits.budget_count = 801;
                   return s.Decide(kLong, {Grant("a", 201)});
                 }});
  all.push_back({"uninformed_shrink",
                 [](Stream& s) {
                   s.silent = {"b", "c"};
                   s.now.policy.control.lost_after = absl::Hours(1);
                   return s.Decide(kLong, {Drain("a")});
                 },
                 [](Stream& s) {
                   s.silent = {"b"};
                   s.now.policy.control.lost_after = absl::Hours(1);
                   return s.Decide(kLong, {Drain("a")});
                 }});
  const auto cooldown = [](absl::Duration later) {
    return [later](Stream& s) {
      s.now.decision.desired_count = 2;
      s.now.decision.effective_count = 1;
      EXPECT_THAT(s.Decide(kLong, {Launch()}), IsEmpty());
      return s.Decide(later, {Drain("a")});
    };
  };
  all.push_back({"cooldown", cooldown(absl::Seconds(59)), cooldown(absl::Seconds(61))});
  all.push_back({"journal",
                 [](Stream& s) {
                   s.now.journal_fails = true;
                   return s.Decide(kLong, {Drain("a")});
                 },
                 [](Stream& s) {
                   s.now.journal_fails = true;
                   return s.Decide(kLong, {Launch(), Grant("b", 300)});
                 }});
  const auto hold = [](HoldDirection direction) {
    return [direction](Stream& s) {
      s.now.orders.holds = {{direction, absl::InfiniteFuture(), "", ""}};
      return s.Decide(kLong, {Launch()});
    };
  };
  all.push_back({"hold", hold(HoldDirection::kUp), hold(HoldDirection::kDown)});
  all.push_back({"bearing",
                 [](Stream& s) {
                   s.now.policy.nodes.data = DataPlacement::kBearing;
                   return s.Decide(kLong, {Drain("a")});
                 },
                 [](Stream& s) {
                   s.now.policy.nodes.data = DataPlacement::kBearing;
                   s.now.orders.drained = {"a"};
                   return s.Decide(kLong, {Drain("a")});
                 }});
  all.push_back({"pinned",
                 [](Stream& s) {
                   s.now.orders.pinned = {"a"};
                   return s.Decide(kLong, {Drain("a")});
                 },
                 [](Stream& s) {
                   s.now.orders.pinned = {"a"};
                   return s.Decide(kLong, {Drain("b")});
                 }});
  const auto zones = [](const std::string& second) {
    return [second](Stream& s) {
      s.now.machines["a"].zone = "one";
      s.now.machines["b"].zone = second;
      EXPECT_THAT(s.Decide(kLong, {Drain("a")}), IsEmpty());
      s.now.machines["a"].heard_serving = s.now.machines["a"].serves = false;
      return s.Decide(kLong, {Drain("b")});
    };
  };
  all.push_back({"zones", zones("two"), zones("one")});
  const auto terminate = [](int64_t open) {
    return [open](Stream& s) {
      EXPECT_THAT(s.Decide(kLong, {Drain("a")}), IsEmpty());
      s.now.machines["a"].heard_serving = s.now.machines["a"].serves = false;
      s.now.machines["a"].heard_open_count = open;
      return s.Decide(kSecond, {Of("a", TerminateNode{})});
    };
  };
  all.push_back({"terminate_undrained", terminate(1), terminate(0)});
  const auto full = [](absl::Duration later) {
    return [later](Stream& s) {
      s.now.machines["a"].heard_open_count = 190;
      s.now.machines["a"].heard_waiting_count = 10;
      EXPECT_THAT(s.Decide(kLong, {}), IsEmpty());
      return s.Decide(later, {});
    };
  };
  all.push_back({"raise_waits", full(absl::Seconds(6)), full(absl::Seconds(5))});
  const auto crowded = [](absl::Duration later) {
    return [later](Stream& s) {
      s.now.policy.nodes.max = 9;
      EXPECT_THAT(s.Decide(kSecond, {}), IsEmpty());
      for (auto& [id, machine] : s.now.machines) machine.heard_open_count = 199;
      s.now.listed_at = kStart + kSecond + kLong;
      EXPECT_THAT(s.Decide(kLong, {}), IsEmpty());
      s.now.listed_at += later;
      return s.Decide(later, {});
    };
  };
  all.push_back({"growth_waits", crowded(absl::Seconds(39)), crowded(absl::Seconds(38))});
  const auto verdict = [](int after) {
    return [after](Stream& s) {
      s.now.decision.verdicts = {{.guard = "paid", .before = 6, .after = after}};
      return s.Decide(kLong, {Grant("a", 200)});
    };
  };
  all.push_back({"growth_delayed", verdict(5), verdict(7)});
  all.push_back({"limit_below_active",
                 [](Stream& s) {
                   s.now.machines["a"].heard_open_count = 10;
                   return s.Decide(kLong, {Grant("a", 17)});
                 },
                 [](Stream& s) {
                   s.now.machines["a"].heard_open_count = 10;
                   return s.Decide(kLong, {Grant("a", 18)});
                 }});
  all.push_back({"limit_below_open", [](Stream& s) { return s.Decide(kLong, {Grant("a", 99)}); },
                 [](Stream& s) { return s.Decide(kLong, {Grant("a", 99, absl::Seconds(5))}); }});
  const auto quiet = [](int64_t count) {
    return [count](Stream& s) {
      s.silent = {"a"};
      return s.Decide(kLong, {Grant("a", count)});
    };
  };
  all.push_back({"limit_of_silent", quiet(150), quiet(200)});
  all.push_back({"limit_above_ceiling", [](Stream& s) { return s.Decide(kLong, {Grant("a", 30'000)}); },
                 [](Stream& s) { return s.Decide(kLong, {Grant("a", 20'000)}); }});
  const auto term = [](int64_t second) {
    return [second](Stream& s) {
      EXPECT_THAT(s.Decide(kLong, {Launch()}), IsEmpty());
      ++s.now.process;
      s.now.decision.term = second;
      return s.Decide(kLong, {Grant("a", 200)});
    };
  };
  all.push_back({"term", term(1), term(2)});
  const auto time = [](absl::Duration later) {
    return [later](Stream& s) {
      EXPECT_THAT(s.Decide(kLong, {Launch()}), IsEmpty());
      return s.Decide(later, {Grant("a", 200)});
    };
  };
  all.push_back({"order", time(-kSecond), time(kSecond)});
  const auto again = [](const ActionId& id) {
    return [id](Stream& s) {
      Action first = Launch(), second = Launch();
      first.id = "1";
      second.id = id;
      EXPECT_THAT(s.Decide(kLong, {first}), IsEmpty());
      s.checker.Ended({.id = "1"});
      return s.Decide(kLong, {second});
    };
  };
  all.push_back({"launch_twice", again("1"), again("2")});
  const auto many = [](size_t count) {
    return [count](Stream& s) { return s.Decide(kLong, std::vector<Action>(count, Of("a", ShedConnections{}))); };
  };
  all.push_back({"bounded", many(53), many(52)});
  return all;
}

class SafetyCheckerMutation : public ::testing::TestWithParam<Mutation> {};

TEST_P(SafetyCheckerMutation, IsCaughtByItsRuleAlone) {
  Stream stream;
  EXPECT_THAT(GetParam().broken(stream), ElementsAre(GetParam().rule));
}

TEST_P(SafetyCheckerMutation, PassesWithoutTheFault) {
  Stream stream;
  EXPECT_THAT(GetParam().sound(stream), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, SafetyCheckerMutation, ::testing::ValuesIn(Mutations()),
                         [](const auto& mutation) { return mutation.param.rule; });

// What the controller cannot know is not held against it, and what it can know is.
TEST(SafetyChecker, AMachineThatVanishedUnnoticedCountsAsServingUntilItsSilenceTells) {
  Stream stream;
  stream.now.vanished["gone"] = stream.now.machines["a"];
  stream.now.vanished["gone"].heard_at = kStart + kLong;
  EXPECT_THAT(stream.Decide(kLong, {Drain("a"), Drain("b"), Drain("c")}), IsEmpty());
  Stream later;
  later.now.vanished["gone"] = later.now.machines["a"];
  EXPECT_THAT(later.Decide(kLong, {Drain("a"), Drain("b"), Drain("c")}), ElementsAre("min"));
}

TEST(SafetyChecker, ADrainOfADeadMachineLeavesAsManyThatServe) {
  const auto drain = [](const NodeId& node) {
    Stream stream;
    stream.now.policy.nodes.min = 3;
    stream.now.policy.control.quorum_ratio = 0.5;
    stream.silent = {"d"};
    return stream.Decide(kLong, {Drain(node)});
  };
  EXPECT_THAT(drain("d"), IsEmpty());
  EXPECT_THAT(drain("a"), ElementsAre("min"));
}

TEST(SafetyChecker, AMachineWhoseTerminationWasRefusedStays) {
  const auto then_shrink = [](absl::StatusCode code) {
    Stream stream;
    stream.now.policy.nodes.drain_timeout = absl::ZeroDuration();
    EXPECT_THAT(stream.Decide(kLong, {Drain("a")}), IsEmpty());
    EXPECT_THAT(stream.Decide(kLong, {{.id = "end", .node = "a", .body = TerminateNode{}}}), IsEmpty());
    stream.checker.Ended({.id = "end", .code = code});
    return stream.Decide(kLong, {Drain("b"), Drain("c")});
  };
  EXPECT_THAT(then_shrink(absl::StatusCode::kOk), ElementsAre("min"));
  EXPECT_THAT(then_shrink(absl::StatusCode::kUnavailable), IsEmpty());
}

TEST(SafetyChecker, ADrainThatANewProcessSawNotFollowedExcusesNoDrainOfItsOwn) {
  const auto drain_again = [](bool restarted) {
    Stream stream;
    EXPECT_THAT(stream.Decide(kLong, {Drain("a")}), IsEmpty());
    stream.now.orders.holds = {{HoldDirection::kDown, absl::InfiniteFuture(), "", ""}};
    if (restarted) ++stream.now.process, ++stream.now.decision.term;
    EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    return stream.Decide(kLong, {Drain("a")});
  };
  EXPECT_THAT(drain_again(true), ElementsAre("hold"));
  EXPECT_THAT(drain_again(false), IsEmpty()) << "one that was not followed is told again";
}

TEST(SafetyChecker, ADrainThatANewProcessHasHeardFollowedIsItsToRepeat) {
  Stream s;
  EXPECT_THAT(s.Decide(kLong, {Drain("a")}), IsEmpty());
  ++s.now.process;
  ++s.now.decision.term;
  MachineFacts& a = s.now.machines["a"];
  a.heard_serving = false;
  a.heard_draining = true;
  EXPECT_THAT(s.Decide(kSecond, {}), IsEmpty());
  a.heard_serving = true;  // its server has restarted
  a.heard_draining = false;
  s.now.orders.holds = {{HoldDirection::kDown, absl::InfiniteFuture(), "", ""}};
  EXPECT_THAT(s.Decide(kLong, {Drain("a")}), IsEmpty());
}

TEST(SafetyChecker, AGrantThatWasLostIsNoLimitThatTheNextProcessLowers) {
  Stream s;
  EXPECT_THAT(s.Decide(kLong, {Grant("a", 300)}), IsEmpty());
  ++s.now.process;
  ++s.now.decision.term;
  s.silent = {"a"};  // it has only said hello: with 200
  EXPECT_THAT(s.Decide(kLong, {Grant("a", 200)}), IsEmpty());
  EXPECT_THAT(s.Decide(kSecond, {Grant("a", 199)}), ElementsAre("limit_of_silent"));
}

TEST(SafetyChecker, AMachineThatHasNotSpokenYetIsSilentOnceItIsOverdue) {
  Stream s;
  s.silent = {"c", "d"};
  MachineFacts& c = s.now.machines["c"];
  c.boot_is_told = c.heard_serving = c.is_connected = false;
  c.heard_at = absl::InfinitePast();
  c.launched_at = kStart + kLong - kSecond;
  s.now.policy.control.lost_after = absl::Hours(1);
  EXPECT_THAT(s.Decide(kLong, {Drain("a")}), IsEmpty()) << "of three that serve one is silent";
  c.launched_at = kStart;
  EXPECT_THAT(s.Decide(kLong, {Drain("b")}), ElementsAre("uninformed_shrink"));
}

TEST(SafetyChecker, AMachineThatIsTakenBackFromItsDrainCountsForTheMaximum) {
  Stream s;
  s.now.machines["d"].heard_serving = false;
  s.now.machines["d"].heard_draining = true;
  EXPECT_THAT(s.Decide(kLong, {Of("d", CancelDrain{})}), IsEmpty());
  s.silent = {"d"};
  EXPECT_THAT(s.Decide(kSecond, {Launch(), Launch()}), ElementsAre("max"));
}

TEST(SafetyChecker, AMachineThatLastSaidThatItDrainsIsNotSilent) {
  Stream s;
  s.silent = {"c", "d"};
  s.now.policy.control.lost_after = absl::Hours(1);
  s.now.machines["d"].heard_serving = false;
  s.now.machines["d"].heard_draining = true;  // by hand; and it was taken back since, and is cut off
  EXPECT_THAT(s.Decide(kLong, {Drain("a")}), IsEmpty());
}

TEST(SafetyChecker, AServerThatHasLeftServesUntilItsRestartTakesTooLong) {
  const auto after = [](absl::Duration since) {
    Stream s;
    s.now.policy.nodes.min = 4;
    s.now.policy.nodes.restart_grace = absl::Seconds(3);
    s.now.orders.holds = {{HoldDirection::kUp, absl::InfiniteFuture(), "", ""}};
    EXPECT_THAT(s.Decide(kSecond, {}), IsEmpty());
    s.silent = {"d"};
    s.now.machines["d"].is_connected = false;
    return s.Decide(since, {Launch()});
  };
  EXPECT_THAT(after(2 * kSecond), ElementsAre("hold"));
  EXPECT_THAT(after(4 * kSecond), IsEmpty());
}

TEST(SafetyChecker, ACancelThatIsToldAgainIsTheSameGrowth) {
  Stream s;
  s.now.policy.nodes.cooldown = absl::Minutes(10);
  s.now.machines["d"].heard_serving = false;
  s.now.machines["d"].heard_draining = true;
  EXPECT_THAT(s.Decide(kLong, {Of("d", CancelDrain{})}), IsEmpty());
  EXPECT_THAT(s.Decide(kSecond, {Of("d", CancelDrain{})}), IsEmpty());
  EXPECT_THAT(s.Decide(59 * kSecond, {Drain("a")}), IsEmpty()) << "a tenth of the cooldown after the first";
}

TEST(SafetyChecker, ACrashTakesBackNoDecisionThatIsLongCommitted) {
  const auto back_by = [](absl::Duration back) {
    Stream stream;
    for (int i = 0; i < 10; ++i) EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    ++stream.now.process;
    ++stream.now.decision.term;
    return stream.Decide(-back, {});
  };
  EXPECT_THAT(back_by(2 * kSecond), IsEmpty()) << "two decisions may be lost, and the clock may be behind";
  EXPECT_THAT(back_by(2.1 * kSecond), ElementsAre("order"));
}

TEST(SafetyChecker, ADecisionOfAProcessThatWasKilledAtOnceBindsNoneAfterIt) {
  const auto third_begins = [](absl::Duration back) {
    Stream stream;
    const auto restart = [&stream] { ++stream.now.process, ++stream.now.decision.term; };
    for (int i = 0; i < 10; ++i) EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    restart();
    EXPECT_THAT(stream.Decide(kSecond, {}), IsEmpty());
    restart();
    return stream.Decide(-back, {});
  };
  EXPECT_THAT(third_begins(kSecond), IsEmpty());
  EXPECT_THAT(third_begins(3.1 * kSecond), ElementsAre("order")) << "that one was committed";
}

TEST(SafetyChecker, SlotsOfABalancerThatIsAwayCountBesideThoseThatAreAsked) {
  const auto ask = [](int64_t elsewhere) {
    Stream stream;
    stream.now.balancers = 1;
    stream.now.policy.limits.budget_count = 810;
    stream.now.machines["a"].slots_at_balancers = true;
    stream.now.machines["a"].slots_elsewhere_count = elsewhere;
    return stream.Decide(kLong, {Of("", SetServers{{{.node = "a", .session_count_max = 150}}})});
  };
  EXPECT_THAT(ask(100), ElementsAre("budget"));
  EXPECT_THAT(ask(0), IsEmpty());
}

TEST(SafetyChecker, HasAMutationForEachRule) {
  std::set<std::string> shown;
  for (const Mutation& mutation : Mutations()) shown.insert(mutation.rule);
  for (const absl::string_view rule : SafetyChecker::RuleNames())
    EXPECT_TRUE(shown.contains(std::string(rule))) << rule;
}

}  // namespace
}  // namespace headroom::sim
