// Leaders that end and are killed.

#include <iostream>

#include <gmock/gmock.h>

#include "tests/ha/ha_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(HaTest, ASurgeGoesUpAndDownUnderOneLeaderAndNothingUndrainedLeaves) {
  lease_seconds_ = kLongLeaseSeconds;
  StartAll();
  AwaitLeader();
  reporters_->Demand(150);
  absl::SleepFor(absl::Seconds(3));
  EXPECT_EQ(cluster_.replicas(), 3);
  reporters_->Demand(500);
  ASSERT_TRUE(Eventually([&] { return cluster_.replicas() >= 7; }));
  reporters_->Demand(150);
  ASSERT_TRUE(Eventually([&] { return cluster_.replicas() == 3; }, absl::Minutes(3)));
  EXPECT_THAT(reporters_->undrained(), IsEmpty());
  EXPECT_EQ(reporters_->terms().size(), 1u);
}

TEST_F(HaTest, TwoClustersThatAreToldNoNameHaveALeaderEach) {
  const std::string policy = Home(1) + "/policy.yaml";
  ASSERT_EQ(
      std::system(("sed -i 's/^cluster: files/cluster: archive/; s/^mode: live/mode: dry_run/' " + policy).c_str()), 0);
  Start(0);
  Start(1);
  EXPECT_TRUE(Eventually([&] { return !LeaseOf("files").is_null() && !LeaseOf("archive").is_null(); }));
}

TEST_F(HaTest, ALeaseTooShortForAnyLaunchIsRefusedWithTheLeastOne) {
  std::ofstream(Home(0) + "/policy.yaml") << "cluster: files\nmode: live\nnodes: {min: 2, max: 6}\n"
                                             "provider:\n  simulated: {seed: 7}\n";
  Start(0);
  EXPECT_EQ(Daemon(0).Wait(), 1);
  EXPECT_THAT(Daemon(0).log(), HasSubstr("--lease-seconds 3 is too short"));
  EXPECT_THAT(Daemon(0).log(), HasSubstr("give --lease-seconds 6 or more"));
}

TEST_F(HaTest, ACleanEndHandsOverWithinTwoSeconds) {
  StartAll();
  const int first = AwaitLeader();
  reporters_->Demand(150);
  absl::SleepFor(absl::Seconds(2));
  const absl::Time asked = absl::Now();
  Daemon(first).Signal(SIGTERM);
  EXPECT_EQ(Daemon(first).Wait(), 0);
  const int second = AwaitLeader(first);
  EXPECT_NE(second, first);
  const absl::Duration took = reporters_->first_heard().rbegin()->second - asked;
  std::cout << "hand-over: from SIGTERM until a node heard the next leader: " << took << "\n";
  EXPECT_LT(took, absl::Seconds(10)) << "the figure is 2 s on a quiet machine";
}

TEST_F(HaTest, ALeaderThatIsKilledIsFollowedWithItsHolds) {
  StartAll();
  const int first = AwaitLeader();
  reporters_->Demand(150);
  absl::SleepFor(absl::Seconds(2));
  const std::string hold =
      absl::StrCat(BuiltProgram("headroomctl"), " --server ", endpoints_[static_cast<size_t>(first)],
                   " hold down --for 10m --reason campaign >/dev/null");
  ASSERT_EQ(std::system(hold.c_str()), 0);
  ASSERT_TRUE(Eventually([&] { return IsSaved("campaign"); }));
  const absl::Time killed = absl::Now();
  Daemon(first).Signal(SIGKILL);
  Daemon(first).Wait();
  const int second = AwaitLeader(first);
  const absl::Duration took = reporters_->first_heard().rbegin()->second - killed;
  std::cout << "fail-over: from SIGKILL until a node heard the next leader: " << took << "\n";
  EXPECT_LT(took, absl::Seconds(LeaseSeconds() + 20)) << "the figure is the lease and 8 s on a quiet machine";
  const std::string status = absl::StrCat(BuiltProgram("headroomctl"), " --server ",
                                          endpoints_[static_cast<size_t>(second)], " status | grep -q campaign");
  EXPECT_EQ(std::system(status.c_str()), 0) << "the hold is not in force";
}

}  // namespace
}  // namespace headroom
