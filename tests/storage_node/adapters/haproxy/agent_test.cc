#include "storage_node/adapters/haproxy/agent.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage_node/adapters/haproxy/fake_haproxy.h"

namespace headroom::haproxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

v1::Directive Live(int64_t term, const std::vector<std::string>& names) {
  v1::Directive directive;
  directive.set_term(term);
  directive.set_mode(v1::DIRECTIVE_MODE_LIVE);
  directive.set_has_servers(true);
  for (const std::string& name : names) {
    v1::ServerTarget& target = *directive.add_servers();
    target.set_node_id(name);
    target.set_address("127.0.0.1:8000");
  }
  return directive;
}
v1::Directive Observe(int64_t term, const std::vector<std::string>& names) {
  v1::Directive directive = Live(term, names);
  directive.set_mode(v1::DIRECTIVE_MODE_OBSERVE);
  return directive;
}

class AgentTest : public ::testing::Test {
 protected:
  static AgentOptions Options() {
    AgentOptions options;
    options.balancer_id = "front-1";
    options.boot_id = "boot";
    options.place = {.backend = "nodes", .frontend = "front"};
    options.reconcile.session_count_first = 200;
    return options;
  }
  v1::BalancerLoad LoadAfterRound() {
    agent_.Round(kNow);
    return agent_.Load(v1::URGENCY_UNSPECIFIED).value_or(v1::BalancerLoad());
  }

  FakeHaproxy haproxy_;
  Agent agent_{haproxy_, Options()};
};

TEST_F(AgentTest, ChangesNothingBeforeAControllerHasSpoken) {
  haproxy_.servers["a"] = {};
  agent_.Round(kNow);
  EXPECT_THAT(haproxy_.Changes(), IsEmpty());
}

TEST_F(AgentTest, ChangesNothingForAControllerThatObserves) {
  haproxy_.servers["a"] = {};
  EXPECT_THAT(agent_.Obey(Observe(3, {"b", "c"})).faults, IsEmpty());
  agent_.Round(kNow);
  EXPECT_THAT(haproxy_.Changes(), IsEmpty());
}

TEST_F(AgentTest, StopsChangingWhenTheControllerTurnsToObserving) {
  agent_.Obey(Live(3, {"a"}));
  agent_.Round(kNow);
  EXPECT_EQ(haproxy_.servers.size(), 1u);
  EXPECT_TRUE(agent_.Obey(Observe(3, {})).changed);
  haproxy_.Restart();
  agent_.Round(kNow);
  EXPECT_THAT(haproxy_.servers, IsEmpty());
}

TEST_F(AgentTest, RefusesAnOlderTermAndADirectiveWithoutMode) {
  agent_.Obey(Live(5, {"a"}));
  const Obeyed older = agent_.Obey(Live(4, {"b"}));
  EXPECT_THAT(older.faults, ElementsAre(HasSubstr("term 4")));
  EXPECT_TRUE(older.outdated);
  v1::Directive modeless = Live(6, {"b"});
  modeless.clear_mode();
  EXPECT_THAT(agent_.Obey(modeless).faults, ElementsAre(HasSubstr("mode")));
  EXPECT_FALSE(agent_.Obey(modeless).outdated);
  agent_.Round(kNow);
  EXPECT_EQ(haproxy_.servers.count("a"), 1u);
  EXPECT_EQ(haproxy_.servers.count("b"), 0u);
  EXPECT_EQ(agent_.Hello().term_max_seen(), 5);
}

TEST_F(AgentTest, ADirectiveWithoutAListChangesNoList) {
  agent_.Obey(Live(1, {"a"}));
  v1::Directive pace = Live(1, {});
  pace.set_has_servers(false);
  EXPECT_FALSE(agent_.Obey(pace).changed);
  agent_.Round(kNow);
  EXPECT_EQ(haproxy_.servers.size(), 1u);
}

TEST_F(AgentTest, AFaultyServerIsFrozenAndTheOthersAreTaken) {
  haproxy_.servers["a"] = {.address = "127.0.0.1:8000"};
  haproxy_.servers["frozen"] = {.admin = 8};
  v1::Directive directive = Live(1, {"a", "frozen", "weighty", "bad name", "twice", "twice", "b"});
  directive.mutable_servers(1)->set_address("node-1.example:8000");
  directive.mutable_servers(2)->set_weight(300);
  EXPECT_EQ(agent_.Obey(directive).faults.size(), 4u);
  agent_.Round(kNow);
  agent_.Round(kNow + absl::Hours(1));
  EXPECT_EQ(haproxy_.servers.count("b"), 1u);
  EXPECT_EQ(haproxy_.servers.count("frozen"), 1u) << "a fault is no departure";
  EXPECT_EQ(haproxy_.servers.size(), 3u);
}

TEST_F(AgentTest, SharesTheBackendsQueueAmongTheServersThatCouldTakeIt) {
  haproxy_.mode = "http";
  haproxy_.backend_queue = 5;
  haproxy_.servers["a"] = {.queue = 1};
  haproxy_.servers["b"] = {.admin = 8};
  haproxy_.servers["c"] = {};
  const v1::BalancerLoad load = LoadAfterRound();
  ASSERT_EQ(load.servers_size(), 3);
  EXPECT_EQ(load.slot_place(), v1::SLOT_PLACE_BALANCER);
  EXPECT_EQ(load.servers(0).queue_count(), 1 + 3);
  EXPECT_EQ(load.servers(1).queue_count(), 0);
  EXPECT_TRUE(load.servers(1).draining());
  EXPECT_EQ(load.servers(2).queue_count(), 2);
}

TEST_F(AgentTest, IsSilentWhileHaproxyIsGoneAndPutsTheListBackIn) {
  EXPECT_FALSE(agent_.Load(v1::URGENCY_STATE).has_value()) << "nothing was seen yet";
  agent_.Obey(Live(1, {"a", "b"}));
  EXPECT_EQ(LoadAfterRound().servers_size(), 2);
  haproxy_.alive = false;
  const Turn lost = agent_.Round(kNow);
  EXPECT_TRUE(lost.haproxy_changed);
  EXPECT_FALSE(agent_.Load(v1::URGENCY_STATE).has_value()) << "nobody may take the servers for gone, or for idle";
  const Turn still_lost = agent_.Round(kNow);
  EXPECT_FALSE(still_lost.haproxy_changed);
  EXPECT_GT(still_lost.pause, lost.pause);
  haproxy_.Restart();
  haproxy_.alive = true;
  const Turn back = agent_.Round(kNow);
  EXPECT_TRUE(back.haproxy.ok());
  EXPECT_EQ(back.urgency, v1::URGENCY_STATE);
  EXPECT_EQ(agent_.Load(v1::URGENCY_STATE)->servers_size(), 2);
}

TEST_F(AgentTest, ARestartOfHaproxyInMidSurgeTakesNoRaisedLimitBack) {
  haproxy_.mode = "http";
  v1::Directive directive = Live(1, {"a", "b"});
  for (v1::ServerTarget& target : *directive.mutable_servers()) target.set_session_count_max(800);
  agent_.Obey(directive);
  EXPECT_EQ(LoadAfterRound().servers(0).session_count_max(), 800);
  haproxy_.alive = false;
  agent_.Round(kNow);
  EXPECT_EQ(agent_.Hello().slot_unit(), v1::SLOT_UNIT_REQUESTS);
  // The controller has no word on limits now: it has lost sight of where the slots are.
  agent_.Obey(Live(1, {"a", "b"}));
  haproxy_.Restart();
  haproxy_.servers["b"] = {.limit = 200};  // from its file
  haproxy_.alive = true;
  agent_.Round(kNow);
  EXPECT_EQ(haproxy_.servers["a"].limit, 800);
  EXPECT_EQ(haproxy_.servers["b"].limit, 800);
}

TEST_F(AgentTest, AServerThatIsNotYetBackAfterARestartIsLeftOutAndNotToldAsIdle) {
  haproxy_.mode = "http";
  agent_.Obey(Live(1, {"a", "b"}));
  agent_.Round(kNow);
  haproxy_.servers["b"].sessions = 7;
  agent_.Round(kNow);
  haproxy_.Restart();
  haproxy_.refused_names.insert("b");
  const v1::BalancerLoad load = LoadAfterRound();
  ASSERT_EQ(load.servers_size(), 1);
  EXPECT_EQ(load.servers(0).node_id(), "a");
}

TEST_F(AgentTest, ModeHttpWithoutAFirstLimitIsRefusedWithTheReason) {
  AgentOptions options = Options();
  options.reconcile.session_count_first = 0;
  Agent agent(haproxy_, options);
  agent.Obey(Live(1, {"a"}));
  EXPECT_TRUE(agent.Round(kNow).haproxy.ok()) << "mode tcp needs none";
  haproxy_.mode = "http";
  const Turn turn = agent.Round(kNow);
  EXPECT_EQ(turn.haproxy.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(turn.haproxy.message()), HasSubstr("--server-limit"));
}

// One name that the wire does not allow would cost the whole report.
TEST_F(AgentTest, LeavesServersOutThatCanBeNoNodes) {
  haproxy_.servers["Legacy_1"] = {};
  haproxy_.servers["a"] = {};
  EXPECT_THAT(agent_.Round(kNow).strangers, ElementsAre("Legacy_1"));
  const v1::BalancerLoad load = agent_.Load(v1::URGENCY_UNSPECIFIED).value();
  ASSERT_EQ(load.servers_size(), 1);
  EXPECT_EQ(load.servers(0).node_id(), "a");
  EXPECT_THAT(agent_.Round(kNow).strangers, IsEmpty()) << "told once";
}

TEST_F(AgentTest, ModeHttpBeginsWithTheFirstLimitUntilTheControllerSetsOne) {
  haproxy_.mode = "http";
  AgentOptions options = Options();
  options.reconcile.session_count_first = 200;
  Agent agent(haproxy_, options);
  v1::Directive directive = Live(1, {"a", "b"});
  directive.mutable_servers(1)->set_session_count_max(50);
  agent.Obey(directive);
  agent.Round(kNow);
  EXPECT_EQ(haproxy_.servers["a"].limit, 200);
  EXPECT_EQ(haproxy_.servers["b"].limit, 50);
  directive.mutable_servers(0)->set_session_count_max(400);
  agent.Obey(directive);
  agent.Round(kNow);
  EXPECT_EQ(haproxy_.servers["a"].limit, 400);
}

TEST_F(AgentTest, CountersNeverRunBackwards) {
  haproxy_.servers["a"] = {.connect_errors = 7, .total = 100};
  LoadAfterRound();
  haproxy_.Restart();
  haproxy_.servers["a"] = {.connect_errors = 2, .total = 10};
  const v1::BalancerLoad load = LoadAfterRound();
  EXPECT_EQ(load.servers(0).connect_error_count(), 9);
  EXPECT_EQ(load.servers(0).completed_count(), 110);
  EXPECT_EQ(load.boot_id(), "boot");
}

TEST_F(AgentTest, IsUrgentWhenAQueueBeginsDoublesOrConnectionsFailOrAServerGoesDown) {
  haproxy_.servers["a"] = {};
  agent_.Round(kNow);
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_UNSPECIFIED);
  haproxy_.backend_queue = 4;
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_LIMIT_REACHED);
  haproxy_.backend_queue = 8;
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_UNSPECIFIED);
  haproxy_.backend_queue = 9;
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_LIMIT_REACHED);
  haproxy_.backend_queue = 0;
  agent_.Round(kNow);
  haproxy_.servers["a"].connect_errors = 1;
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_REJECTION);
  haproxy_.servers["a"].operational = 0;
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_STATE);
  EXPECT_EQ(agent_.Round(kNow).urgency, v1::URGENCY_UNSPECIFIED);
}

TEST_F(AgentTest, TellsARepeatedFailureOnce) {
  haproxy_.answers["enable health nodes/a"] = "Permission denied\n\n";
  agent_.Obey(Live(1, {"a"}));
  EXPECT_EQ(agent_.Round(kNow).outcomes.size(), 1u);
  EXPECT_EQ(agent_.Round(kNow + absl::Seconds(2)).outcomes.size(), 1u) << "enabling failed, no longer adding";
  EXPECT_THAT(agent_.Round(kNow + absl::Seconds(4)).outcomes, IsEmpty());
}

}  // namespace
}  // namespace headroom::haproxy
