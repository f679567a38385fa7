#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/provider_on_fake_cluster.h"

namespace headroom::kubernetes {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST_F(KubernetesProviderTest, ItsPodsAreMachinesInTheirZones) {
  Start(Kind::kStatefulSet);
  const std::vector<Machine> machines = List();
  ASSERT_EQ(machines.size(), 3u);
  EXPECT_EQ(machines[1].node, "files-1");
  EXPECT_EQ(machines[1].state, Machine::State::kRunning);
  EXPECT_EQ(machines[1].zone, "zone-1");
  EXPECT_EQ(machines[1].launch_id, "");
  EXPECT_EQ(Writes(), 0) << "who only looks writes nothing";
}

TEST_F(KubernetesProviderTest, ZonesAreAskedForWhileAPodStandsThere) {
  Start(Kind::kStatefulSet);
  List();
  EXPECT_EQ(List()[2].zone, "zone-2");
  EXPECT_EQ(cluster_->server().CountOf("GET", "/nodes/"), 3);
  const nlohmann::json pod = cluster_->server().Get(FakeCluster::PodPath("files-2"));
  cluster_->Displace("files-2");
  ASSERT_TRUE(Soon([&] { return List()[2].zone.empty(); }));
  cluster_->server().Put(FakeCluster::PodPath("files-2"), pod);
  ASSERT_TRUE(Soon([&] { return List()[2].zone == "zone-2"; }));
  EXPECT_EQ(cluster_->server().CountOf("GET", "/nodes/"), 4);
}

TEST_F(KubernetesProviderTest, OneMoreIsOneReplicaMoreAndItsPodIsTheLaunchs) {
  for (const Kind kind : {Kind::kStatefulSet, Kind::kDeployment, Kind::kCustom}) {
    Start(kind);
    const std::vector<std::string> before = cluster_->pods();
    const auto node = Launch("launch-1");
    ASSERT_TRUE(node.ok()) << node.status();
    EXPECT_EQ(*node, kind == Kind::kStatefulSet ? "files-3" : "");
    EXPECT_EQ(cluster_->replicas(), 4);
    std::string added;
    for (const std::string& pod : cluster_->pods()) {
      if (std::find(before.begin(), before.end(), pod) == before.end()) added = pod;
    }
    EXPECT_TRUE(Soon([&] { return Launched() == std::vector<std::string>{added + " launch-1"}; }));
  }
}

TEST_F(KubernetesProviderTest, TheSameLaunchTwiceIsOneReplicaWhoeverAsks) {
  for (const Kind kind : {Kind::kStatefulSet, Kind::kDeployment}) {
    Start(kind);
    ASSERT_TRUE(Launch("launch-1").ok());
    ASSERT_TRUE(Launch("launch-1").ok());
    provider_ = Open();  // the next leader
    ASSERT_TRUE(Launch("launch-1", 2).ok());
    EXPECT_EQ(cluster_->replicas(), 4);
    ASSERT_TRUE(Launch("launch-2", 2).ok());
    EXPECT_EQ(cluster_->replicas(), 5);
  }
}

TEST_F(KubernetesProviderTest, ALaunchWhoseAnswerWasLostIsNotDoneAgain) {
  Start(Kind::kStatefulSet);
  cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .after_effect = true});
  EXPECT_EQ(Launch("launch-1").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(cluster_->replicas(), 4);
  EXPECT_TRUE(Launch("launch-1").ok());
  EXPECT_EQ(cluster_->replicas(), 4);
}

TEST_F(KubernetesProviderTest, ALaunchThatWasNotedAndNotDoneIsDoneByTheNextTry) {
  Start(Kind::kStatefulSet);
  cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .code = 500});
  EXPECT_FALSE(Launch("launch-1").ok());
  EXPECT_EQ(cluster_->replicas(), 3);
  ASSERT_TRUE(Launch("launch-2").ok());
  EXPECT_EQ(cluster_->replicas(), 4);
  ASSERT_TRUE(Launch("launch-1").ok());
  EXPECT_EQ(cluster_->replicas(), 5) << "each of both is a replica";
}

TEST_F(KubernetesProviderTest, AWriteOfSomebodyElseIsLookedAtFirst) {
  Start(Kind::kStatefulSet);
  cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .code = 409, .times = 3});
  EXPECT_TRUE(Launch("launch-1").ok());
  EXPECT_EQ(cluster_->replicas(), 4);
  cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .code = 409, .times = 100});
  EXPECT_EQ(Launch("launch-2").status().code(), absl::StatusCode::kUnavailable) << "it does not try for ever";
}

TEST_F(KubernetesProviderTest, AControllerOfAnOlderTermDoesNothing) {
  Start(Kind::kStatefulSet);
  ASSERT_TRUE(Launch("launch-1", 7).ok());
  const auto late = Launch("launch-2", 6);
  EXPECT_EQ(late.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("a controller of term 7 acts on it"));
  EXPECT_EQ(cluster_->replicas(), 4);
}

TEST_F(KubernetesProviderTest, AStatefulSetLosesItsLastPodOrNone) {
  Start(Kind::kStatefulSet);
  EXPECT_FALSE(provider_->capabilities().named_termination);
  const absl::Status middle = Terminate("files-1");
  EXPECT_EQ(middle.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(middle.message()), HasSubstr("removes its last pod first, files-2, not files-1"));
  EXPECT_EQ(Writes(), 0);
  EXPECT_TRUE(Terminate("files-2").ok());
  EXPECT_THAT(cluster_->pods(), UnorderedElementsAre("files-0", "files-1"));
  EXPECT_TRUE(Terminate("files-2").ok()) << "gone is gone";
  EXPECT_EQ(cluster_->replicas(), 2);
}

TEST_F(KubernetesProviderTest, APodThatIsStillLeavingIsNotRemovedTwice) {
  for (const Kind kind : {Kind::kStatefulSet, Kind::kDeployment}) {
    Start(kind);
    cluster_->LeaveSlowly();
    const std::string victim = cluster_->pods().back();
    ASSERT_TRUE(Terminate(victim).ok());
    ASSERT_TRUE(Terminate(victim).ok());
    EXPECT_EQ(cluster_->replicas(), 2);
    EXPECT_TRUE(Soon([&] {
      const std::vector<Machine> machines = List();
      return machines.size() == 3 && std::count_if(machines.begin(), machines.end(), [&](const Machine& machine) {
                                       return machine.node == victim && machine.state == Machine::State::kStopping;
                                     }) == 1;
    }));
  }
}

TEST_F(KubernetesProviderTest, ARemovalWhoseAnswerWasLostIsNotDoneAgain) {
  for (const Kind kind : {Kind::kStatefulSet, Kind::kDeployment}) {
    Start(kind, 5);
    cluster_->LeaveSlowly();
    const std::string victim = cluster_->pods().back();
    cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .after_effect = true});
    EXPECT_EQ(Terminate(victim).code(), absl::StatusCode::kUnavailable);
    EXPECT_TRUE(Terminate(victim).ok());
    EXPECT_EQ(cluster_->replicas(), 4);
  }
}

TEST_F(KubernetesProviderTest, TheNamedPodOfADeploymentLeaves) {
  Start(Kind::kDeployment, 5);
  EXPECT_TRUE(provider_->capabilities().named_termination);
  const std::vector<std::string> before = cluster_->pods();
  ASSERT_TRUE(Terminate(before[2]).ok());
  const std::vector<std::string> after = cluster_->pods();
  EXPECT_EQ(after.size(), 4u);
  EXPECT_EQ(std::count(after.begin(), after.end(), before[2]), 0);
}

TEST_F(KubernetesProviderTest, ThatAnotherPodHasLeftIsSaidAndTheNextTryIsNotTakenForDone) {
  Start(Kind::kDeployment, 5);
  cluster_->IgnoreCosts();
  const absl::Status told = Terminate(kSecondOldest);
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr(absl::StrCat(kSecondOldest, " has not left")));
  EXPECT_EQ(cluster_->replicas(), 4);
  EXPECT_TRUE(Terminate(kSecondOldest).ok()) << "by now it is the oldest";
  EXPECT_EQ(cluster_->replicas(), 3);
}

TEST_F(KubernetesProviderTest, APodWhoseRemovalFailedDoesNotLeaveInsteadOfTheNext) {
  for (const bool watch_is_late : {false, true}) {
    Start(Kind::kDeployment, 5);
    if (watch_is_late) cluster_->server().HoldWatches();
    cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .code = 500});
    ASSERT_FALSE(Terminate(kOldest).ok());
    ASSERT_EQ(CostOf(kOldest), "-1000");
    std::thread removal([&] { EXPECT_TRUE(Terminate(kSecondOldest).ok()); });
    EXPECT_TRUE(Soon([&] { return cluster_->replicas() == 4; }));
    cluster_->server().LetWatchesGo();
    removal.join();
    EXPECT_THAT(cluster_->pods(), Contains(kOldest)) << "its drain was taken back, and it serves";
    EXPECT_EQ(CostOf(kOldest), "0");
  }
}

TEST_F(KubernetesProviderTest, WhereTheRemovalIsRefusedTheMarkIsTakenBackAtOnce) {
  Start(Kind::kDeployment);
  cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .code = 403});
  EXPECT_EQ(Terminate(kOldest).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CostOf(kOldest), "0");
}

TEST_F(KubernetesProviderTest, TwoRemovalsThatAreUnderWayTakeBoth) {
  Start(Kind::kDeployment, 5);
  cluster_->Pause();
  EXPECT_TRUE(provider_->Terminate(kOldest, kPatience / 10).ok()) << "it is done, and only not seen yet";
  EXPECT_TRUE(provider_->Terminate(kSecondOldest, kPatience / 10).ok());
  EXPECT_TRUE(provider_->Terminate(kOldest, kPatience / 10).ok());
  EXPECT_EQ(cluster_->replicas(), 3);
  cluster_->Resume();
  EXPECT_THAT(cluster_->pods(), Not(Contains(AnyOf(kOldest, kSecondOldest))));
}

TEST_F(KubernetesProviderTest, WhileAnotherPodIsNotReadyOrHasNoMachineTheDrainedOneStays) {
  for (const bool has_machine : {true, false}) {
    Start(Kind::kDeployment);
    has_machine ? cluster_->Unready(kSecondOldest) : cluster_->Displace(kSecondOldest);
    ASSERT_TRUE(Soon([&] { return StateOf(kSecondOldest) == Machine::State::kStarting; }));
    const absl::Status told = Terminate(kOldest);
    EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(told.message()),
                HasSubstr(absl::StrCat(kSecondOldest, has_machine ? " is not ready" : " has no machine")));
    EXPECT_EQ(Writes(), 0);
    EXPECT_TRUE(Terminate(kSecondOldest).ok()) << "it may itself be removed";
    EXPECT_TRUE(Terminate(kOldest).ok());
  }
}

TEST_F(KubernetesProviderTest, OfTwoThatAreNotReadyTheNamedOneLeaves) {
  Start(Kind::kDeployment);
  cluster_->Unready(kOldest);
  cluster_->Unready(kSecondOldest);
  ASSERT_TRUE(Soon([&] { return StateOf(kSecondOldest) == Machine::State::kStarting; }));
  EXPECT_TRUE(Terminate(kSecondOldest).ok()) << "else two drained ones that are not ready would keep each other";
  EXPECT_THAT(cluster_->pods(), Not(Contains(kSecondOldest)));
}

TEST_F(KubernetesProviderTest, APodThatIsStillToComeIsNotGivenUpInsteadOfTheNamedOne) {
  Start(Kind::kDeployment);
  cluster_->ComeLate();
  ASSERT_TRUE(Launch("launch-1").ok());
  const absl::Status told = Terminate(kOldest);
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr("files has 3 of 4 pods yet"));
  EXPECT_EQ(cluster_->replicas(), 4);
}

TEST_F(KubernetesProviderTest, ALaunchDoesNotWaitForAPodThatIsSlowToLeave) {
  Start(Kind::kDeployment);
  cluster_->Pause();
  absl::Status told;
  std::thread removal([&] { told = Terminate(kOldest); });
  EXPECT_TRUE(Soon([&] { return cluster_->replicas() == 2; }));
  EXPECT_TRUE(provider_->Launch({.id = "launch-1", .term = 1}, kPatience / 2).ok());
  EXPECT_EQ(cluster_->replicas(), 3);
  removal.join();
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << "nobody leaves any more: " << told;
}

TEST_F(KubernetesProviderTest, ACallThatHasWaitedForAnotherUntilItsEndDoesNothing) {
  Start(Kind::kStatefulSet);
  cluster_->server().Inject({.method = "GET", .path_contains = "/scale", .never_answers = true});
  const int before = cluster_->server().CountOf("GET", "/scale");
  std::thread other([&] { EXPECT_FALSE(provider_->Launch({.id = "launch-1", .term = 1}, absl::Seconds(3)).ok()); });
  EXPECT_TRUE(Soon([&] { return cluster_->server().CountOf("GET", "/scale") > before; }));
  EXPECT_EQ(provider_->Terminate("files-2", kMoment).code(), absl::StatusCode::kDeadlineExceeded);
  other.join();
  EXPECT_EQ(cluster_->replicas(), 3) << "by then its node may serve again";
  EXPECT_EQ(Writes(), 0);
}

TEST_F(KubernetesProviderTest, ADisruptionBudgetWithoutRoomForbids) {
  Start(Kind::kStatefulSet);
  const std::string path = "/apis/policy/v1/namespaces/storage/poddisruptionbudgets/files";
  nlohmann::json budget = {{"spec", {{"selector", {{"matchLabels", {{"app", "files"}}}}}}},
                           {"status", {{"disruptionsAllowed", 0}}}};
  cluster_->server().Put(path, budget);
  const absl::Status told = Terminate("files-2");
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr("PodDisruptionBudget files allows no pod to leave now"));
  EXPECT_EQ(cluster_->replicas(), 3);
  budget["spec"]["selector"]["matchLabels"]["app"] = "others";
  cluster_->server().Put(path, budget);
  EXPECT_TRUE(Terminate("files-2").ok());
}

TEST_F(KubernetesProviderTest, AnotherAutoscalerOfTheWorkloadForbids) {
  Start(Kind::kStatefulSet);
  const std::string path = "/apis/autoscaling/v2/namespaces/storage/horizontalpodautoscalers/cpu";
  nlohmann::json rival = {{"spec", {{"scaleTargetRef", {{"kind", "StatefulSet"}, {"name", "files"}}}}}};
  cluster_->server().Put(path, rival);
  for (const absl::Status& told : {Launch("launch-1").status(), Terminate("files-2")}) {
    EXPECT_EQ(told.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(told.message()), HasSubstr("HorizontalPodAutoscaler cpu scales files, too"));
  }
  EXPECT_EQ(Writes(), 0);
  rival["spec"]["scaleTargetRef"]["kind"] = "Deployment";
  cluster_->server().Put(path, rival);
  EXPECT_TRUE(Launch("launch-1").ok());
}

TEST_F(KubernetesProviderTest, ABudgetOrARivalAmongHundredsOfOthersForbids) {
  Start(Kind::kStatefulSet);
  const std::string budgets = "/apis/policy/v1/namespaces/storage/poddisruptionbudgets";
  const std::string rivals = "/apis/autoscaling/v2/namespaces/storage/horizontalpodautoscalers";
  for (int i = 0; i < 1000; ++i) {
    cluster_->server().Put(absl::StrFormat("%s/other-%04d", budgets, i), {{"spec", nlohmann::json::object()}});
    cluster_->server().Put(absl::StrFormat("%s/other-%04d", rivals, i), {{"spec", nlohmann::json::object()}});
  }
  cluster_->server().Put(budgets + "/the-last", {{"spec", {{"selector", {{"matchLabels", {{"app", "files"}}}}}}},
                                                 {"status", {{"disruptionsAllowed", 0}}}});
  EXPECT_EQ(Terminate("files-2").code(), absl::StatusCode::kUnavailable);
  cluster_->server().Put(rivals + "/the-last",
                         {{"spec", {{"scaleTargetRef", {{"kind", "StatefulSet"}, {"name", "files"}}}}}});
  EXPECT_EQ(Terminate("files-2").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Launch("launch-1").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Writes(), 0);
}

TEST_F(KubernetesProviderTest, AnExtraPodOfARollingUpdateIsNoMachineUntilItIsReady) {
  Start(Kind::kDeployment);
  nlohmann::json extra = cluster_->server().Get(FakeCluster::PodPath(cluster_->pods()[0]));
  extra["metadata"]["creationTimestamp"] = "2026-11-21T08:00:00Z";
  extra["status"]["conditions"][0]["status"] = "False";
  cluster_->server().Put(FakeCluster::PodPath("files-new"), extra);
  cluster_->server().Put(FakeCluster::PodPath("files-other"), extra);
  cluster_->Ready("files-new");
  ASSERT_TRUE(Soon([&] { return List().size() == 4; }));
  EXPECT_EQ(List().back().node, "files-new") << "and the other one waits for its place";
}

TEST_F(KubernetesProviderTest, APodThatBootsIsStarting) {
  Start(Kind::kStatefulSet);
  cluster_->BootSlowly();
  ASSERT_TRUE(Launch("launch-1").ok());
  ASSERT_TRUE(Soon([&] { return List().size() == 4; }));
  EXPECT_EQ(List()[3].state, Machine::State::kStarting);
  cluster_->Ready("files-3");
  EXPECT_TRUE(Soon([&] { return List()[3].state == Machine::State::kRunning; }));
}

TEST_F(KubernetesProviderTest, APodThatAStatefulSetIsYetToMakeIsStarting) {
  Start(Kind::kStatefulSet);
  cluster_->KeepNoOrder();
  cluster_->server().Delete(FakeCluster::PodPath("files-2"));  // its controller is yet to make it
  nlohmann::json restarting = cluster_->server().Get(FakeCluster::PodPath("files-1"));
  restarting["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z";
  cluster_->server().Put(FakeCluster::PodPath("files-1"), restarting);
  ASSERT_TRUE(Soon([&] { return List().size() == 3 && List()[1].state == Machine::State::kStarting; }));
  EXPECT_EQ(List()[2].node, "files-2");
  EXPECT_EQ(List()[2].state, Machine::State::kStarting);
  ASSERT_TRUE(Terminate("files-2").ok());
  EXPECT_EQ(cluster_->replicas(), 2) << "it would have come";
  EXPECT_TRUE(Terminate("somebody-1").ok()) << "what was never there is gone";
  EXPECT_EQ(cluster_->replicas(), 2);
}

TEST_F(KubernetesProviderTest, ANameThatIsGivenAgainIsTheLaunchsWhileItsOldPodStillLeaves) {
  Start(Kind::kStatefulSet);
  cluster_->LeaveSlowly();
  ASSERT_TRUE(Terminate("files-2").ok());
  ASSERT_TRUE(Soon([&] { return List()[2].state == Machine::State::kStopping; }));
  ASSERT_EQ(Launch("launch-1").value(), "files-2");
  ASSERT_EQ(List().size(), 3u);
  EXPECT_EQ(List()[2].state, Machine::State::kStarting);
  EXPECT_THAT(Launched(), ElementsAre("files-2 launch-1"));
  cluster_->Leave();
  EXPECT_TRUE(Soon([&] { return List()[2].state == Machine::State::kRunning; }));
  EXPECT_THAT(Launched(), ElementsAre("files-2 launch-1"));
}

TEST_F(KubernetesProviderTest, AnUnreadyPodBeforeTheLastOneIsNamedWhereOrderIsKept) {
  Start(Kind::kStatefulSet);
  cluster_->BootSlowly();
  nlohmann::json first = cluster_->server().Get(FakeCluster::PodPath("files-0"));
  first["status"]["conditions"][0]["status"] = "False";
  cluster_->server().Put(FakeCluster::PodPath("files-0"), first);
  ASSERT_TRUE(Soon([&] { return List()[0].state == Machine::State::kStarting; }));
  const absl::Status told = Terminate("files-2");
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), HasSubstr("files-0 is not ready, and until it is a StatefulSet"));
  EXPECT_EQ(Writes(), 0);
  cluster_->KeepNoOrder();
  EXPECT_TRUE(Terminate("files-2").ok());
}

TEST_F(KubernetesProviderTest, ReplicasThatSomebodyElseSetsAreSaidOnce) {
  Start(Kind::kStatefulSet);
  List();
  ASSERT_TRUE(Launch("launch-1").ok());
  List();
  EXPECT_THAT(said_, IsEmpty()) << "its own are no news";
  nlohmann::json workload = cluster_->server().Get(cluster_->path());
  workload["spec"]["replicas"] = 7;
  workload["metadata"]["managedFields"] = {{{"manager", "kube-controller-manager"},
                                            {"fieldsV1", {{"f:status", {{"f:replicas", nlohmann::json::object()}}}}}},
                                           {{"manager", "kubectl"},
                                            {"time", "2026-11-23T10:00:00Z"},
                                            {"fieldsV1", {{"f:spec", {{"f:replicas", nlohmann::json::object()}}}}}}};
  cluster_->server().Put(cluster_->path(), workload);
  List();
  List();
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_THAT(said_[0],
              HasSubstr("somebody else (kubectl at 2026-11-23T10:00:00Z) has set files from 4 to 7 replicas"));
}

TEST_F(KubernetesProviderTest, ControllersThatWriteAllTheTimeAreOutwaited) {
  Start(Kind::kDeployment);
  cluster_->server().Inject({.method = "PUT", .path_contains = "/scale", .code = 409, .times = 8});
  EXPECT_TRUE(Launch("launch-1").ok());
  EXPECT_EQ(cluster_->replicas(), 4);
  EXPECT_EQ(waits_.size(), 8u);
  EXPECT_TRUE(std::is_sorted(waits_.begin(), waits_.end()));
  EXPECT_GE(waits_.back(), absl::Milliseconds(500));
}

TEST_F(KubernetesProviderTest, AnEndDoesNotWaitUntilTheServerWantsToBeAskedAgain) {
  cluster_ = std::make_unique<FakeCluster>(Kind::kStatefulSet, 3);
  cluster_->server().Inject(
      {.method = "GET", .path_contains = "/pods", .code = 503, .retry_after = "25", .times = 100});
  Access access{.url = cluster_->server().url(), .name_space = "storage"};
  access.headers = [] { return std::vector<HttpHeader>(); };
  auto provider = KubernetesProvider::Open({.access = std::move(access), .workload = cluster_->reference()});
  ASSERT_TRUE(provider.ok()) << provider.status();
  EXPECT_FALSE((*provider)->List(kMoment).ok()) << "by now the server has said so";
  const auto began = std::chrono::steady_clock::now();
  provider->reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

TEST_F(KubernetesProviderTest, WhatCannotBeScaledIsRefusedWithAWayOut) {
  Start(Kind::kCustom);
  const auto says = [&](const std::string& workload) { return std::string(TryOpen(workload).status().message()); };
  EXPECT_THAT(says("files"), HasSubstr("is no workload: statefulset/NAME"));
  EXPECT_THAT(says("daemonset/files"), HasSubstr("is no workload"));
  EXPECT_THAT(says("cephclusters.ceph.rook.io/files"), HasSubstr("has no scale subresource"));
  EXPECT_THAT(says("cephfleets.ceph.rook.io/files"), HasSubstr("ceph.rook.io/v1 has no cephfleets"));
  EXPECT_THAT(says("things.example.org/files"), HasSubstr("no API group example.org; is its CRD installed?"));
  EXPECT_THAT(says("cephobjectstores.ceph.rook.io/none"), HasSubstr("there is no cephobjectstores.ceph.rook.io/none"));
  EXPECT_EQ(TryOpen("statefulset/none").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace headroom::kubernetes
