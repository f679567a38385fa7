#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/provider_on_fake_cluster.h"

// Whose pod it is that leaves, and whether it does.

namespace headroom::kubernetes {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using KubernetesRemovalTest = KubernetesProviderTest;

TEST_F(KubernetesRemovalTest, NobodyLeavesForAPodWhoseLabelsAPersonHasChanged) {
  Start(Kind::kDeployment);
  nlohmann::json pod = cluster_->server().Get(FakeCluster::PodPath(kOldest));
  pod["metadata"]["labels"]["app"] = "under-examination";
  cluster_->server().Put(FakeCluster::PodPath(kOldest), pod);
  cluster_->Resume();  // it is replaced
  ASSERT_TRUE(Soon([&] { return List().size() == 3 && !StateOf(kOldest).has_value(); }));
  EXPECT_TRUE(Terminate(kOldest).ok()) << "it is no machine of this cluster any more";
  EXPECT_EQ(cluster_->replicas(), 3);
  EXPECT_EQ(Writes(), 0);
}

TEST_F(KubernetesRemovalTest, NobodyLeavesForAPodOfAnotherWorkload) {
  for (const Kind kind : {Kind::kStatefulSet, Kind::kDeployment, Kind::kCustom}) {
    Start(kind);
    cluster_->AddForeign("backup-2");
    EXPECT_TRUE(Terminate("backup-2").ok());
    EXPECT_EQ(cluster_->replicas(), 3);
    EXPECT_EQ(Writes(), 0);
  }
}

TEST_F(KubernetesRemovalTest, OfAStatefulSetNobodyLeavesForAPodOfAnotherNameWithItsLabels) {
  Start(Kind::kStatefulSet);
  const nlohmann::json pod = cluster_->server().Get(FakeCluster::PodPath("files-2"));
  for (const std::string name : {"backup-2", "files-canary-2"}) {
    cluster_->server().Put(FakeCluster::PodPath(name), pod);
    const absl::Status told = Terminate(name);
    EXPECT_EQ(told.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(told.message()), HasSubstr("removes its last pod first, files-2, not " + name));
  }
  EXPECT_EQ(Writes(), 0);
}

TEST_F(KubernetesRemovalTest, APodThatTheWatchHasNotShownHasNotLeftForThat) {
  Start(Kind::kDeployment);
  const std::vector<std::string> before = cluster_->pods();
  cluster_->server().HoldWatches();
  ASSERT_TRUE(Launch("launch-1").ok());
  std::vector<std::string> added = cluster_->pods();
  std::erase_if(added, [&](const auto& pod) { return std::count(before.begin(), before.end(), pod) > 0; });
  ASSERT_EQ(added.size(), 1u);
  cluster_->IgnoreCosts();  // the oldest leaves
  absl::Status told;
  std::thread removal([&] { told = Terminate(added[0]); });
  EXPECT_TRUE(Soon([&] { return cluster_->server().CountOf("GET", "/pods") >= 4; }))
      << "a list, a watch, a look for it, and another one whether it has left";
  cluster_->server().LetWatchesGo();
  removal.join();
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr(added[0] + " has not left"));
  EXPECT_THAT(cluster_->pods(), Contains(added[0]));
}

TEST_F(KubernetesRemovalTest, NobodyLeavesForAPodThatWasEvicted) {
  for (const Kind kind : {Kind::kDeployment, Kind::kCustom}) {
    Start(kind);
    cluster_->Fail(kOldest);
    ASSERT_TRUE(Soon([&] { return List().size() == 3 && !StateOf(kOldest).has_value(); })) << "another one has come";
    EXPECT_TRUE(Terminate(kOldest).ok());
    EXPECT_EQ(cluster_->replicas(), 3);
    EXPECT_EQ(Writes(), 0);
  }
}

TEST_F(KubernetesRemovalTest, APodThatIsEvictedWhileItIsToLeaveHasLeft) {
  Start(Kind::kDeployment);
  cluster_->Pause();
  absl::Status told = absl::UnknownError("it has not ended");
  std::thread removal([&] { told = Terminate(kOldest); });
  EXPECT_TRUE(Soon([&] { return cluster_->replicas() == 2; }));
  cluster_->Fail(kOldest);
  cluster_->Resume();
  removal.join();
  EXPECT_TRUE(told.ok()) << told;
  EXPECT_THAT(cluster_->pods(), Contains(kSecondOldest));
}

TEST_F(KubernetesRemovalTest, OfAStatefulSetAPodThatFailedLeavesForItComesAgain) {
  Start(Kind::kStatefulSet);
  cluster_->Fail("files-2");
  ASSERT_TRUE(Soon([&] { return StateOf("files-2") == Machine::State::kStarting; }));
  EXPECT_TRUE(Terminate("files-2").ok());
  EXPECT_EQ(cluster_->replicas(), 2);
  EXPECT_TRUE(Terminate("files-2").ok());
  EXPECT_EQ(cluster_->replicas(), 2);
}

TEST_F(KubernetesRemovalTest, APodWhoseContainersAreBeingMadeDoesNotLeaveInsteadOfADrainedOne) {
  Start(Kind::kDeployment);
  cluster_->Unready(kOldest);  // as one is that is drained
  cluster_->Create(kSecondOldest);
  ASSERT_TRUE(Soon([&] {
    return StateOf(kOldest) == Machine::State::kStarting && StateOf(kSecondOldest) == Machine::State::kStarting;
  }));
  const absl::Status told = Terminate(kOldest);
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr(std::string(kSecondOldest) + " is not running yet"));
  EXPECT_EQ(Writes(), 0);
  EXPECT_TRUE(Terminate(kSecondOldest).ok()) << "it may itself be removed";
  EXPECT_TRUE(Terminate(kOldest).ok());
}

// A budget of the workload's three pods that lets no ready one go.
nlohmann::json FullBudget(int ready, int wanted) {
  return {{"spec", {{"selector", {{"matchLabels", {{"app", "files"}}}}}}},
          {"status", {{"disruptionsAllowed", 0}, {"currentHealthy", ready}, {"desiredHealthy", wanted}}}};
}
constexpr char kBudget[] = "/apis/policy/v1/namespaces/storage/poddisruptionbudgets/files";

TEST_F(KubernetesRemovalTest, ADrainedPodThatUsesUpTheBudgetItselfLeaves) {
  Start(Kind::kStatefulSet);
  cluster_->Unready("files-2");  // maxUnavailable is 1
  cluster_->server().Put(kBudget, FullBudget(2, 2));
  ASSERT_TRUE(Soon([&] { return StateOf("files-2") == Machine::State::kStarting; }));
  EXPECT_TRUE(Terminate("files-2").ok());
  EXPECT_EQ(cluster_->replicas(), 2);
}

TEST_F(KubernetesRemovalTest, WhereTooFewOthersAreReadyABudgetKeepsADrainedPodUnlessItAlwaysAllows) {
  Start(Kind::kDeployment);
  cluster_->Unready(kOldest);
  cluster_->Unready(kSecondOldest);
  ASSERT_TRUE(Soon([&] {
    return StateOf(kOldest) == Machine::State::kStarting && StateOf(kSecondOldest) == Machine::State::kStarting;
  }));
  nlohmann::json budget = FullBudget(1, 2);
  cluster_->server().Put(kBudget, budget);
  const absl::Status told = Terminate(kOldest);
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr("unhealthyPodEvictionPolicy: AlwaysAllow"));
  budget["spec"]["unhealthyPodEvictionPolicy"] = "PerhapsOneDay";
  cluster_->server().Put(kBudget, budget);
  EXPECT_EQ(Terminate(kOldest).code(), absl::StatusCode::kUnavailable) << "who does not know the policy keeps";
  EXPECT_EQ(Writes(), 0);
  budget["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow";
  cluster_->server().Put(kBudget, budget);
  EXPECT_TRUE(Terminate(kOldest).ok());
}

TEST_F(KubernetesRemovalTest, APodThatDoesNotRunYetIsNoneOfABudget) {
  Start(Kind::kDeployment);
  cluster_->Create(kOldest);
  ASSERT_TRUE(Soon([&] { return StateOf(kOldest) == Machine::State::kStarting; }));
  cluster_->server().Put(kBudget, FullBudget(1, 3));
  EXPECT_TRUE(Terminate(kOldest).ok());
}

}  // namespace
}  // namespace headroom::kubernetes
