#include "controller/server/operator/operator.h"

#include <algorithm>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"
#include "tests/controller/server/daemon_case.h"

namespace headroom {
namespace {

using kubernetes::Json;
using kubernetes::Part;
using kubernetes::Text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string PathOf(const std::string& name, const std::string& name_space = "storage") {
  return absl::StrCat("/apis/headroom.dev/v1alpha1/namespaces/", name_space, "/storageclusters/", name);
}

Json SpecOf(int nodes_max) {
  return {{"nodes", {{"min", 1}, {"max", nodes_max}}}, {"provider", {{"simulated", {{"seed", 1}}}}}};
}

class OperatorTest : public DaemonTest {
 protected:
  void SetUp() override {
    StartMany({});
    kubernetes::Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *kubernetes::Api::Connect(std::move(access), {});
  }
  void Operate(std::vector<std::string> namespaces = {"storage"}) {
    Operator::Options options{.namespaces = std::move(namespaces),
                              .instance = "test",
                              .open = [this](const ObjectKey& key, Config config, std::string yaml) {
                                return OpenOne(key, std::move(config), std::move(yaml));
                              }};
    options.look_interval = absl::Milliseconds(20);
    options.status_interval = absl::Milliseconds(20);
    options.retry_min = absl::Milliseconds(20);
    operator_ = std::make_unique<Operator>(*api_, *daemon_, std::move(options));
  }
  void TearDown() override { operator_.reset(); }

  absl::StatusOr<Cluster::Parts> OpenOne(const ObjectKey&, Config config, std::string yaml) {
    ++opened_;
    if (cannot_open_) return absl::NotFoundError("statefulset files is not there");
    return Cluster::Parts{.config = std::move(config),
                          .yaml = std::move(yaml),
                          .journal = std::make_unique<MemoryJournal>(),
                          .provider = std::make_unique<UntouchedProvider>(touched_, listed_)};
  }
  void Apply(const std::string& name, const Json& spec, const std::string& name_space = "storage") {
    Json object = server_.Get(PathOf(name, name_space));
    if (object.is_null()) object = {{"apiVersion", "headroom.dev/v1alpha1"}, {"kind", "StorageCluster"}};
    object["spec"] = spec;
    server_.Put(PathOf(name, name_space), object);
  }
  bool ComesTrue(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + kPatience;
    while (!holds()) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  bool ComesToRun(const std::string& cluster) {
    return ComesTrue([&] { return daemon_->Find(cluster) != nullptr && daemon_->Find(cluster)->name() == cluster; });
  }
  // "True NotRun": of the object's condition; empty: there is none.
  std::string ConditionOf(const std::string& name, const std::string& type, const char* field = "status") {
    const Json object = server_.Get(PathOf(name));
    for (const Json& condition : Part(object, {"status", "conditions"})) {
      if (Text(condition, {"type"}) == type) return Text(condition, {field});
    }
    return "";
  }
  bool Becomes(const std::string& name, const std::string& type, const std::string& status) {
    return ComesTrue([&] { return ConditionOf(name, type) == status; });
  }
  // That it is run, and nothing is wrong with its object: it has no nodes, so it is not ready.
  bool ComesToBeWell(const std::string& name) {
    return ComesTrue([&] { return ConditionOf(name, "Ready", "reason") == "TelemetryStale"; });
  }
  int MaxOf(const std::string& cluster) {
    const std::shared_ptr<Cluster> found = daemon_->Find(cluster);
    return found == nullptr ? 0 : found->policy().config().policy.nodes.max;
  }

  kubernetes::FakeApiServer server_;
  std::unique_ptr<kubernetes::Api> api_;
  std::atomic<bool> cannot_open_ = false;
  std::atomic<int> opened_ = 0;
  std::unique_ptr<Operator> operator_;
};

TEST_F(OperatorTest, AnObjectThatComesStartsItsClusterAndOneThatGoesStopsIt) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  server_.Delete(PathOf("files"));
  EXPECT_TRUE(ComesTrue([&] { return daemon_->Find("files") == nullptr; }));
  EXPECT_EQ(touched_, 0) << "its nodes keep running";
}

TEST_F(OperatorTest, ThoseThatAreThereAlreadyAreTakenUp) {
  Apply("backup", SpecOf(4));
  Apply("files", SpecOf(4));
  Operate();
  EXPECT_TRUE(ComesToRun("backup"));
  EXPECT_TRUE(ComesToRun("files"));
}

TEST_F(OperatorTest, OneThatWentWhileNobodyWatchedIsStopped) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  server_.Inject({.method = "GET", .path_contains = "storageclusters", .code = 500});
  server_.EndWatches();
  server_.Compact();
  server_.Delete(PathOf("files"));
  EXPECT_TRUE(ComesTrue([&] { return daemon_->Find("files") == nullptr; }));
}

TEST_F(OperatorTest, AllNamespacesAreWatchedWhereThatIsAskedFor) {
  Operate({"*"});
  Apply("files", SpecOf(4));
  Apply("files", SpecOf(5), "backup");
  EXPECT_TRUE(ComesToRun("storage.files"));
  EXPECT_TRUE(ComesToRun("backup.files")) << "nobody takes another namespace's name";
}

TEST_F(OperatorTest, AChangedSpecChangesThePolicyOfTheRunningCluster) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  const std::shared_ptr<Cluster> before = daemon_->Find("files");
  Apply("files", SpecOf(9));
  EXPECT_TRUE(ComesTrue([&] { return MaxOf("files") == 9; }));
  EXPECT_EQ(daemon_->Find("files"), before) << "it was not begun anew";
  EXPECT_EQ(opened_, 1);
}

TEST_F(OperatorTest, AnotherModeOrProviderBeginsTheClusterAnew) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  Json live = SpecOf(4);
  live["mode"] = "live";
  Apply("files", live);
  EXPECT_TRUE(Becomes("files", "DryRun", "False"));
  EXPECT_EQ(opened_, 2);
}

TEST_F(OperatorTest, ARefusedSpecLeavesTheOldPolicyInForceAndNamesEveryFault) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToBeWell("files"));
  Json bad = SpecOf(4);
  bad["nodes"]["min"] = 9;
  bad["nodes"]["mox"] = 1;
  Apply("files", bad);
  ASSERT_TRUE(ComesTrue([&] { return ConditionOf("files", "Ready", "reason") == "PolicyRefused"; }));
  const std::string told = ConditionOf("files", "Ready", "message");
  EXPECT_THAT(told, HasSubstr("nodes.min: 9 exceeds"));
  EXPECT_THAT(told, HasSubstr("mox"));
  EXPECT_EQ(told.find("storage/files"), std::string::npos) << "places in a text that nobody sees: " << told;
  EXPECT_EQ(MaxOf("files"), 4);
  Apply("files", SpecOf(5));
  EXPECT_TRUE(ComesTrue([&] { return MaxOf("files") == 5; }));
  EXPECT_TRUE(ComesToBeWell("files"));
}

TEST_F(OperatorTest, WhatCannotBeOpenedIsSaidAndTriedAgain) {
  cannot_open_ = true;
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(Becomes("files", "Ready", "False"));
  EXPECT_THAT(ConditionOf("files", "Ready", "message"), HasSubstr("statefulset files is not there"));
  cannot_open_ = false;
  EXPECT_TRUE(ComesToBeWell("files"));
  EXPECT_TRUE(ComesToRun("files"));
}

TEST_F(OperatorTest, NoSpecTakesANameOfAnotherNamespace) {
  Operate({"*"});
  Json spec = SpecOf(4);
  spec["cluster"] = "backup.files";
  Apply("thief", spec);
  EXPECT_TRUE(ComesTrue([&] { return ConditionOf("thief", "Ready", "reason") == "PolicyRefused"; }));
  EXPECT_EQ(daemon_->Find("backup.files"), nullptr);
}

TEST_F(OperatorTest, ANameThatIsTakenIsRefusedAndTheFirstOneGoesOn) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  std::shared_ptr<Cluster> first = daemon_->Find("files");
  Json spec = SpecOf(9);
  spec["cluster"] = "files";
  Apply("second", spec);
  ASSERT_TRUE(Becomes("second", "Ready", "False"));
  EXPECT_THAT(ConditionOf("second", "Ready", "message"), HasSubstr("taken by StorageCluster storage/files"));
  EXPECT_EQ(daemon_->Find("files"), first);
  first.reset();  // who holds it keeps its journal
  server_.Delete(PathOf("files"));
  EXPECT_TRUE(ComesTrue([&] { return MaxOf("files") == 9; })) << "the name is free again";
}

TEST_F(OperatorTest, OneThatBeginsAnewWaitsUntilTheOldOneIsGoneAndSaysNothingOfIt) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  std::shared_ptr<Cluster> held = daemon_->Find("files");  // as a stream does that has not ended yet
  Json live = SpecOf(4);
  live["mode"] = "live";
  Apply("files", live);
  ASSERT_TRUE(ComesTrue([&] { return daemon_->Find("files") == nullptr; }));
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(opened_, 1) << "its journal is still in use";
  held.reset();
  EXPECT_TRUE(ComesToRun("files"));
  EXPECT_EQ(opened_, 2);
}

TEST_F(OperatorTest, AnotherObjectOfTheSameNameIsAnotherCluster) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  Json again = server_.Get(PathOf("files"));
  again["metadata"]["uid"] = "another";
  again.erase("status");
  server_.Delete(PathOf("files"));
  server_.Put(PathOf("files"), again);
  EXPECT_TRUE(ComesTrue([&] { return opened_ == 2; }));
  EXPECT_TRUE(ComesToRun("files"));
}

TEST_F(OperatorTest, AnAnswerThatIsNoListStopsNobody) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  server_.Inject({.method = "GET", .path_contains = "storageclusters?limit", .code = 200});
  server_.EndWatches();
  server_.Compact();
  Apply("second", SpecOf(4));
  EXPECT_TRUE(ComesToRun("second")) << "the next list is one again";
  EXPECT_EQ(opened_, 2) << "files was not begun anew";
}

TEST_F(OperatorTest, AnObjectReachesNothingBeyondItsNamespace) {
  Operate();
  const auto refused = [&](const Json& provider, const std::string& words) {
    Json spec = SpecOf(4);
    spec["provider"] = provider;
    Apply("files", spec);
    EXPECT_TRUE(ComesTrue([&] { return ConditionOf("files", "Ready", "message").find(words) != std::string::npos; }))
        << ConditionOf("files", "Ready", "message");
  };
  refused({{"kubernetes", {{"workload", "statefulset/files"}, {"namespace", "elsewhere"}}}}, "is not the object's own");
  refused({{"kubernetes", {{"workload", "statefulset/files"}, {"kubeconfig", "/etc/headroom/kubeconfig"}}}},
          "files of the controller's machine");
  refused({{"aws", {{"group", "theirs"}, {"region", "eu-west-1"}}}}, "--allow-foreign-providers");
  refused({{"external", {{"address", "127.0.0.1:7700"}}}}, "--allow-foreign-providers");
  refused({{"local", {{"data_dir", "/srv"}}}}, "starts processes on the controller's own machine");
  EXPECT_EQ(opened_, 0);
}

TEST_F(OperatorTest, AStatusIsWrittenOnceForEachThingThatIsNews) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(Becomes("files", "ProviderReachable", "True"));
  ASSERT_TRUE(ComesToBeWell("files"));
  absl::SleepFor(absl::Milliseconds(500));  // many looks
  const int before = server_.CountOf("PUT", "/status");
  absl::SleepFor(absl::Seconds(1));
  EXPECT_LE(server_.CountOf("PUT", "/status"), before + 1) << "nothing has changed";
  EXPECT_LE(before, 6);
}

TEST_F(OperatorTest, AStatusThatSomebodyElseOverwroteIsWrittenAgain) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToBeWell("files"));
  Json object = server_.Get(PathOf("files"));
  object["status"] = {{"conditions", Json::array()}};
  server_.Put(PathOf("files"), object);
  EXPECT_TRUE(ComesToBeWell("files"));
}

TEST_F(OperatorTest, AWriteThatMeetsAnotherIsTriedAgainFromTheNewerObject) {
  Operate();
  server_.Inject({.method = "PUT", .path_contains = "/status", .code = 409});
  Apply("files", SpecOf(4));
  EXPECT_TRUE(ComesToBeWell("files"));
}

TEST_F(OperatorTest, AnApiServerThatIsAwayStopsNothing) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  server_.Inject({.path_contains = "storageclusters", .code = 503, .times = 1'000'000});
  server_.EndWatches();
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_NE(daemon_->Find("files"), nullptr);
  EXPECT_TRUE(operator_->Health().ok());
}

TEST_F(OperatorTest, ItsEndLeavesTheClustersToTheDaemon) {
  Operate();
  Apply("files", SpecOf(4));
  ASSERT_TRUE(ComesToRun("files"));
  operator_.reset();
  EXPECT_NE(daemon_->Find("files"), nullptr);
}

}  // namespace
}  // namespace headroom
