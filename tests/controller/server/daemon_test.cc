#include "controller/server/daemon.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/runtime/sqlite.h"
#include "controller/runtime/sqlite_journal.h"
#include "tests/controller/runtime/temp_dir.h"
#include "tests/controller/server/daemon_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(DaemonTest, DecidesNothingBeforeTheFirstNodesAreThere) {
  // A list in this time would show an empty cluster, and nodes.min would be launched beside the first nodes.
  const auto failed = TryStart("live", [this] {
    for (const absl::Time end = absl::Now() + absl::Milliseconds(300); absl::Now() < end && listed_ == 0;) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    return absl::UnavailableError("no more processes");
  });
  EXPECT_EQ(failed.status(), absl::UnavailableError("no more processes"));
  EXPECT_EQ(listed_, 0);
  EXPECT_EQ(touched_, 0);
}

TEST_F(DaemonTest, ServesOnAnIpV6AddressToo) {
  boost::asio::io_context context;
  boost::system::error_code missing;
  boost::asio::ip::tcp::acceptor probe(context);
  probe.open(boost::asio::ip::tcp::v6(), missing);
  if (!missing) probe.bind({boost::asio::ip::address_v6::loopback(), 0}, missing);
  if (missing) GTEST_SKIP() << "NOT TESTED: this machine has no IPv6: " << missing.message();
  listen_ = "::1";
  Start("dry_run");
  EXPECT_TRUE(Nodes().empty());
}

TEST_F(DaemonTest, ABadHelloEndsTheStreamWithASentence) {
  Start("live");
  v1::LoadReport version = Hello("node-1"), cluster = Hello("node-1"), id = Hello("Node 1"), role = Hello("node-1");
  version.mutable_hello()->set_protocol_version(9);
  cluster.mutable_hello()->set_cluster("other");
  role.mutable_hello()->clear_role();
  EXPECT_EQ(EndOf(version).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(EndOf(version).error_message(), HasSubstr("speaks 1"));
  EXPECT_EQ(EndOf(cluster).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(EndOf(cluster).error_message(), HasSubstr("serves \"test\""));
  EXPECT_EQ(EndOf(id).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(EndOf(role).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(EndOf(Load(1, 5)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(Nodes().empty());
}

TEST_F(DaemonTest, ANodeForWhichThereIsNoRoomIsToldSo) {
  Start("dry_run");
  for (size_t i = 0; i < Fleet::kNodesMax; ++i) {
    ASSERT_TRUE(
        daemon_->Find("test")->poster()(NodeJoined{absl::StrCat("node-", 100'000 + i), {.boot_id = "boot"}}).ok());
  }
  const grpc::Status status = EndOf(Hello("one-more"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("takes no more"));
}

TEST_F(DaemonTest, ABadReportIsDroppedWholeAndTheStreamStaysUp) {
  Start("live");
  const auto stream = Open(Hello("node-1"));
  v1::LoadReport bad = Load(2, 77);
  bad.mutable_node()->mutable_work()->set_completed_count(-1);
  stream->rpc->Write(Load(1, 50));
  ASSERT_TRUE(ComesToHave(50));
  stream->rpc->Write(bad);
  stream->rpc->Write(Load(1, 66));  // replayed
  stream->rpc->Write(Load(3, 51));
  EXPECT_TRUE(ComesToHave(51));
  stream->context.TryCancel();
}

TEST_F(DaemonTest, ANewerStreamTakesOverAndTheNodeStaysConnected) {
  Start("live");
  const auto older = Open(Hello("node-1"));
  v1::Directive directive;
  ASSERT_TRUE(older->rpc->Read(&directive));
  EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_LIVE);
  const auto newer = Open(Hello("node-1"));
  while (older->rpc->Read(&directive)) {
  }
  EXPECT_EQ(older->rpc->Finish().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  newer->rpc->Write(Load(1, 42));
  EXPECT_TRUE(ComesToHave(42));
  newer->context.TryCancel();
}

TEST_F(DaemonTest, AHigherTermAtANodeMakesTheControllerTakeAHigherOne) {
  Start("live");
  v1::LoadReport hello = Hello("node-1");
  hello.mutable_hello()->set_term_max_seen(41);
  const auto stream = Open(hello);
  v1::Directive directive;
  while (directive.term() <= 41) ASSERT_TRUE(stream->rpc->Read(&directive));
  EXPECT_EQ(directive.term(), 42);
  stream->context.TryCancel();
}

TEST_F(DaemonTest, AnAbsurdTermAtOneNodeLocksNoOtherNodeOut) {
  Start("live");
  v1::LoadReport hello = Hello("node-1");
  hello.mutable_hello()->set_term_max_seen(int64_t{1} << 53);
  const auto absurd = Open(hello);
  v1::Directive directive;
  ASSERT_TRUE(absurd->rpc->Read(&directive));
  // The term that was said may be raised a moment later: a second one that is believed comes after it.
  hello = Hello("node-2");
  hello.mutable_hello()->set_term_max_seen(41);
  const auto sane = Open(hello);
  while (directive.term() <= 41) ASSERT_TRUE(sane->rpc->Read(&directive));
  EXPECT_EQ(directive.term(), 42);
  absurd->context.TryCancel();
  sane->context.TryCancel();
}

TEST_F(DaemonTest, AHoldNeedsAReasonIsCheckedWithoutBeingSetAndIsDoneOnce) {
  Start("dry_run");
  using Stub = v1::AdminService::Stub;
  v1::SetHoldRequest request;
  v1::SetHoldResponse response;
  request.set_direction(v1::HOLD_DIRECTION_DOWN);
  EXPECT_EQ(Call(&Stub::SetHold, request, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_reason("backup");
  request.mutable_duration()->set_seconds(int64_t{100} * 24 * 3600);
  EXPECT_EQ(Call(&Stub::SetHold, request, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_duration()->set_seconds(600);
  request.set_validate_only(true);
  ASSERT_TRUE(Call(&Stub::SetHold, request, &response).ok());
  EXPECT_EQ(response.holds_size(), 0);
  request.set_validate_only(false);
  request.set_request_id("once");
  ASSERT_TRUE(Call(&Stub::SetHold, request, &response).ok());
  ASSERT_EQ(response.holds_size(), 1);
  EXPECT_EQ(response.holds(0).reason(), "backup");
  v1::SetHoldResponse again;
  ASSERT_TRUE(Call(&Stub::SetHold, request, &again).ok());
  EXPECT_EQ(again.SerializeAsString(), response.SerializeAsString());
  request.set_reason("another");
  EXPECT_EQ(Call(&Stub::SetHold, request, &again).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(DaemonTest, AHoldLastsAsLongAsItSaysWhenTheClockWasSetBack) {
  ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  clock_ = &clock;
  Start("dry_run");
  using Stub = v1::AdminService::Stub;
  v1::GetStatusResponse status;
  for (const absl::Time end = absl::Now() + kPatience; !status.has_last_tick_time() && absl::Now() < end;) {
    ASSERT_TRUE(Call(&Stub::GetStatus, v1::GetStatusRequest(), &status).ok());
  }
  ASSERT_TRUE(status.has_last_tick_time());
  clock.Advance(-absl::Hours(2));
  v1::SetHoldRequest request;
  v1::SetHoldResponse response;
  request.set_direction(v1::HOLD_DIRECTION_DOWN);
  request.set_reason("backup");
  request.mutable_duration()->set_seconds(3600);
  ASSERT_TRUE(Call(&Stub::SetHold, request, &response).ok());
  ASSERT_EQ(response.holds_size(), 1);
  EXPECT_GE(response.holds(0).expire_time().seconds() - status.last_tick_time().seconds(), 3600);
  daemon_.reset();
}

TEST_F(DaemonTest, AHoldThatWasAnsweredIsOnDisk) {
  TempDir dir;
  SqliteJournal::Options options;
  options.state_dir = dir.path();
  options.before_write = [] { absl::SleepFor(absl::Milliseconds(50)); };  // a disk that takes its time
  journal_ = SqliteJournal::Open(std::move(options)).value();
  Start("dry_run");
  v1::SetHoldRequest request;
  v1::SetHoldResponse response;
  request.set_direction(v1::HOLD_DIRECTION_DOWN);
  request.set_reason("backup of the archive");
  ASSERT_TRUE(Call(&v1::AdminService::Stub::SetHold, request, &response).ok());
  const auto file = SqliteConnection::Open(dir.path() + "/journal.db", SqliteConnection::Access::kRead).value();
  const absl::StatusOr<int64_t> events =
      file->Number("SELECT COUNT(*) FROM events WHERE INSTR(body, CAST('backup of the archive' AS BLOB)) > 0");
  EXPECT_EQ(events.value_or(-1), 1);
  daemon_.reset();
}

TEST_F(DaemonTest, AnUnknownNodeIsNotFoundAndTheNearOneIsNamed) {
  Start("dry_run");
  const auto stream = Open(Hello("node-1"));
  stream->rpc->Write(Load(1, 3));
  ASSERT_TRUE(ComesToHave(3));
  v1::DrainNodeRequest request;
  v1::DrainNodeResponse response;
  request.set_node_id("nod-1");
  request.set_reason("test");
  const grpc::Status status = Call(&v1::AdminService::Stub::DrainNode, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("did you mean node-1?"));
  stream->context.TryCancel();
}

TEST_F(DaemonTest, APolicyThatNeedsARestartIsRefusedAndTheOldOneStays) {
  Start("dry_run");
  v1::ApplyPolicyRequest request;
  v1::ApplyPolicyResponse response;
  std::string yaml = kPolicy;
  yaml.replace(yaml.find("MODE"), 4, "live");
  request.set_yaml(yaml);
  const grpc::Status status = Call(&v1::AdminService::Stub::ApplyPolicy, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("restart headroomd"));
  v1::GetPolicyResponse policy;
  ASSERT_TRUE(Call(&v1::AdminService::Stub::GetPolicy, v1::GetPolicyRequest(), &policy).ok());
  EXPECT_EQ(policy.policy().mode(), v1::MODE_DRY_RUN);
}

TEST_F(DaemonTest, TheFewestNodesCanChangeWithoutARestart) {
  Start("dry_run");
  v1::ApplyPolicyRequest request;
  v1::ApplyPolicyResponse response;
  std::string yaml = kPolicy;
  yaml.replace(yaml.find("MODE"), 4, "dry_run");
  yaml.replace(yaml.find("min: 1"), 6, "min: 2");
  request.set_yaml(yaml);
  const grpc::Status status = Call(&v1::AdminService::Stub::ApplyPolicy, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.changes(), ::testing::Contains("nodes.min: 1 -> 2"));
}

TEST_F(DaemonTest, ItsPagesServeProbesAndPrometheus) {
  Start("dry_run");
  const absl::Time end = absl::Now() + kPatience;
  while (!daemon_->CheckHealth().ok() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_THAT(Fetch("GET /healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(Fetch("GET /"), HasSubstr("/metrics"));
  EXPECT_THAT(Fetch("GET /nowhere"), HasSubstr("404"));
  EXPECT_THAT(Fetch("POST /metrics"), HasSubstr("405"));
  const std::string metrics = Fetch("GET /metrics");
  for (const char* series :
       {"headroom_build_info{version=\"test\"} 1", "headroom_nodes{state=\"serving\"} 0", "headroom_nodes_max 4",
        "headroom_reports_rejected_total{reason=\"negative\"} 0", "headroom_loop_duration_seconds_bucket",
        "headroom_diagnosis{cause=\"none\"} 1", "headroom_alarm{code=\"alarm_at_max\"}",
        "headroom_scale_actions_total{kind=\"launch\",result=\"ok\"}", "headroom_config_last_reload_successful 1"}) {
    EXPECT_THAT(metrics, HasSubstr(series));
  }
  EXPECT_THAT(metrics, Not(HasSubstr("result=\"data_loss\""))) << "outcomes that never came are no series";
}

TEST_F(DaemonTest, AProbeOfTheHealthServiceIsAnswered) {
  Start("dry_run");
  const absl::Time end = absl::Now() + kPatience;
  while (!daemon_->CheckHealth().ok() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  // HealthCheckResponse{status: SERVING}.
  EXPECT_EQ(Raw("/grpc.health.v1.Health/Check", ""), std::string("\x08\x01"));
}

TEST_F(DaemonTest, AToolWithoutTheProtosFindsTheServicesByReflection) {
  Start("dry_run");
  // ServerReflectionRequest{list_services: "*"}.
  const std::string services = Raw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  for (const char* service : {"headroom.v1.LoadService", "headroom.v1.AdminService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(services, HasSubstr(service));
  }
}

TEST_F(DaemonTest, AWatcherSeesDecisionsAsTheyAreMade) {
  Start("dry_run");
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  const auto reader = admin_->WatchDecisions(&context, v1::WatchDecisionsRequest());
  v1::WatchDecisionsResponse first, second;
  ASSERT_TRUE(reader->Read(&first));
  ASSERT_TRUE(reader->Read(&second));
  EXPECT_GT(second.decision().sequence(), first.decision().sequence());
  context.TryCancel();
  reader->Finish();
}

}  // namespace
}  // namespace headroom
