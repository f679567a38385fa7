#include "controller/server/standby.h"

#include <chrono>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "controller/base/address.h"
#include "controller/server/port.h"
#include "controller/wire/leader_word.h"
#include "headroom/v1/admin.grpc.pb.h"
#include "headroom/v1/load.grpc.pb.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

class StandbyTest : public ::testing::Test {
 protected:
  StandbyTest() : port_(*ChoosePort(::testing::TempDir())) {
    standby_ = Open();
    channel_ = grpc::CreateChannel(HostPort("127.0.0.1", port_), grpc::InsecureChannelCredentials());
  }
  absl::StatusOr<std::unique_ptr<Standby>> Open() {
    return Standby::Start({.listen = "127.0.0.1",
                           .grpc_port = port_,
                           .version = "test",
                           .credentials = grpc::InsecureServerCredentials(),
                           .leader = [this] { return leader_; }});
  }
  static void Patiently(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  }
  static std::string LeaderIn(const grpc::ClientContext& context) {
    EXPECT_TRUE(LeaderWordIn(context).stands_by);
    return LeaderWordIn(context).leader;
  }

  int port_;
  std::string leader_ = "10.0.0.3:7600";
  absl::StatusOr<std::unique_ptr<Standby>> standby_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(StandbyTest, SendsAnOperatorToTheLeader) {
  ASSERT_TRUE(standby_.ok()) << standby_.status();
  grpc::ClientContext context;
  Patiently(context);
  v1::GetStatusResponse response;
  const grpc::Status status = v1::AdminService::NewStub(channel_)->GetStatus(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "this controller stands by; 10.0.0.3:7600 leads");
  EXPECT_EQ(LeaderIn(context), "10.0.0.3:7600");
}

TEST_F(StandbyTest, SendsANodeThereBeforeItHasSaidAnything) {
  ASSERT_TRUE(standby_.ok()) << standby_.status();
  grpc::ClientContext context;
  Patiently(context);
  const auto stream = v1::LoadService::NewStub(channel_)->Report(&context);
  v1::Directive directive;
  EXPECT_FALSE(stream->Read(&directive));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(LeaderIn(context), "10.0.0.3:7600");
}

TEST_F(StandbyTest, SaysWhenNobodyIsKnownToLead) {
  leader_ = "";
  grpc::ClientContext context;
  Patiently(context);
  v1::GetStatusResponse response;
  const grpc::Status status = v1::AdminService::NewStub(channel_)->GetStatus(&context, {}, &response);
  EXPECT_THAT(status.error_message(), HasSubstr("none is known to lead"));
  EXPECT_EQ(LeaderIn(context), "");
}

TEST_F(StandbyTest, AHolderThatIsNoEndpointLeadsNobodyAnywhere) {
  leader_ = "l\xC3\xA9-bas:7600";
  grpc::ClientContext context;
  Patiently(context);
  v1::GetStatusResponse response;
  const grpc::Status status = v1::AdminService::NewStub(channel_)->GetStatus(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("none is known to lead"));
  EXPECT_EQ(LeaderIn(context), "");
}

TEST_F(StandbyTest, ItsPortIsFreeOnceItHasEnded) {
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kUnavailable);
  standby_ = absl::UnavailableError("ended");
  EXPECT_TRUE(Open().ok());
}

}  // namespace
}  // namespace headroom
