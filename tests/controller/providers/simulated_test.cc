#include "controller/providers/simulated.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/providers/local_cluster.h"

namespace headroom {
namespace {

using ::testing::SizeIs;

constexpr absl::Duration kTimeout = absl::Seconds(20);

// What the control loop would be told.
class Inbox {
 public:
  SimulatedProvider::Post post() {
    return [this](Event event) {
      absl::MutexLock lock(&mutex_);
      events_.push_back(std::move(event));
      return absl::OkStatus();
    };
  }
  template <class Kind>
  std::vector<Kind> All() const {
    absl::MutexLock lock(&mutex_);
    std::vector<Kind> found;
    for (const Event& event : events_) {
      if (const auto* match = std::get_if<Kind>(&event)) found.push_back(*match);
    }
    return found;
  }
  std::set<NodeId> Joined() const {
    std::set<NodeId> nodes;
    for (const NodeJoined& joined : All<NodeJoined>()) nodes.insert(joined.node);
    return nodes;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Event> events_;
};

SimulatedProviderOptions Options() {
  SimulatedProviderOptions options;
  options.start = absl::FromUnixSeconds(1'700'000'000);
  options.settings.set_speed(100);
  options.settings.set_initial_count(3);
  v1::SimulatedPhase& phase = *options.settings.add_phases();
  phase.mutable_duration()->set_seconds(3600);
  phase.set_requests_per_second(100);
  phase.set_clients(20);
  return options;
}

TEST(SimulatedProvider, TellsOfItsNodesAsIfTheyHadStreams) {
  Inbox inbox;
  SimulatedProvider provider(Options());
  provider.Start(inbox.post());
  ASSERT_TRUE(Eventually([&] { return inbox.All<NodeReported>().size() > 30; }));
  provider.Stop();
  EXPECT_THAT(inbox.Joined(), SizeIs(3));
  EXPECT_GT(inbox.All<NodeReported>().back().report.counters.completed, 0);
  EXPECT_GT(provider.Clients().completed, 0);
  EXPECT_THAT(*provider.List(kTimeout), SizeIs(3));
}

TEST(SimulatedProvider, LetsTimeFlowAtItsSpeedAndNeverBack) {
  Inbox inbox;
  SimulatedProvider provider(Options());
  const absl::Time start = provider.Now();
  EXPECT_EQ(start, absl::FromUnixSeconds(1'700'000'000));
  const absl::Time real = absl::Now();
  provider.Start(inbox.post());
  absl::Time last = start;
  ASSERT_TRUE(Eventually([&] {
    const absl::Time now = provider.Now();
    EXPECT_GE(now, last);
    last = now;
    return now > start + absl::Seconds(20);
  }));
  EXPECT_LE(provider.Now() - start, 100 * (absl::Now() - real));
}

TEST(SimulatedProvider, GivesALaunchedNodeItsBootTime) {
  Inbox inbox;
  SimulatedProvider provider(Options());
  provider.Start(inbox.post());
  const absl::Time launched = provider.Now();
  const NodeId node = provider.Launch({.id = "c-1-1-0"}, kTimeout).value();
  ASSERT_TRUE(Eventually([&] { return inbox.Joined().contains(node); }));
  EXPECT_GE(provider.Now() - launched, absl::Seconds(45));
  for (const NodeJoined& joined : inbox.All<NodeJoined>()) {
    EXPECT_EQ(joined.hello.launch_id, joined.node == node ? "c-1-1-0" : "");
  }
}

TEST(SimulatedProvider, AppliesGrantsAndReportsThemAtOnce) {
  Inbox inbox;
  SimulatedProvider provider(Options());
  provider.Start(inbox.post());
  ASSERT_TRUE(Eventually([&] { return inbox.Joined().size() == 3; }));
  const NodeId node = *inbox.Joined().begin();
  const Action grant{.id = "a",
                     .term = 2,
                     .node = node,
                     .body = GrantLimits{.grant_id = 7, .connection_count_max = 321, .lease = absl::Hours(100)}};
  ASSERT_TRUE(provider.Send(grant).ok());
  EXPECT_TRUE(Eventually([&] {
    for (const NodeReported& reported : inbox.All<NodeReported>()) {
      const LimitsInForce& limits = reported.report.limits;
      if (reported.node == node && limits.connection_count_max == 321 && limits.grant_id == 7 &&
          reported.report.urgency == Urgency::kApplied) {
        return true;
      }
    }
    return false;
  }));
  Action older = grant;
  older.term = 1;
  EXPECT_EQ(provider.Send(older).code(), absl::StatusCode::kFailedPrecondition);
  Action nobody = grant;
  nobody.node = "sim-99";
  EXPECT_EQ(provider.Send(nobody).code(), absl::StatusCode::kUnavailable);
}

TEST(SimulatedProvider, DrainsAndTakesBack) {
  Inbox inbox;
  SimulatedProvider provider(Options());
  provider.Start(inbox.post());
  ASSERT_TRUE(Eventually([&] { return inbox.Joined().size() == 3; }));
  const NodeId node = *inbox.Joined().begin();
  const auto newest_state = [&] {
    ServerState state = ServerState::kServing;
    for (const NodeReported& reported : inbox.All<NodeReported>()) {
      if (reported.node == node) state = reported.report.state;
    }
    return state;
  };
  ASSERT_TRUE(provider.Send({.id = "a", .term = 1, .node = node, .body = DrainNode{}}).ok());
  ASSERT_TRUE(Eventually([&] { return newest_state() == ServerState::kDraining; }));
  ASSERT_TRUE(provider.Send({.id = "b", .term = 1, .node = node, .body = CancelDrain{}}).ok());
  EXPECT_TRUE(Eventually([&] { return newest_state() == ServerState::kServing; }));
}

TEST(SimulatedProvider, SaysWhenANodeIsGone) {
  Inbox inbox;
  SimulatedProvider provider(Options());
  provider.Start(inbox.post());
  ASSERT_TRUE(Eventually([&] { return inbox.Joined().size() == 3; }));
  ASSERT_TRUE(provider.Terminate("sim-2", kTimeout).ok());
  ASSERT_TRUE(Eventually([&] { return !inbox.All<NodeLeft>().empty(); }));
  EXPECT_EQ(inbox.All<NodeLeft>()[0].node, "sim-2");
  EXPECT_EQ(inbox.All<NodeLeft>()[0].how, NodeLeft::How::kStopping);
  EXPECT_THAT(*provider.List(kTimeout), SizeIs(2));
}

}  // namespace
}  // namespace headroom
