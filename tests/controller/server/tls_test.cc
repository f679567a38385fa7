// The port of nodes and operators with TLS: who may do what, and files that change under load.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "gmock/gmock.h"
#include <google/protobuf/descriptor.h>

#include "controller/wire/dial.h"
#include "tests/controller/server/daemon_case.h"
#include "tests/controller/wire/key_folder.h"

namespace headroom {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<std::string> kControllerNames = {"DNS:localhost", "IP:127.0.0.1"};

class TlsTest : public DaemonTest {
 protected:
  TlsTest() {
    credentials_ = server_side_.get();
    Start("live");
  }
  ~TlsTest() override { daemon_.reset(); }  // before the credentials of its port
  // As whom the next calls are made.
  void Become(const std::vector<std::string>& names) {
    const auto credentials = KeyFolder(authority_, names).Open();
    const auto channel = Dial(Endpoint(), {.timeout = kPatience, .credentials = credentials.get()});
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *channel;
    load_ = v1::LoadService::NewStub(channel_);
    admin_ = v1::AdminService::NewStub(channel_);
  }
  std::string Endpoint() const { return HostPort("127.0.0.1", daemon_->grpc_port()); }
  grpc::Status Status() {
    v1::GetStatusResponse response;
    return Call(&v1::AdminService::Stub::GetStatus, v1::GetStatusRequest(), &response);
  }
  // What a call of this method with an empty message ends with.
  grpc::Status EmptyCall(const std::string& method) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    grpc::CompletionQueue queue;
    const auto call = grpc::GenericStub(channel_).PrepareCall(&context, method, &queue);
    void* tag = nullptr;
    bool ok = false;
    call->StartCall(nullptr);
    queue.Next(&tag, &ok);
    const grpc::Slice nothing;
    call->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), nullptr);
    queue.Next(&tag, &ok);
    grpc::Status status;
    call->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    return status;
  }

  const Authority authority_{"the authority"};
  KeyFolder server_keys_{authority_, kControllerNames};
  const std::unique_ptr<WireCredentials> server_side_ = server_keys_.Open();
};

TEST_F(TlsTest, ANodeReportsAsItself) {
  Become({"URI:spiffe://headroom/test/node/node-1"});
  const auto stream = Open(Hello("node-1"));
  v1::Directive greeting;
  EXPECT_TRUE(stream->rpc->Read(&greeting));
}

TEST_F(TlsTest, ANodeReportsAsNobodyElse) {
  Become({"URI:spiffe://headroom/test/node/node-1"});
  const grpc::Status as_another = EndOf(Hello("node-2"));
  EXPECT_EQ(as_another.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(as_another.error_message(), AllOf(HasSubstr("that of node \"node-1\""), HasSubstr("as node \"node-2\"")));
  v1::LoadReport balancer = Hello("node-1");
  balancer.mutable_hello()->set_role(v1::ROLE_BALANCER);
  EXPECT_EQ(EndOf(balancer).error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(TlsTest, WhoIsNoNodeOfThisClusterReportsNot) {
  for (const std::vector<std::string>& names : std::vector<std::vector<std::string>>{
           {"URI:spiffe://headroom/other/node/node-1"},
           {"URI:spiffe://headroom/test/operator/node-1"},
           {"URI:spiffe://headroom/test/balancer/node-1"},
           {"URI:spiffe://headroom/test/node/node-1", "URI:spiffe://headroom/test/node/node-2"},
           {"URI:spiffe://elsewhere/test/node/node-1"},
           {"DNS:node-1"}}) {
    Become(names);
    EXPECT_EQ(EndOf(Hello("node-1")).error_code(), grpc::StatusCode::PERMISSION_DENIED) << names.front();
  }
}

TEST_F(TlsTest, OperatorsAndAdminsOperate) {
  for (const char* name : {"URI:spiffe://headroom/test/operator/ann", "URI:spiffe://headroom/test/admin/ann"}) {
    Become({name});
    const grpc::Status status = Status();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

// Also of methods that are yet to come: a new one that asks nobody fails here.
TEST_F(TlsTest, NoMethodOfTheAdminServiceIsForNodesOrStrangers) {
  const google::protobuf::ServiceDescriptor* const service =
      v1::GetStatusRequest::descriptor()->file()->FindServiceByName("AdminService");
  ASSERT_GT(service->method_count(), 10);
  for (const char* name : {"URI:spiffe://headroom/test/node/node-1", "URI:spiffe://headroom/test/balancer/lb-1",
                           "URI:spiffe://headroom/other/admin/ann", "DNS:localhost"}) {
    Become({name});
    for (int i = 0; i < service->method_count(); ++i) {
      const grpc::Status status = EmptyCall(absl::StrCat("/", service->full_name(), "/", service->method(i)->name()));
      EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED)
          << service->method(i)->name() << " as " << name;
    }
  }
}

// One rotation after another, its two files in two renames with a look between; every connection stays, every call is
// answered, and every new connection comes about.
TEST_F(TlsTest, NoCallFailsWhileTheFilesChangeTwentyTimes) {
  KeyFolder operator_keys(authority_, {"URI:spiffe://headroom/test/operator/ann"});
  const auto client_side = operator_keys.Open();
  Become({"URI:spiffe://headroom/test/node/node-1"});
  const auto stream = Open(Hello("node-1"));
  Become({"URI:spiffe://headroom/test/operator/ann"});
  std::atomic<bool> done{false};
  std::atomic<int> on_one_connection{0}, on_new_ones{0}, failed{0};
  std::thread steady([&] {
    while (!done) ++(Status().ok() ? on_one_connection : failed);
  });
  std::thread newcomer([&] {
    while (!done) {
      const auto channel = Dial(Endpoint(), {.timeout = kPatience, .credentials = client_side.get()});
      grpc::ClientContext context;
      v1::GetStatusResponse response;
      const bool ok = channel.ok() && v1::AdminService::NewStub(*channel)->GetStatus(&context, {}, &response).ok();
      ++(ok ? on_new_ones : failed);
    }
  });
  const absl::Cleanup join = [&] {
    done = true;
    steady.join();
    newcomer.join();
  };
  for (int turn = 1; turn <= 20; ++turn) {
    const int calls_before = on_new_ones;
    for (const auto& [keys, side, names] :
         {std::tuple(&server_keys_, server_side_.get(), kControllerNames),
          std::tuple(&operator_keys, client_side.get(),
                     std::vector<std::string>{"URI:spiffe://headroom/test/operator/ann"})}) {
      const Issued next = authority_.Issue(names);
      KeyFolder::Replace(keys->files().certificate, next.certificate);
      side->Look();
      KeyFolder::Replace(keys->files().key, next.key);
      side->Look();
      ASSERT_EQ(side->Material()->key, next.key);
    }
    EXPECT_TRUE(stream->rpc->Write(Load(static_cast<uint64_t>(turn), turn)));
    const absl::Time deadline = absl::Now() + kPatience;
    while (on_new_ones < calls_before + 2 && failed == 0 && absl::Now() < deadline)
      absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(failed, 0);
  EXPECT_GE(on_new_ones, 40);
  EXPECT_GT(on_one_connection, 0);
  EXPECT_TRUE(ComesToHave(20)) << "the stream of the beginning is the one that reports";
}

class ExposureTest : public DaemonTest {};

TEST_F(ExposureTest, PlaintextWhereOthersReachItIsRefusedUnlessItIsAskedFor) {
  listen_ = "0.0.0.0";
  const absl::Status refused = TryStart("dry_run").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("--tls-cert"), HasSubstr("--insecure")));
  plaintext_ = Daemon::Options::Plaintext::kAnywhere;
  EXPECT_TRUE(TryStart("dry_run").ok());
}

TEST_F(ExposureTest, WithTlsItListensAnywhere) {
  const Authority authority("the authority");
  const KeyFolder keys(authority, kControllerNames);
  const auto credentials = keys.Open();
  credentials_ = credentials.get();
  listen_ = "0.0.0.0";
  EXPECT_TRUE(TryStart("dry_run").ok());
}

}  // namespace
}  // namespace headroom
