#include "storage_node/adapters/haproxy/reconciler.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage_node/adapters/haproxy/fake_haproxy.h"

namespace headroom::haproxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr absl::Duration kGrace = absl::Seconds(5);

DesiredServer Wanted(const std::string& name) {
  return {.name = name, .endpoints = {"127.0.0.1:8000", ""}};
}
DesiredServer WantedDraining(const std::string& name) {
  DesiredServer server = Wanted(name);
  server.draining = true;
  return server;
}
DesiredServer WantedAt(const std::string& name, const std::string& address) {
  DesiredServer server = Wanted(name);
  server.endpoints.data = address;
  return server;
}
DesiredServer WantedLimit(const std::string& name, int64_t limit) {
  DesiredServer server = Wanted(name);
  server.session_count_max = limit;
  return server;
}
ServerView Shown(const std::string& name) {
  return {.name = name, .address = "127.0.0.1:8000", .up = true, .weight = 100};
}
ServerView ShownDraining(const std::string& name, int64_t sessions) {
  ServerView view = Shown(name);
  view.draining = true, view.session_count = sessions;
  return view;
}
ServerView ShownDown(const std::string& name) {
  ServerView view = Shown(name);
  view.up = false;
  return view;
}
ServerView ShownMaintenance(const std::string& name) {
  ServerView view = ShownDown(name);
  view.maintenance = true;
  return view;
}
ServerView ShownHalfAdded(const std::string& name) {
  ServerView view = ShownMaintenance(name);
  view.half_added = true;
  return view;
}
ServerView ShownLimit(const std::string& name, int64_t limit) {
  ServerView view = Shown(name);
  view.session_count_max = limit;
  return view;
}

struct Case {
  std::string name;
  std::vector<DesiredServer> desired;
  std::vector<ServerView> shown;
  std::vector<std::string> want;  // "step server"
  bool holds_slots = false;
  std::set<std::string> added = {};
  std::map<std::string, absl::Time> absent_since = {};
};

std::vector<std::string> Names(const std::vector<Step>& steps) {
  std::vector<std::string> names;
  names.reserve(steps.size());
  for (const Step& step : steps) names.push_back(absl::StrCat(Name(step.kind), " ", step.server.name));
  return names;
}

DesiredServers ByName(const std::vector<DesiredServer>& servers) {
  DesiredServers by_name;
  for (const DesiredServer& server : servers) by_name[server.name] = server;
  return by_name;
}

class PlanTest : public ::testing::TestWithParam<Case> {};

TEST_P(PlanTest, MakesTheseSteps) {
  const Case& c = GetParam();
  const BackendView view{.life = "1", .holds_slots = c.holds_slots, .servers = c.shown};
  const Memory memory{.life = "1", .added = c.added, .absent_since = c.absent_since};
  EXPECT_EQ(Names(Plan(ByName(c.desired), view, memory, {.absence_grace = kGrace, .session_count_first = 200}, kNow)),
            c.want);
}

const absl::Time kLongAgo = kNow - kGrace, kJustNow = kNow - kGrace + absl::Milliseconds(1);

INSTANTIATE_TEST_SUITE_P(
    Rules, PlanTest,
    ::testing::Values(
        Case{.name = "nothing_when_equal", .desired = {Wanted("a"), Wanted("b")}, .shown = {Shown("b"), Shown("a")}},
        Case{.name = "adds_what_is_missing",
             .desired = {Wanted("a"), Wanted("b")},
             .shown = {Shown("a")},
             .want = {"add b"}},
        Case{.name = "does_not_add_what_drains", .desired = {Wanted("a"), WantedDraining("b")}, .shown = {Shown("a")}},
        Case{.name = "drains_what_should_drain",
             .desired = {Wanted("a"), WantedDraining("b")},
             .shown = {Shown("a"), Shown("b")},
             .want = {"drain b"}},
        Case{.name = "keeps_a_drained_server_while_it_is_listed",
             .desired = {Wanted("a"), WantedDraining("b")},
             .shown = {Shown("a"), ShownDraining("b", 0)}},
        Case{.name = "cancels_a_drain",
             .desired = {Wanted("a"), Wanted("b")},
             .shown = {Shown("a"), ShownDraining("b", 3)},
             .want = {"ready b"}},
        Case{.name = "never_drains_the_last_serving_server",
             .desired = {WantedDraining("a")},
             .shown = {Shown("a"), ShownDown("b")},
             .absent_since = {{"b", kJustNow}}},
        Case{.name = "of_two_that_should_drain_one_stays",
             .desired = {WantedDraining("a"), WantedDraining("b")},
             .shown = {Shown("a"), Shown("b")},
             .want = {"drain a"}},
        Case{.name = "drains_a_server_that_is_down_even_alone",
             .desired = {WantedDraining("a")},
             .shown = {ShownDown("a")},
             .want = {"drain a"}},
        Case{.name = "an_empty_list_asks_for_nothing",
             .desired = {},
             .shown = {Shown("a"), ShownDraining("b", 0)},
             .absent_since = {{"a", kLongAgo}, {"b", kLongAgo}}},
        Case{.name = "a_short_absence_is_forgiven",
             .desired = {Wanted("a")},
             .shown = {Shown("a"), Shown("b")},
             .absent_since = {{"b", kJustNow}}},
        Case{.name = "a_long_absence_drains_first",
             .desired = {Wanted("a")},
             .shown = {Shown("a"), Shown("b")},
             .want = {"drain b"},
             .absent_since = {{"b", kLongAgo}}},
        Case{.name = "the_last_serving_server_stays_even_if_absent",
             .desired = {Wanted("a")},
             .shown = {ShownDown("a"), Shown("b")},
             .absent_since = {{"b", kLongAgo}}},
        Case{.name = "removes_what_was_drained_and_left_the_list",
             .desired = {Wanted("a")},
             .shown = {Shown("a"), ShownDraining("b", 0)},
             .want = {"remove b"}},
        Case{.name = "waits_for_sessions_to_end",
             .desired = {Wanted("a")},
             .shown = {Shown("a"), ShownDraining("b", 1)},
             .absent_since = {{"b", kLongAgo}}},
        Case{.name = "leaves_an_operators_maintenance_alone",
             .desired = {Wanted("a"), Wanted("b")},
             .shown = {Shown("a"), ShownMaintenance("b")}},
        Case{.name = "maintenance_is_no_shortcut_to_removal",
             .desired = {Wanted("a")},
             .shown = {Shown("a"), ShownMaintenance("b")},
             .absent_since = {{"b", kJustNow}}},
        Case{.name = "leaves_a_stranger_alone",
             .desired = {Wanted("a")},
             .shown = {Shown("a"), Shown("Legacy_1"), ShownDraining("Legacy_2", 0)},
             .absent_since = {{"Legacy_1", kLongAgo}, {"Legacy_2", kLongAgo}}},
        Case{.name = "completes_an_interrupted_addition",
             .desired = {Wanted("a")},
             .shown = {ShownHalfAdded("a")},
             .want = {"enable a"}},
        Case{.name = "moves_a_server_that_we_added",
             .desired = {WantedAt("a", "127.0.0.1:9000")},
             .shown = {Shown("a")},
             .want = {"address a"},
             .added = {"a"}},
        Case{.name = "moves_a_server_before_it_takes_back_its_drain",
             .desired = {WantedAt("a", "127.0.0.1:9000")},
             .shown = {ShownDraining("a", 1)},
             .want = {"address a"},
             .added = {"a"}},
        Case{.name = "keeps_the_address_of_a_found_server_that_works",
             .desired = {WantedAt("a", "127.0.0.1:9000")},
             .shown = {Shown("a")}},
        Case{.name = "mends_the_address_of_a_found_server_that_is_down",
             .desired = {WantedAt("a", "127.0.0.1:9000")},
             .shown = {ShownDown("a")},
             .want = {"address a"}},
        Case{.name = "mode_tcp_has_no_server_limit", .desired = {WantedLimit("a", 30)}, .shown = {Shown("a")}},
        Case{.name = "mode_http_raises_before_it_cuts",
             .desired = {WantedLimit("a", 30), WantedLimit("b", 60)},
             .shown = {ShownLimit("a", 40), ShownLimit("b", 40)},
             .want = {"set-limit b", "set-limit a"},
             .holds_slots = true},
        Case{.name = "no_limit_asked_leaves_the_limit",
             .desired = {Wanted("a")},
             .shown = {ShownLimit("a", 40)},
             .holds_slots = true},
        Case{.name = "mode_http_gives_a_found_server_without_a_limit_the_first_one",
             .desired = {Wanted("a"), Wanted("b")},
             .shown = {Shown("a"), ShownLimit("b", 40)},
             .want = {"set-limit a"},
             .holds_slots = true},
        Case{.name = "grows_before_it_shrinks",
             .desired = {WantedDraining("a"), Wanted("b"), Wanted("c"), Wanted("d")},
             .shown = {Shown("a"), Shown("b"), ShownDraining("c", 0)},
             .want = {"add d", "ready c", "drain a"}}),
    [](const auto& test) { return test.param.name; });

TEST(Plan, AFrozenServerIsNeitherAddedNorChangedNorMissed) {
  DesiredServer frozen{.name = "b", .frozen = true};
  const DesiredServers desired = ByName({Wanted("a"), frozen});
  const Memory memory{.absent_since = {{"b", absl::InfinitePast()}}};
  EXPECT_THAT(Plan(desired, {.servers = {Shown("a")}}, memory, {}, kNow), IsEmpty());
  EXPECT_THAT(Plan(desired, {.servers = {Shown("a"), ShownDraining("b", 0)}}, memory, {}, kNow), IsEmpty());
}

TEST(Plan, TakesAtMostSoManyStepsAndGrowthFirst) {
  DesiredServers desired;
  BackendView view;
  for (int i = 0; i < 50; ++i) {
    const std::string name = absl::StrCat("n", i);
    desired[name] = i < 25 ? WantedDraining(name) : Wanted(name);
    if (i < 25) view.servers.push_back(Shown(name));
  }
  const std::vector<Step> steps = Plan(desired, view, {}, {.steps_per_round_max = 10}, kNow);
  ASSERT_EQ(steps.size(), 10u);
  for (const Step& step : steps) EXPECT_EQ(step.kind, StepKind::kAdd);
}

TEST(Plan, HoldsAStepThatHasJustFailed) {
  const Memory memory{.held_until = {{{StepKind::kAdd, "b"}, kNow + absl::Seconds(1)}}};
  const DesiredServers desired = ByName({Wanted("b"), Wanted("c")});
  EXPECT_THAT(Names(Plan(desired, {}, memory, {}, kNow)), ElementsAre("add c"));
  EXPECT_THAT(Names(Plan(desired, {}, memory, {}, kNow + absl::Seconds(1))), ElementsAre("add b", "add c"));
}

class ReconcilerTest : public ::testing::Test {
 protected:
  std::vector<std::string> Round(const DesiredServers& desired, absl::Time now) {
    const auto view = control_.Look();
    EXPECT_TRUE(view.ok()) << view.status();
    std::vector<std::string> done;
    for (const Outcome& outcome : reconciler_.Round(control_, desired, *view, now)) {
      done.push_back(
          absl::StrCat(Name(outcome.step.kind), " ", outcome.step.server.name, outcome.status.ok() ? "" : "!"));
    }
    return done;
  }

  FakeHaproxy haproxy_;
  HaproxyControl control_{haproxy_, {.backend = "nodes", .frontend = "front"}};
  Reconciler reconciler_{{.absence_grace = kGrace}};
};

TEST_F(ReconcilerTest, ReachesTheListAndThenRests) {
  const DesiredServers desired = ByName({Wanted("a"), Wanted("b")});
  EXPECT_THAT(Round(desired, kNow), ElementsAre("add a", "add b"));
  EXPECT_THAT(Round(desired, kNow), IsEmpty());
}

TEST_F(ReconcilerTest, AddsAgainWhatARestartForgot) {
  const DesiredServers desired = ByName({Wanted("a"), Wanted("b")});
  Round(desired, kNow);
  haproxy_.Restart();
  EXPECT_THAT(Round(desired, kNow), ElementsAre("add a", "add b"));
  EXPECT_EQ(haproxy_.servers.size(), 2u);
}

TEST_F(ReconcilerTest, DrainsAndRemovesANodeThatLeftTheListOnlyAfterTheGrace) {
  Round(ByName({Wanted("a"), Wanted("b")}), kNow);
  const DesiredServers desired = ByName({Wanted("a")});
  EXPECT_THAT(Round(desired, kNow), IsEmpty());
  EXPECT_THAT(Round(desired, kNow + kGrace - absl::Seconds(1)), IsEmpty());
  EXPECT_THAT(Round(desired, kNow + kGrace), ElementsAre("drain b"));
  EXPECT_THAT(Round(desired, kNow + kGrace), ElementsAre("remove b"));
}

TEST_F(ReconcilerTest, AnAbsenceThatEndsStartsTheGraceAnew) {
  const DesiredServers both = ByName({Wanted("a"), Wanted("b")}), one = ByName({Wanted("a")});
  Round(both, kNow);
  Round(one, kNow);
  Round(both, kNow + absl::Seconds(4));
  EXPECT_THAT(Round(one, kNow + absl::Seconds(8)), IsEmpty());
}

TEST_F(ReconcilerTest, TriesARefusedStepAgainAfterAPause) {
  haproxy_.servers["a"] = {};
  haproxy_.servers["b"] = {.admin = 8};
  haproxy_.answers["del server nodes/b"] = "Server still has connections attached to it, cannot remove it.\n";
  const DesiredServers desired = ByName({Wanted("a")});
  EXPECT_THAT(Round(desired, kNow), ElementsAre("remove b!"));
  EXPECT_THAT(Round(desired, kNow + absl::Milliseconds(900)), IsEmpty());
  haproxy_.answers.clear();
  EXPECT_THAT(Round(desired, kNow + absl::Seconds(1)), ElementsAre("remove b"));
}

TEST_F(ReconcilerTest, StopsTheRoundWhenHaproxyGoesAway) {
  const auto view = control_.Look();
  ASSERT_TRUE(view.ok());
  haproxy_.alive = false;
  const auto outcomes = reconciler_.Round(control_, ByName({Wanted("a"), Wanted("b")}), *view, kNow);
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes[0].status.code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace headroom::haproxy
