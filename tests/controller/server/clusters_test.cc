// Several clusters behind one pair of ports.

#include "controller/server/clusters.h"

#include "gmock/gmock.h"

#include "tests/controller/server/daemon_case.h"

namespace headroom {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ClustersTest : public DaemonTest {
 protected:
  static v1::LoadReport HelloTo(const std::string& cluster, const std::string& id) {
    v1::LoadReport hello = Hello(id);
    hello.mutable_hello()->set_cluster(cluster);
    return hello;
  }
  std::vector<std::string> NodesOf(const std::string& cluster) {
    std::vector<std::string> ids;
    for (const v1::Node& node : Nodes(cluster)) ids.push_back(node.node_id());
    return ids;
  }
  static bool ComesTrue(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + kPatience;
    while (!holds()) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  void Await(const std::string& cluster, const std::vector<std::string>& nodes) {
    ComesTrue([&] { return NodesOf(cluster) == nodes; });
    EXPECT_EQ(NodesOf(cluster), nodes);
  }
};

TEST_F(ClustersTest, ANodeIsLedToTheClusterThatItNames) {
  StartMany({"backup", "files"});
  const auto one = Open(HelloTo("files", "node-1")), other = Open(HelloTo("backup", "node-1"));
  Await("files", {"node-1"});
  Await("backup", {"node-1"});
}

TEST_F(ClustersTest, ANodeThatNamesNoneIsRefusedEvenWhileThereIsOneOnly) {
  StartMany({"files"});
  const grpc::Status node = EndOf(Hello("node-1"));
  EXPECT_EQ(node.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(node.error_message(), HasSubstr("--cluster"));
}

TEST_F(ClustersTest, ACallThatNamesNoneOfSeveralIsToldWhichThereAre) {
  StartMany({"backup", "files"});
  v1::GetStatusResponse response;
  const grpc::Status call = Call(&v1::AdminService::Stub::GetStatus, v1::GetStatusRequest(), &response);
  EXPECT_EQ(call.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(call.error_message(), HasSubstr("say which one: \"backup\", \"files\""));
}

TEST_F(ClustersTest, OneThatIsNotHereIsNotFound) {
  StartMany({"backup", "files"});
  EXPECT_EQ(EndOf(HelloTo("elsewhere", "node-1")).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  v1::GetStatusRequest request;
  request.set_cluster("elsewhere");
  v1::GetStatusResponse response;
  const grpc::Status status = Call(&v1::AdminService::Stub::GetStatus, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("serves \"backup\", \"files\""));
}

TEST_F(ClustersTest, WhereThereIsNoneYetItIsAQuestionOfTime) {
  StartMany({});
  EXPECT_EQ(EndOf(HelloTo("files", "node-1")).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ClustersTest, ACallNeedNotNameTheOnlyOne) {
  StartMany({"files"});
  const auto stream = Open(HelloTo("files", "node-1"));
  Await("", {"node-1"});
}

TEST_F(ClustersTest, ANameIsGivenOnce) {
  StartMany({"files"});
  const std::shared_ptr<Cluster> first = daemon_->Find("files");
  absl::StatusOr<Cluster::Parts> parts = PartsOf("files", "dry_run");
  ASSERT_TRUE(parts.ok());
  const absl::Status again = daemon_->Add(*std::move(parts)).status();
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  EXPECT_EQ(daemon_->Find("files"), first);
  const auto stream = Open(HelloTo("files", "node-1"));
  Await("files", {"node-1"});  // the first one goes on
}

TEST_F(ClustersTest, OneThatIsTakenAwayEndsItsStreamsAndNoOthers) {
  StartMany({"backup", "files"});
  const auto gone = Open(HelloTo("files", "node-1")), stays = Open(HelloTo("backup", "node-2"));
  v1::WatchDecisionsRequest request;
  request.set_cluster("files");
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  const auto watch = admin_->WatchDecisions(&context, request);
  Await("files", {"node-1"});
  Await("backup", {"node-2"});

  daemon_->Remove("files");

  const grpc::Status ended = EndOf(*gone);
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(ended.error_message(), HasSubstr("no longer run here"));
  v1::WatchDecisionsResponse response;
  while (watch->Read(&response)) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stays->rpc->Write(Load(1, 50));
  Await("backup", {"node-2"});
  EXPECT_EQ(EndOf(HelloTo("files", "node-1")).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ClustersTest, WhoHoldsOneThatWasTakenAwayIsToldThatItIsOver) {
  StartMany({"files"});
  const std::shared_ptr<Cluster> held = daemon_->Find("files");
  daemon_->Remove("files");
  EXPECT_TRUE(absl::IsUnavailable(held->admin().ReadStatus().status()));
}

TEST_F(ClustersTest, APolicyThatComesAfterTheEndHarmsNobody) {
  StartMany({"files"});
  const std::shared_ptr<Cluster> held = daemon_->Find("files");
  daemon_->Remove("files");
  std::string yaml = held->policy().yaml();
  yaml.replace(yaml.find("max: 4"), 6, "max: 5");
  EXPECT_TRUE(held->policy().Apply(yaml, "policy").ok());
}

TEST_F(ClustersTest, WhoWouldWatchOneThatWasTakenAwayIsToldThatItIsOver) {
  StartMany({"files"});
  const std::shared_ptr<Cluster> held = daemon_->Find("files");
  daemon_->Remove("files");
  class Nobody final : public DecisionListener {
    void Offer(const Published&) override {}
  };
  EXPECT_TRUE(absl::IsUnavailable(held->feed().Subscribe(std::make_shared<Nobody>())));
}

TEST_F(ClustersTest, TheProcessIsHealthyAsLongAsOneLoopIs) {
  StartMany({"backup", "files"});
  ASSERT_TRUE(ComesTrue([&] { return daemon_->CheckHealth().ok(); }));
  daemon_->Find("backup")->StopDeciding();
  ASSERT_TRUE(ComesTrue([&] { return !daemon_->Find("backup")->Health().ok(); })) << "its last decision gets too old";
  EXPECT_TRUE(daemon_->CheckHealth().ok());
  daemon_->Find("files")->StopDeciding();
  ASSERT_TRUE(ComesTrue([&] { return !daemon_->CheckHealth().ok(); }));
  EXPECT_THAT(std::string(daemon_->CheckHealth().message()), HasSubstr("cluster files: the last decision is"));
}

TEST_F(ClustersTest, EachHasItsOwnSeriesOfTheSameMetrics) {
  StartMany({"backup", "files"});
  const std::string metrics = Fetch("GET /metrics");
  EXPECT_THAT(metrics, AllOf(HasSubstr("headroom_nodes_max{cluster=\"backup\"} 4"),
                             HasSubstr("headroom_nodes_max{cluster=\"files\"} 4")));
  const std::string type = "# TYPE headroom_nodes_max gauge";
  ASSERT_NE(metrics.find(type), std::string::npos);
  EXPECT_EQ(metrics.find(type), metrics.rfind(type)) << "a family is described once";
}

TEST_F(ClustersTest, OneAloneHasNoLabel) {
  Start("dry_run");
  EXPECT_THAT(Fetch("GET /metrics"), Not(HasSubstr("cluster=")));
}

}  // namespace
}  // namespace headroom
