// The adapter against a real HAProxy, in both modes, with the configurations that are handed out.

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage_node/adapters/haproxy/control.h"
#include "storage_node/adapters/haproxy/stats_socket.h"
#include "tests/controller/wire/key_folder.h"
#include "tests/storage_node/adapters/haproxy/real_haproxy.h"
#include "tests/storage_node/reporter/fake_controller.h"

namespace headroom::haproxy {
namespace {

using ::testing::HasSubstr;

// So that no test races with the queue's own time limit.
constexpr char kLongQueue[] = "  timeout queue 1m\n";

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

NewServer ServerOf(const Backend& backend) {
  return {.name = backend.name(), .endpoints = {backend.data_address(), backend.admin_address()}};
}

class HaproxyE2e : public ::testing::Test {
 protected:
  void Begin(const std::string& example, const std::string& extra_lines = "") {
    haproxy_ = std::make_unique<RealHaproxy>(example, extra_lines);
    line_ = std::make_unique<StatsSocket>(StatsSocket::Options{.path = haproxy_->socket_path(), .timeout = kPatience});
    control_ = std::make_unique<HaproxyControl>(*line_, Place{.backend = "nodes", .frontend = "front"});
  }
  std::string GetOnce(const std::string& path = "/file") { return Client(haproxy_->port()).Get(path); }
  // Who answers `count` new connections, all open at once so that leastconn spreads them.
  std::set<std::string> Answering(int count) {
    std::vector<Client> clients;
    clients.reserve(static_cast<size_t>(count));
    std::set<std::string> names;
    for (int i = 0; i < count; ++i) {
      clients.emplace_back(haproxy_->port());
      names.insert(clients.back().Get("/file"));
    }
    return names;
  }
  ServerView Shown(const std::string& name) {
    const auto view = control_->Look();
    EXPECT_TRUE(view.ok()) << view.status();
    if (!view.ok()) return {};
    for (const ServerView& server : view->servers) {
      if (server.name == name) return server;
    }
    return {};
  }
  int64_t BackendQueue() {
    const auto view = control_->Look();
    return view.ok() ? view->backend_queue_count : -1;
  }

  // Requests that are held, each sent when the one before is counted: HAProxy 2.6 looks at a server's limit without a
  // lock, so of two that come at once on two threads both may be let in.
  bool SendInTurn(std::vector<Client>& clients) {
    for (size_t i = 0; i < clients.size(); ++i) {
      clients[i].Send("/hold");
      const auto held = static_cast<int64_t>(i) + 1;
      if (!Eventually([&] { return Shown("n1").session_count + BackendQueue() == held; })) return false;
    }
    return true;
  }

  Backend one_{"n1"}, two_{"n2"};
  std::unique_ptr<RealHaproxy> haproxy_;
  std::unique_ptr<StatsSocket> line_;
  std::unique_ptr<HaproxyControl> control_;
};

using ::testing::UnorderedElementsAre;

TEST_F(HaproxyE2e, ModeTcpAddsDrainsAndRemovesWithoutCuttingASession) {
  Begin("haproxy-tcp.cfg");
  EXPECT_FALSE(control_->Look()->holds_slots);
  ASSERT_TRUE(control_->Add(ServerOf(one_)).ok());
  Client old_client(haproxy_->port());
  ASSERT_EQ(old_client.Get("/file"), "n1");
  ASSERT_TRUE(control_->Add(ServerOf(two_)).ok());
  EXPECT_THAT(Answering(6), UnorderedElementsAre("n1", "n2"));

  ASSERT_TRUE(control_->Drain("n1").ok());
  EXPECT_THAT(Answering(6), UnorderedElementsAre("n2"));
  EXPECT_EQ(old_client.Get("/file"), "n1") << "a drained server keeps its sessions";
  EXPECT_EQ(control_->Remove("n1").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(old_client.Get("/file"), "n1") << "a refused removal cuts nothing";
  EXPECT_TRUE(Shown("n1").draining);

  { const Client leaving(std::move(old_client)); }
  ASSERT_TRUE(Eventually([&] { return Shown("n1").session_count == 0; }));
  EXPECT_TRUE(control_->Remove("n1").ok());
  EXPECT_EQ(control_->Look()->servers.size(), 1u);
  EXPECT_EQ(GetOnce(), "n2");
}

TEST_F(HaproxyE2e, HaproxyItselfRefusesToDeleteAServerWithSessionsAndItStaysDrained) {
  Begin("haproxy-tcp.cfg");
  ASSERT_TRUE(control_->Add(ServerOf(one_)).ok());
  Client client(haproxy_->port());
  ASSERT_EQ(client.Get("/file"), "n1");
  EXPECT_THAT(*line_->Ask("set server nodes/n1 state maint"), "\n");
  EXPECT_THAT(*line_->Ask("del server nodes/n1"), HasSubstr("still has connections"));
  EXPECT_EQ(client.Get("/file"), "n1");
}

TEST_F(HaproxyE2e, ModeTcpSessionsOutliveAFailedCheckAndNewOnesGoElsewhere) {
  Begin("haproxy-tcp.cfg");
  ASSERT_TRUE(control_->Add(ServerOf(one_)).ok());
  Client old_client(haproxy_->port());
  ASSERT_EQ(old_client.Get("/file"), "n1");
  ASSERT_TRUE(control_->Add(ServerOf(two_)).ok());
  one_.SetReady(false);
  ASSERT_TRUE(Eventually([&] { return !Shown("n1").up; }));
  EXPECT_THAT(Answering(4), UnorderedElementsAre("n2"));
  EXPECT_EQ(old_client.Get("/file"), "n1");
  one_.SetReady(true);
  ASSERT_TRUE(Eventually([&] { return Shown("n1").up; }));
  EXPECT_EQ(old_client.Get("/file"), "n1");
}

TEST_F(HaproxyE2e, SettingsAreReadBackAndNonsenseDoesNotReachHaproxy) {
  Begin("haproxy-http.cfg");
  ASSERT_TRUE(control_->Add(ServerOf(one_)).ok());
  EXPECT_TRUE(control_->SetServerLimit("n1", 7).ok());
  EXPECT_TRUE(control_->SetWeight("n1", 33).ok());
  EXPECT_TRUE(control_->SetFrontendLimit(900).ok());
  for (const int64_t limit : {int64_t{0}, int64_t{-4}, int64_t{1} << 40}) {
    EXPECT_EQ(control_->SetServerLimit("n1", limit).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(control_->SetFrontendLimit(limit).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(control_->SetFrontendLimit(1001).code(), absl::StatusCode::kInvalidArgument) << "above maxconn";
  EXPECT_EQ(control_->SetServerLimit("n9", 7).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(control_->Add(ServerOf(one_)).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Shown("n1").session_count_max, 7);
  EXPECT_EQ(Shown("n1").weight, 33);
  EXPECT_EQ(control_->Look()->frontend_session_count_max, 900);
  EXPECT_EQ(GetOnce(), "n1");
  EXPECT_TRUE(control_->SetServerLimit("n1", std::nullopt).ok());
  EXPECT_EQ(Shown("n1").session_count_max, 0);
}

// The trap that the guard is for; should a release close it, this test says so.
TEST_F(HaproxyE2e, HaproxyTakesGarbageAsAFrontendLimitWithoutAWord) {
  Begin("haproxy-http.cfg");
  EXPECT_EQ(*line_->Ask("set maxconn frontend front garbage"), "\n");
  EXPECT_EQ(control_->Look()->frontend_session_count_max, 0);
}

TEST_F(HaproxyE2e, MovesAServerToAnotherAddress) {
  Begin("haproxy-tcp.cfg");
  ASSERT_TRUE(control_->Add(ServerOf(one_)).ok());
  ASSERT_EQ(GetOnce(), "n1");
  ASSERT_TRUE(control_->SetEndpoints("n1", {two_.data_address(), two_.admin_address()}).ok());
  EXPECT_EQ(GetOnce(), "n2");
  EXPECT_EQ(Shown("n1").check_address, two_.admin_address());
}

TEST_F(HaproxyE2e, AServerOfTheConfigurationCanBeDrainedAndDeletedToo) {
  Begin("haproxy-tcp.cfg", absl::StrCat("  server n1 ", one_.data_address(), " check port 1 addr 127.0.0.1\n"));
  ASSERT_TRUE(control_->Add(ServerOf(two_)).ok());
  ASSERT_TRUE(control_->Drain("n1").ok());
  EXPECT_TRUE(control_->Remove("n1").ok());
  haproxy_->Kill();
  haproxy_->Start();
  EXPECT_EQ(Shown("n1").name, "n1") << "until the next start";
}

TEST_F(HaproxyE2e, ModeHttpQueuesInHaproxyAndARaisedLimitEmptiesTheQueue) {
  Begin("haproxy-http.cfg", kLongQueue);
  NewServer server = ServerOf(one_);
  server.session_count_max = 1;
  ASSERT_TRUE(control_->Add(server).ok());
  EXPECT_TRUE(control_->Look()->holds_slots);
  std::vector<Client> clients;
  clients.reserve(4);
  for (int i = 0; i < 4; ++i) clients.emplace_back(haproxy_->port());
  ASSERT_TRUE(SendInTurn(clients));
  EXPECT_EQ(BackendQueue(), 3);
  EXPECT_EQ(Shown("n1").session_count, 1);
  ASSERT_TRUE(control_->SetServerLimit("n1", 4).ok());
  ASSERT_TRUE(Eventually([&] { return BackendQueue() == 0 && Shown("n1").session_count == 4; }));
  one_.Release();
  for (Client& client : clients) EXPECT_EQ(client.Receive(), "n1");
}

TEST_F(HaproxyE2e, ModeHttpReusesConnectionsOfServersThatWereAddedAtRunTime) {
  Begin("haproxy-http.cfg");
  ASSERT_TRUE(control_->Add(ServerOf(one_)).ok());
  Client client(haproxy_->port());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.Get("/file"), "n1");
  EXPECT_EQ(Shown("n1").session_count, 0) << "an idle client holds no slot";
  ASSERT_TRUE(control_->Add(ServerOf(two_)).ok());
  ASSERT_TRUE(control_->Drain("n1").ok());
  EXPECT_EQ(client.Get("/file"), "n2") << "its next request goes elsewhere, on the same connection";
  EXPECT_TRUE(Eventually([&] { return control_->Remove("n1").ok(); }));
}

// The program itself, with a controller that the test plays.
class AgentE2e : public HaproxyE2e {
 protected:
  static v1::ServerTarget Target(const Backend& backend) {
    v1::ServerTarget target;
    target.set_node_id(backend.name());
    target.set_address(backend.data_address());
    target.set_check_address(backend.admin_address());
    return target;
  }
  static v1::Directive Directive(v1::DirectiveMode mode, const std::vector<v1::ServerTarget>& targets) {
    v1::Directive directive;
    directive.set_term(1);
    directive.set_mode(mode);
    directive.set_has_servers(true);
    directive.mutable_report_interval()->set_nanos(100'000'000);
    for (const v1::ServerTarget& target : targets) *directive.add_servers() = target;
    return directive;
  }
  static v1::Directive Live(const std::vector<v1::ServerTarget>& targets) {
    return Directive(v1::DIRECTIVE_MODE_LIVE, targets);
  }
  void StartAgent() {
    const char* bin = std::getenv("HEADROOM_BIN");
    agent_ = std::make_unique<Child>(
        std::vector<std::string>{absl::StrCat(bin == nullptr ? "build/release/bin" : bin, "/headroom-agent"),
                                 "--haproxy-socket", haproxy_->socket_path(), "--backend", "nodes", "--frontend",
                                 "front", "--controller", controller_.address(), "--balancer-id", "front-1",
                                 "--interval", "0.05", "--server-limit", "200"},
        std::vector<std::string>{});
  }
  // The first balancer report, from now on or from arrival `from` on, that matches.
  std::optional<v1::BalancerLoad> AwaitLoad(const std::function<bool(const v1::BalancerLoad&)>& matches) {
    return AwaitLoad(matches, controller_.Arrivals().size());
  }
  std::optional<v1::BalancerLoad> AwaitLoad(const std::function<bool(const v1::BalancerLoad&)>& matches, size_t from) {
    const auto arrival = controller_.Await(
        [&](const FakeController::Arrival& a) { return a.report.has_balancer() && matches(a.report.balancer()); },
        from);
    if (!arrival) return std::nullopt;
    return arrival->report.balancer();
  }
  // Whether a balancer report that matches has come since arrival `from`.
  bool Arrived(const std::function<bool(const v1::BalancerLoad&)>& matches, size_t from) {
    const std::vector<FakeController::Arrival> arrivals = controller_.Arrivals();
    return std::any_of(arrivals.begin() + static_cast<std::ptrdiff_t>(from), arrivals.end(), [&](const auto& arrival) {
      return arrival.report.has_balancer() && matches(arrival.report.balancer());
    });
  }
  bool AwaitUp(int count) {
    return AwaitLoad([count](const v1::BalancerLoad& load) {
             int up = 0;
             for (const v1::BalancedServer& server : load.servers()) up += server.up() && !server.draining();
             return up == count && load.servers_size() == count;
           })
        .has_value();
  }

  FakeController controller_;
  std::unique_ptr<Child> agent_;
};

TEST_F(AgentE2e, KeepsTheServersEqualToTheFleetAndSaysWhatTheyCarry) {
  Begin("haproxy-tcp.cfg");
  controller_.Greet(Live({Target(one_)}));
  StartAgent();
  const auto hello = controller_.Await([](const FakeController::Arrival& a) { return a.report.has_hello(); });
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->report.hello().role(), v1::ROLE_BALANCER);
  EXPECT_EQ(hello->report.hello().reporter_id(), "front-1");
  EXPECT_THAT(hello->report.hello().server_version(), HasSubstr("haproxy/2."));
  ASSERT_TRUE(AwaitUp(1));
  Client client(haproxy_->port());
  EXPECT_EQ(client.Get("/file"), "n1");
  const auto load = AwaitLoad([](const v1::BalancerLoad& l) { return l.servers(0).session_count() == 1; });
  ASSERT_TRUE(load.has_value());
  EXPECT_EQ(load->slot_place(), v1::SLOT_PLACE_NODE);
  EXPECT_EQ(load->session_count_max(), 1000);
  EXPECT_EQ(load->servers(0).session_count_max(), 0);

  v1::ServerTarget leaving = Target(one_);
  leaving.set_draining(true);
  ASSERT_TRUE(controller_.Say(Live({Target(two_), leaving})));
  ASSERT_TRUE(Eventually([&] { return Shown("n1").draining; }));
  EXPECT_EQ(GetOnce(), "n2");
  EXPECT_EQ(client.Get("/file"), "n1");
  ASSERT_TRUE(controller_.Say(Live({Target(two_)})));
  { const Client closing(std::move(client)); }
  EXPECT_TRUE(AwaitUp(1));
  EXPECT_EQ(Shown("n1").name, "");
  EXPECT_EQ(agent_->Stop(), 0);
  EXPECT_TRUE(controller_.Await([](const FakeController::Arrival& a) { return a.report.has_goodbye(); }).has_value());
}

TEST_F(AgentE2e, PutsTheFleetBackIntoAHaproxyThatWasRestarted) {
  Begin("haproxy-tcp.cfg");
  controller_.Greet(Live({Target(one_), Target(two_)}));
  StartAgent();
  ASSERT_TRUE(AwaitUp(2));
  const auto before = AwaitLoad([](const v1::BalancerLoad&) { return true; });
  const size_t from = controller_.Arrivals().size();
  haproxy_->Kill();
  haproxy_->Start();
  ASSERT_TRUE(Eventually([&] { return Shown("n1").up && Shown("n2").up; }));
  EXPECT_FALSE(Arrived([](const v1::BalancerLoad& load) { return load.servers_size() != 2; }, from))
      << "nobody is to take the servers for gone";
  EXPECT_THAT(Answering(4), UnorderedElementsAre("n1", "n2"));
  const auto after = AwaitLoad([](const v1::BalancerLoad&) { return true; });
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->boot_id(), after->boot_id());
  EXPECT_GT(after->sequence(), before->sequence());
}

TEST_F(AgentE2e, KeepsTheFleetInHaproxyWhileTheControllerIsAway) {
  Begin("haproxy-tcp.cfg");
  auto controller = std::make_unique<FakeController>();
  controller_.Refuse(grpc::Status(grpc::StatusCode::UNAVAILABLE, "not this one"));
  controller->Greet(Live({Target(one_)}));
  agent_ = std::make_unique<Child>(
      std::vector<std::string>{absl::StrCat(std::getenv("HEADROOM_BIN"), "/headroom-agent"), "--haproxy-socket",
                               haproxy_->socket_path(), "--backend", "nodes", "--frontend", "front", "--controller",
                               absl::StrCat(controller_.address(), ",", controller->address()), "--balancer-id",
                               "front-1", "--interval", "0.05", "--log-format", "json"},
      std::vector<std::string>{});
  ASSERT_TRUE(Eventually([&] { return Shown("n1").up; })) << "the second controller is found";
  controller.reset();
  haproxy_->Kill();
  haproxy_->Start();
  ASSERT_TRUE(Eventually([&] { return Shown("n1").up; }));
  EXPECT_EQ(GetOnce(), "n1");
}

TEST_F(AgentE2e, ChangesNothingWhileTheControllerObserves) {
  Begin("haproxy-tcp.cfg", absl::StrCat("  server n1 ", one_.data_address(), "\n"));
  controller_.Greet(Directive(v1::DIRECTIVE_MODE_OBSERVE, {Target(two_)}));
  StartAgent();
  uint64_t sequence = 0;
  ASSERT_TRUE(AwaitLoad([&](const v1::BalancerLoad& load) {
                sequence = load.sequence();
                return sequence >= 10;
              }).has_value());
  const auto view = control_->Look();
  ASSERT_TRUE(view.ok());
  ASSERT_EQ(view->servers.size(), 1u);
  EXPECT_TRUE(view->servers[0].IsServing());
  EXPECT_EQ(view->servers[0].address, one_.data_address());
}

TEST_F(AgentE2e, ModeHttpMovesTheLimitInHaproxyAndReportsItsQueueAtOnce) {
  Begin("haproxy-http.cfg", kLongQueue);
  v1::ServerTarget target = Target(one_);
  target.set_session_count_max(1);
  controller_.Greet(Live({target}));
  StartAgent();
  ASSERT_TRUE(AwaitUp(1));
  std::vector<Client> clients;
  clients.reserve(4);
  for (int i = 0; i < 4; ++i) clients.emplace_back(haproxy_->port());
  ASSERT_TRUE(SendInTurn(clients));
  const auto queued = AwaitLoad([](const v1::BalancerLoad& load) { return load.servers(0).queue_count() == 3; });
  ASSERT_TRUE(queued.has_value());
  EXPECT_EQ(queued->slot_place(), v1::SLOT_PLACE_BALANCER);
  EXPECT_EQ(queued->servers(0).session_count_max(), 1);
  target.set_session_count_max(8);
  ASSERT_TRUE(controller_.Say(Live({target})));
  ASSERT_TRUE(AwaitLoad([](const v1::BalancerLoad& load) {
                return load.servers(0).queue_count() == 0 && load.servers(0).session_count() == 4 &&
                       load.servers(0).session_count_max() == 8;
              }).has_value());
  EXPECT_TRUE(controller_
                  .Await([](const FakeController::Arrival& a) {
                    return a.report.balancer().urgency() == v1::URGENCY_LIMIT_REACHED;
                  })
                  .has_value());
  one_.Release();
  for (Client& client : clients) EXPECT_EQ(client.Receive(), "n1");
}

TEST_F(AgentE2e, ModeHttpARestartInMidSurgeTakesNoRaisedLimitBack) {
  Begin("haproxy-http.cfg");
  controller_.Greet(Live({Target(one_)}));
  StartAgent();
  ASSERT_TRUE(AwaitUp(1));
  EXPECT_EQ(Shown("n1").session_count_max, 200);
  v1::ServerTarget raised = Target(one_);
  raised.set_session_count_max(800);
  ASSERT_TRUE(controller_.Say(Live({raised})));
  ASSERT_TRUE(Eventually([&] { return Shown("n1").session_count_max == 800; }));
  haproxy_->Kill();
  // The controller has no word on limits while it does not see where the slots are.
  ASSERT_TRUE(controller_.Say(Live({Target(one_), Target(two_)})));
  haproxy_->Start();
  ASSERT_TRUE(Eventually([&] { return Shown("n1").up && Shown("n2").up; }));
  EXPECT_EQ(Shown("n1").session_count_max, 800);
  EXPECT_EQ(Shown("n2").session_count_max, 200);
}

TEST_F(AgentE2e, ModeHttpEndsWithoutAServerLimit) {
  Begin("haproxy-http.cfg");
  const Authority authority("ours");
  const KeyFolder keys(authority, {"DNS:localhost"});
  const TlsFiles& files = keys.files();
  std::vector<std::string> command{absl::StrCat(std::getenv("HEADROOM_BIN"), "/headroom-agent"),
                                   "--haproxy-socket",
                                   haproxy_->socket_path(),
                                   "--backend",
                                   "nodes",
                                   "--frontend",
                                   "front",
                                   "--controller",
                                   controller_.address(),
                                   "--balancer-id",
                                   "front-1"};
  EXPECT_EQ(Child(command, {}).Wait(), 1);
  command.insert(command.end(),
                 {"--tls-cert", files.certificate, "--tls-key", files.key, "--tls-ca", files.authorities});
  EXPECT_EQ(Child(command, {}).Wait(), 1) << "with TLS, too";
}

TEST_F(AgentE2e, RefusesNamesThatWouldBecomeCommands) {
  Begin("haproxy-tcp.cfg");
  Child agent({absl::StrCat(std::getenv("HEADROOM_BIN"), "/headroom-agent"), "--haproxy-socket",
               haproxy_->socket_path(), "--backend", "nodes; shutdown frontend front", "--frontend", "front",
               "--controller", controller_.address(), "--balancer-id", "front-1"},
              {});
  EXPECT_TRUE(Eventually([&] { return !agent.IsRunning(); }));
}

}  // namespace
}  // namespace headroom::haproxy
