#include "storage_node/reporter/grant_keeper.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage_node/proto_time.h"

namespace headroom {
namespace {

constexpr absl::Time kStart = absl::FromUnixSeconds(5000);
constexpr absl::Duration kLease = absl::Seconds(10);
const NodeLimits kConfigured{.connection_count = 200, .in_flight_count = 0, .idle_timeout = absl::Seconds(30)};

GrantKeeper::Options Options() {
  return {.configured = kConfigured, .term_max_seen = 3};
}

v1::Directive Live(int64_t term) {
  v1::Directive directive;
  directive.set_term(term);
  directive.set_mode(v1::DIRECTIVE_MODE_LIVE);
  return directive;
}

v1::Directive Grant(int64_t term, uint64_t id, int64_t count) {
  v1::Directive directive = Live(term);
  directive.mutable_grant()->set_grant_id(id);
  directive.mutable_grant()->set_connection_count_max(count);
  *directive.mutable_grant()->mutable_lease() = ToProto(kLease);
  return directive;
}

v1::Directive Observe(int64_t term) {
  v1::Directive directive;
  directive.set_term(term);
  directive.set_mode(v1::DIRECTIVE_MODE_OBSERVE);
  return directive;
}

// A node all of whose slots are taken, with others that wait.
LimitInputs Full(int64_t limit) {
  return {.open_count = limit, .active_count = 5, .waiting_count = 40};
}

void StepFor(GrantKeeper& keeper, absl::Time from, absl::Duration length) {
  for (absl::Duration t; t <= length; t += absl::Seconds(1))
    keeper.Step(Full(keeper.wanted().connection_count), from + t);
}

TEST(GrantKeeperTest, BeginsWithWhatIsConfigured) {
  const GrantKeeper keeper(Options());
  EXPECT_EQ(keeper.state(), GrantState::kConfigured);
  EXPECT_EQ(keeper.wanted(), kConfigured);
  EXPECT_EQ(keeper.source(), v1::LimitsInForce::SOURCE_CONFIG);
  EXPECT_EQ(keeper.grant_id(), 0u);
}

TEST(GrantKeeperTest, FollowsALiveGrantInTheFieldsThatItHas) {
  GrantKeeper keeper(Options());
  ASSERT_TRUE(keeper.Accept(Grant(4, 1, 400), kStart).ok());
  EXPECT_EQ(keeper.state(), GrantState::kLeased);
  EXPECT_EQ(keeper.wanted(),
            (NodeLimits{.connection_count = 400, .in_flight_count = 0, .idle_timeout = absl::Seconds(30)}));
  EXPECT_EQ(keeper.source(), v1::LimitsInForce::SOURCE_GRANT);
  EXPECT_EQ(keeper.grant_id(), 1u);
  EXPECT_EQ(keeper.term_max_seen(), 4);

  v1::Directive more = Grant(4, 2, 0);
  more.mutable_grant()->set_in_flight_count_max(50);
  *more.mutable_grant()->mutable_idle_timeout() = ToProto(absl::Seconds(5));
  ASSERT_TRUE(keeper.Accept(more, kStart).ok());
  EXPECT_EQ(keeper.wanted(),
            (NodeLimits{.connection_count = 400, .in_flight_count = 50, .idle_timeout = absl::Seconds(5)}));
}

struct RefusalCase {
  std::string name;
  std::function<void(v1::Directive&)> spoil;  // of a grant that would be followed
  absl::StatusCode want;
};

class GrantKeeperRefusalTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(GrantKeeperRefusalTest, ChangesNothing) {
  GrantKeeper keeper(Options());
  ASSERT_TRUE(keeper.Accept(Grant(5, 7, 400), kStart).ok());
  v1::Directive directive = Grant(5, 8, 500);
  ASSERT_TRUE(GrantKeeper(keeper).Accept(directive, kStart).ok());  // unspoilt it would be followed
  GetParam().spoil(directive);
  EXPECT_EQ(keeper.Accept(directive, kStart + absl::Seconds(9)).code(), GetParam().want);
  EXPECT_EQ(keeper.wanted().connection_count, 400);
  EXPECT_EQ(keeper.grant_id(), 7u);
  EXPECT_EQ(keeper.term_max_seen(), 5);
  keeper.Step({}, kStart + kLease);  // nor does it renew the lease
  EXPECT_EQ(keeper.state(), GrantState::kSelfGoverned);
}

const std::vector<RefusalCase> kRefusals = {
    {"older_term", [](v1::Directive& d) { d.set_term(4); }, absl::StatusCode::kFailedPrecondition},
    {"older_term_observing", [](v1::Directive& d) { d = Observe(4); }, absl::StatusCode::kFailedPrecondition},
    {"same_grant_again", [](v1::Directive& d) { d.mutable_grant()->set_grant_id(7); },
     absl::StatusCode::kAlreadyExists},
    {"grant_from_before", [](v1::Directive& d) { d.mutable_grant()->set_grant_id(6); },
     absl::StatusCode::kAlreadyExists},
    {"no_mode", [](v1::Directive& d) { d.clear_mode(); }, absl::StatusCode::kInvalidArgument},
    {"negative_term", [](v1::Directive& d) { d.set_term(-1); }, absl::StatusCode::kInvalidArgument},
    {"no_grant_id", [](v1::Directive& d) { d.mutable_grant()->set_grant_id(0); }, absl::StatusCode::kInvalidArgument},
    {"negative_count", [](v1::Directive& d) { d.mutable_grant()->set_connection_count_max(-1); },
     absl::StatusCode::kInvalidArgument},
    {"absurd_count", [](v1::Directive& d) { d.mutable_grant()->set_connection_count_max(10'000'001); },
     absl::StatusCode::kInvalidArgument},
    {"negative_in_flight", [](v1::Directive& d) { d.mutable_grant()->set_in_flight_count_max(-5); },
     absl::StatusCode::kInvalidArgument},
    {"negative_floor", [](v1::Directive& d) { d.mutable_grant()->set_floor_count(-5); },
     absl::StatusCode::kInvalidArgument},
    {"absurd_ceiling", [](v1::Directive& d) { d.mutable_grant()->set_ceiling_count(int64_t{1} << 62); },
     absl::StatusCode::kInvalidArgument},
    {"negative_idle_timeout",
     [](v1::Directive& d) { *d.mutable_grant()->mutable_idle_timeout() = ToProto(-absl::Seconds(1)); },
     absl::StatusCode::kInvalidArgument},
    {"no_lease", [](v1::Directive& d) { d.mutable_grant()->clear_lease(); }, absl::StatusCode::kInvalidArgument},
    {"negative_lease", [](v1::Directive& d) { *d.mutable_grant()->mutable_lease() = ToProto(-absl::Seconds(1)); },
     absl::StatusCode::kInvalidArgument},
    {"lease_over_an_hour", [](v1::Directive& d) { *d.mutable_grant()->mutable_lease() = ToProto(absl::Hours(2)); },
     absl::StatusCode::kInvalidArgument},
    {"absurd_lease",
     [](v1::Directive& d) { d.mutable_grant()->mutable_lease()->set_seconds(std::numeric_limits<int64_t>::max()); },
     absl::StatusCode::kInvalidArgument},
    {"negative_shed", [](v1::Directive& d) { d.mutable_shed()->set_connection_count(-3); },
     absl::StatusCode::kInvalidArgument},
};
INSTANTIATE_TEST_SUITE_P(Refusals, GrantKeeperRefusalTest, ::testing::ValuesIn(kRefusals),
                         [](const auto& test) { return test.param.name; });

TEST(GrantKeeperTest, TermsFromBeforeARestartCount) {
  GrantKeeper keeper(Options());
  EXPECT_EQ(keeper.Accept(Grant(2, 1, 400), kStart).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(keeper.Accept(Grant(3, 1, 400), kStart).ok());
}

TEST(GrantKeeperTest, ANewTermCountsItsGrantsAnew) {
  GrantKeeper keeper(Options());
  ASSERT_TRUE(keeper.Accept(Grant(4, 90, 400), kStart).ok());
  ASSERT_TRUE(keeper.Accept(Grant(5, 1, 300), kStart).ok());
  EXPECT_EQ(keeper.wanted().connection_count, 300);
}

TEST(GrantKeeperTest, WithoutALiveGrantItNeverGovernsItself) {
  GrantKeeper keeper(Options());
  ASSERT_TRUE(keeper.Accept(Live(4), kStart).ok());
  StepFor(keeper, kStart, absl::Minutes(5));
  EXPECT_EQ(keeper.state(), GrantState::kConfigured);
  EXPECT_EQ(keeper.wanted(), kConfigured);
}

TEST(GrantKeeperTest, ARenewedLeaseHolds) {
  GrantKeeper keeper(Options());
  for (uint64_t id = 1; id < 20; ++id) {
    const absl::Time now = kStart + absl::Seconds(9) * static_cast<int>(id);
    ASSERT_TRUE(keeper.Accept(Grant(4, id, 400), now).ok());
    keeper.Step(Full(400), now + absl::Seconds(8));
    EXPECT_EQ(keeper.state(), GrantState::kLeased);
    EXPECT_EQ(keeper.wanted().connection_count, 400);
  }
}

TEST(GrantKeeperTest, AfterALostGrantItRaisesUnderPressureUpToTheCeiling) {
  GrantKeeper keeper(Options());
  v1::Directive grant = Grant(4, 1, 300);
  grant.mutable_grant()->set_ceiling_count(1000);
  ASSERT_TRUE(keeper.Accept(grant, kStart).ok());
  StepFor(keeper, kStart, kLease - absl::Seconds(1));
  EXPECT_EQ(keeper.wanted().connection_count, 300);  // while the lease holds the controller decides
  keeper.Step(Full(300), kStart + kLease);
  EXPECT_EQ(keeper.state(), GrantState::kSelfGoverned);
  EXPECT_EQ(keeper.source(), v1::LimitsInForce::SOURCE_SELF);
  EXPECT_EQ(keeper.grant_id(), 0u);
  EXPECT_GT(keeper.wanted().connection_count, 300);
  StepFor(keeper, kStart + kLease, absl::Minutes(1));
  EXPECT_EQ(keeper.wanted().connection_count, 1000);
}

TEST(GrantKeeperTest, WithoutACeilingTheLastGrantIsIt) {
  GrantKeeper keeper(Options());
  ASSERT_TRUE(keeper.Accept(Grant(4, 1, 150), kStart).ok());  // below what is configured: a budget
  StepFor(keeper, kStart + kLease, absl::Minutes(5));
  EXPECT_EQ(keeper.state(), GrantState::kSelfGoverned);
  EXPECT_EQ(keeper.wanted().connection_count, 150);
}

TEST(GrantKeeperTest, TheNodeAloneStaysAboveTheFloor) {
  GrantKeeper keeper(Options());
  v1::Directive grant = Grant(4, 1, 150);
  grant.mutable_grant()->set_floor_count(140);
  ASSERT_TRUE(keeper.Accept(grant, kStart).ok());
  LimitInputs sick = Full(150);
  sick.memory_full_ratio = 0.5;
  int64_t lowest = 150;
  for (int second = 10; second < 100; ++second) {
    sick.open_count = keeper.wanted().connection_count;
    keeper.Step(sick, kStart + absl::Seconds(second));
    lowest = std::min(lowest, keeper.wanted().connection_count);
  }
  EXPECT_EQ(lowest, 140);
}

TEST(GrantKeeperTest, ObserveLeavesAndRestoresTheConfiguredLimits) {
  GrantKeeper keeper(Options());
  ASSERT_TRUE(keeper.Accept(Observe(4), kStart).ok());
  EXPECT_EQ(keeper.state(), GrantState::kObserved);
  EXPECT_EQ(keeper.wanted(), kConfigured);
  ASSERT_TRUE(keeper.Accept(Grant(4, 1, 400), kStart).ok());
  EXPECT_EQ(keeper.wanted().connection_count, 400);
  v1::Directive observe = Observe(4);
  *observe.mutable_grant() = Grant(4, 2, 999).grant();  // it asks for nothing, whatever else it says
  ASSERT_TRUE(keeper.Accept(observe, kStart).ok());
  EXPECT_EQ(keeper.state(), GrantState::kObserved);
  EXPECT_EQ(keeper.wanted(), kConfigured);
  StepFor(keeper, kStart, absl::Minutes(5));
  EXPECT_EQ(keeper.state(), GrantState::kObserved);
  EXPECT_EQ(keeper.wanted(), kConfigured);
}

TEST(GrantKeeperTest, FollowsTheControllerAgainWhenItIsBack) {
  GrantKeeper keeper(Options());
  v1::Directive grant = Grant(4, 1, 300);
  grant.mutable_grant()->set_ceiling_count(1000);
  ASSERT_TRUE(keeper.Accept(grant, kStart).ok());
  StepFor(keeper, kStart + kLease, absl::Seconds(5));
  ASSERT_EQ(keeper.state(), GrantState::kSelfGoverned);
  const int64_t alone = keeper.wanted().connection_count;
  ASSERT_TRUE(keeper.Accept(Live(5), kStart + absl::Minutes(1)).ok());
  EXPECT_EQ(keeper.state(), GrantState::kSelfGoverned);  // until it grants, nobody else decides
  ASSERT_TRUE(keeper.Accept(Grant(5, 1, 350), kStart + absl::Minutes(1)).ok());
  EXPECT_EQ(keeper.state(), GrantState::kLeased);
  EXPECT_EQ(keeper.wanted().connection_count, 350);
  EXPECT_NE(alone, 350);
  keeper.Step(Full(350), kStart + absl::Minutes(1) + absl::Seconds(5));
  EXPECT_EQ(keeper.wanted().connection_count, 350);
}

}  // namespace
}  // namespace headroom
