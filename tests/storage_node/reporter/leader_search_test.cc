// How a reporter finds the one of several controllers that leads.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage_node/reporter/node_reporter.h"
#include "tests/storage_node/reporter/fake_controller.h"

namespace headroom {
namespace {

using Arrival = FakeController::Arrival;

constexpr absl::Duration kNever = absl::Hours(1);

v1::Directive Greeting(int64_t term) {
  v1::Directive directive;
  directive.set_term(term);
  directive.set_mode(v1::DIRECTIVE_MODE_LIVE);
  return directive;
}

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

// A listener whose process is stopped: the kernel takes connections, nobody speaks.
class FrozenController {
 public:
  FrozenController() {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    HR_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    HR_CHECK(listen(listener_, 8) == 0);
    HR_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~FrozenController() { close(listener_); }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int listener() const { return listener_; }

 private:
  const int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port_ = 0;
};

// Carries bytes between a reporter and a controller until it freezes: from then on all is open and nothing moves.
class Relay {
 public:
  explicit Relay(int port) : port_(port), thread_([this] { Run(); }) {}
  ~Relay() {
    ended_ = true;
    thread_.join();
  }
  std::string address() const { return front_.address(); }
  void Freeze() { frozen_ = true; }

 private:
  void Run() {
    pollfd arrival{front_.listener(), POLLIN, 0};
    while (!ended_ && poll(&arrival, 1, 10) == 0) {
    }
    const int client = accept(front_.listener(), nullptr, nullptr),
              server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{.sin_family = AF_INET,
                        .sin_port = htons(static_cast<uint16_t>(port_)),
                        .sin_addr = {htonl(INADDR_LOOPBACK)},
                        .sin_zero = {}};
    HR_CHECK(ended_ || connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    while (!ended_) {
      pollfd both[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      poll(both, 2, 10);
      for (int from = 0; from < 2 && !frozen_; ++from) {
        char bytes[4096];
        if ((both[from].revents & POLLIN) == 0) continue;
        const ssize_t got = read(both[from].fd, bytes, sizeof bytes);
        if (got <= 0 || write(both[1 - from].fd, bytes, static_cast<size_t>(got)) != got) frozen_ = true;
      }
    }
    close(client);
    close(server);
  }

  const int port_;
  FrozenController front_;
  std::atomic<bool> frozen_{false}, ended_{false};
  std::thread thread_;
};

// A reporter that never tries the same round twice within a test, unless told otherwise.
class Seeker {
 public:
  explicit Seeker(std::vector<std::string> controllers) {
    options.controllers = std::move(controllers);
    options.answer_timeout = kPatience;
    options.backoff_min = absl::Milliseconds(20);
    options.backoff_max = options.standby_backoff_max = kNever;
  }
  StreamClient& Start() {
    StreamHandlers handlers;
    handlers.hello = [] { return v1::Hello(); };
    handlers.report = [](v1::Urgency) { return v1::LoadReport(); };
    handlers.directive = [this](const v1::Directive& directive) {
      return directive.term() < term_min ? absl::FailedPreconditionError("an older term") : absl::OkStatus();
    };
    handlers.link = [this](absl::string_view, const absl::Status& status) { lost_count += status.ok() ? 0 : 1; };
    client = std::make_unique<StreamClient>(options, std::move(handlers));
    client->Start();
    return *client;
  }

  StreamOptions options;
  std::atomic<int> lost_count{0};
  std::atomic<int64_t> term_min{0};
  std::unique_ptr<StreamClient> client;
};

TEST(LeaderSearchTest, TheWordOfAStandbyIsFollowedAtOnce) {
  FakeController standby, other, leader;
  other.StandBy("");
  standby.StandBy(leader.address());
  leader.Lead(Greeting(1));
  Seeker seeker({standby.address(), other.address()});  // the leader is not in the list
  seeker.options.backoff_min = kNever;
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return client.Controller() == leader.address(); }));
  EXPECT_TRUE(other.Arrivals().empty());
  EXPECT_EQ(seeker.lost_count, 1);
}

TEST(LeaderSearchTest, StandbysThatPointAtEachOtherHideNoLeader) {
  FakeController a, b, leader;
  a.StandBy(b.address());
  b.StandBy(a.address());
  leader.Lead(Greeting(1));
  Seeker seeker({a.address(), b.address(), leader.address()});
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return client.Controller() == leader.address(); }));
  EXPECT_LE(seeker.lost_count, 3);
}

TEST(LeaderSearchTest, AControllerThatLeadsOnlyLaterIsFoundInALaterRound) {
  FakeController a, b;
  a.StandBy("");
  b.StandBy("");
  Seeker seeker({a.address(), b.address()});
  seeker.options.standby_backoff_max = absl::Milliseconds(50);
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return seeker.lost_count >= 6; }));
  EXPECT_FALSE(client.IsConnected());
  b.Lead(Greeting(2));
  a.StandBy(b.address());
  EXPECT_TRUE(Eventually([&] { return client.Controller() == b.address(); }));
}

TEST(LeaderSearchTest, AFrozenControllerIsLeftForTheNext) {
  FrozenController frozen;
  FakeController leader;
  leader.Lead(Greeting(1));
  Seeker seeker({frozen.address(), leader.address()});
  seeker.options.connect_timeout = absl::Milliseconds(300);
  EXPECT_TRUE(Eventually([&client = seeker.Start()] { return client.IsConnected(); }));
  EXPECT_EQ(seeker.lost_count, 1);
}

TEST(LeaderSearchTest, AControllerThatFreezesInMidStreamIsLeftForTheNext) {
  FakeController first, second;
  first.Lead(Greeting(1));
  second.Lead(Greeting(2));
  Relay relay(first.port());
  Seeker seeker({relay.address(), second.address()});
  seeker.options.connect_timeout = kPatience;
  seeker.options.ping_interval = absl::Seconds(1);
  seeker.options.ping_timeout = absl::Milliseconds(500);
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return client.Controller() == relay.address(); }));
  relay.Freeze();
  EXPECT_TRUE(Eventually([&] { return client.Controller() == second.address(); }));
}

TEST(LeaderSearchTest, AControllerThatTakesTheHelloAndSaysNothingIsLeftForTheNext) {
  FakeController silent, leader;
  leader.Lead(Greeting(1));
  Seeker seeker({silent.address(), leader.address()});
  seeker.options.answer_timeout = absl::Milliseconds(300);
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return client.Controller() == leader.address(); }));
  EXPECT_TRUE(silent.Arrivals().front().report.has_hello());
}

TEST(LeaderSearchTest, AControllerOfAnOlderTermIsLeftForTheNext) {
  FakeController deposed, leader;
  deposed.Lead(Greeting(4));
  leader.Lead(Greeting(5));
  Seeker seeker({deposed.address(), leader.address()});
  seeker.term_min = 5;
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return client.Controller() == leader.address(); }));
  EXPECT_EQ(seeker.lost_count, 1);
}

TEST(LeaderSearchTest, AControllerThatIsDeposedInMidStreamIsLeft) {
  FakeController first, second;
  first.Lead(Greeting(4));
  second.Lead(Greeting(5));
  Seeker seeker({first.address(), second.address()});
  StreamClient& client = seeker.Start();
  ASSERT_TRUE(Eventually([&] { return client.Controller() == first.address(); }));
  seeker.term_min = 5;  // as seen elsewhere
  ASSERT_TRUE(first.Say(Greeting(4)));
  EXPECT_TRUE(Eventually([&] { return client.Controller() == second.address(); }));
}

// A node with a gate of four slots and a short lease.
struct Node {
  explicit Node(std::vector<std::string> controllers)
      : limits(gate, {.listener = listener, .connection_limit = 4, .backlog = 8}) {
    NodeReporterOptions options;
    options.stream.controllers = std::move(controllers);
    options.stream.backoff_min = absl::Milliseconds(20);
    options.stream.standby_backoff_max = absl::Milliseconds(100);
    options.sampler.sole_reporter = SoleReporter::kNo;
    options.node_id = "node-1";
    reporter = std::make_unique<NodeReporter>(options, ReportedServer{.gate = gate, .limits = limits});
    reporter->Start();
  }
  ~Node() {
    reporter->Stop(v1::Goodbye::REASON_STOPPING);
    close(listener);
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Gate gate{{.connections = 4}};
  LimitApplier limits;
  std::unique_ptr<NodeReporter> reporter;
};

v1::Directive Grant(int64_t term, int64_t limit, int64_t lease_seconds) {
  v1::Directive directive = Greeting(term);
  directive.mutable_grant()->set_grant_id(1);
  directive.mutable_grant()->set_connection_count_max(limit);
  directive.mutable_grant()->set_ceiling_count(limit);
  directive.mutable_grant()->mutable_lease()->set_seconds(lease_seconds);
  return directive;
}

TEST(LeaderSearchTest, WhileNobodyLeadsTheNodeProtectsItselfAndThenFollowsTheNextTerm) {
  FakeController first, second;
  first.Lead(Grant(4, 8, 1));
  second.StandBy(first.address());
  Node node({second.address(), first.address()});
  ASSERT_TRUE(Eventually([&] { return node.reporter->grant_state() == GrantState::kLeased; }));
  EXPECT_EQ(node.gate.limits().connections, 8);
  first.StandBy("");
  second.StandBy("");
  first.EndStreams();
  ASSERT_TRUE(Eventually([&] { return node.reporter->grant_state() == GrantState::kSelfGoverned; }));
  EXPECT_FALSE(node.reporter->IsConnected());
  second.Lead(Grant(5, 16, 3600));
  ASSERT_TRUE(Eventually([&] { return node.reporter->grant_state() == GrantState::kLeased; }));
  EXPECT_EQ(node.gate.limits().connections, 16);
  first.Lead(Grant(4, 9, 3600));  // it does not know that another one leads by now
  const size_t before = second.Arrivals().size();
  second.EndStreams();
  EXPECT_TRUE(second.Await([](const Arrival& arrival) { return arrival.report.has_hello(); }, before));
  EXPECT_EQ(node.gate.limits().connections, 16);
}

}  // namespace
}  // namespace headroom
