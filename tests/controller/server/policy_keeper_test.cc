#include "controller/server/policy_keeper.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "controller/server/file_watch.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPolicy[] =
    "cluster: a\nmode: live\nnodes: {min: 1, max: 5, data: gateway}\nprovider: {simulated: {}}\n";

std::string With(absl::string_view max) {
  return absl::StrCat("cluster: a\nmode: live\nnodes: {min: 1, max: ", max,
                      ", data: gateway}\nprovider: {simulated: {}}\n");
}

class PolicyKeeperTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  void File(const std::string& yaml) const { std::ofstream(path_) << yaml; }
  int max() const { return keeper_.config().policy.nodes.max; }

  const std::string path_ = absl::StrCat(::testing::TempDir(), "/policy_keeper_test.", getpid(), ".yaml");
  std::vector<int> told_;
  PolicyKeeper keeper_{*ParseConfig(kPolicy, "start"), kPolicy,
                       [this](const Config& config) { told_.push_back(config.policy.nodes.max); }};
};

TEST_F(PolicyKeeperTest, ABadFileLeavesTheOldPolicyAndSaysItsFaults) {
  File(With("none"));
  EXPECT_FALSE(keeper_.Reload(path_).ok());
  EXPECT_EQ(max(), 5);
  EXPECT_THAT(keeper_.faults(), ElementsAre(HasSubstr("nodes.max")));
  File(With("7"));
  EXPECT_TRUE(keeper_.Reload(path_).ok());
  EXPECT_THAT(keeper_.faults(), IsEmpty());
  EXPECT_THAT(told_, ElementsAre(7));
}

// It would not start from that file any more.
TEST_F(PolicyKeeperTest, AnAppliedPolicyDoesNotHideThatTheFileIsBad) {
  File(With("none"));
  EXPECT_FALSE(keeper_.Reload(path_).ok());
  EXPECT_TRUE(keeper_.Apply(With("9"), "apply").ok());
  EXPECT_EQ(max(), 9);
  EXPECT_THAT(keeper_.faults(), ElementsAre(HasSubstr("nodes.max")));
}

TEST_F(PolicyKeeperTest, WhatNeedsARestartIsNotTaken) {
  std::string other = With("9");
  other.replace(other.find("cluster: a"), 10, "cluster: b");
  EXPECT_EQ(keeper_.Apply(other, "apply").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(max(), 5);
}

TEST_F(PolicyKeeperTest, AFileMayFollowTheModeThatAnOperatorChoseAndNeedNot) {
  std::string dry = With("6");
  dry.replace(dry.find("mode: live"), 10, "mode: dry_run");
  EXPECT_THAT(std::string(keeper_.Apply(dry, "apply").status().message()), HasSubstr("`headroomctl disable`"));
  keeper_.SetModeInForce(Mode::kDryRun);
  EXPECT_TRUE(keeper_.Apply(With("7"), "apply").ok());
  EXPECT_TRUE(keeper_.Apply(dry, "apply").ok());
  EXPECT_THAT(told_, ElementsAre(7, 6));
}

TEST_F(PolicyKeeperTest, AFileThatWasEditedBetweenReadingAndWatchingHasChanged) {
  File(With("6"));
  absl::StatusOr<FileWatch> watch = FileWatch::Open(path_, With("5"));
  ASSERT_TRUE(watch.ok()) << watch.status();
  EXPECT_TRUE(watch->Changed());
  EXPECT_FALSE(watch->Changed());
  absl::StatusOr<FileWatch> same = FileWatch::Open(path_, With("6"));
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_FALSE(same->Changed());
}

}  // namespace
}  // namespace headroom
