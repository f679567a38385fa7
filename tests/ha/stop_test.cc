// A leader that is stopped in mid-scale and goes on when another leads. `at_once` runs it often.

#include <gmock/gmock.h>

#include "tests/ha/ha_case.h"

namespace headroom {
namespace {

using ::testing::IsEmpty;

TEST_F(HaTest, IsFollowedAndWritesNothingWhenItGoesOn) {
  lease_seconds_ = kLongLeaseSeconds;
  StartAll();
  const int first = AwaitLeader();
  reporters_->Demand(150);
  absl::SleepFor(absl::Seconds(2));
  reporters_->Demand(500);
  ASSERT_TRUE(Eventually([&] { return cluster_.replicas() > 3; }));
  const absl::Time stopped = absl::Now();
  Daemon(first).Signal(SIGSTOP);
  const int second = AwaitLeader(first);
  ASSERT_NE(second, first);
  ASSERT_TRUE(Eventually([&] { return EffectiveWritesOf(second, 0) > 0; }));
  ASSERT_TRUE(Eventually([&] { return cluster_.replicas() >= 7; }));
  absl::SleepFor(stopped + absl::Seconds(30) - absl::Now());  // well beyond all that the old one knew to be good
  const size_t since = server().requests().size(), said = Daemon(first).log().size();
  Daemon(first).Signal(SIGCONT);
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Daemon(first).log().substr(said), "standing_by"); }))
      << "it begins anew, on the ports that it had";
  reporters_->Demand(150);
  ASSERT_TRUE(Eventually([&] { return cluster_.replicas() == 3; }, absl::Minutes(3)));
  EXPECT_EQ(EffectiveWritesOf(first, since), 0);
  EXPECT_THAT(reporters_->undrained(), IsEmpty());
  const std::set<int64_t> terms = reporters_->terms();
  EXPECT_EQ(terms.size(), 2u);
}

}  // namespace
}  // namespace headroom
