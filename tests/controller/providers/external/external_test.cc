#include "controller/providers/external.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/external/fake_platform.h"

namespace headroom {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);

v1::GetCapabilitiesResponse Can(const std::string& words) {
  v1::GetCapabilitiesResponse can;
  can.set_named_termination(true);
  can.set_fenced(words.find("fenced") != std::string::npos);
  can.set_evacuates(words.find("evacuates") != std::string::npos);
  return can;
}

std::unique_ptr<ExternalProvider> Open(const FakePlatform& platform) {
  auto provider =
      ExternalProvider::Open({.address = platform.address(), .cluster = "c", .wait = [](absl::Duration) {}});
  EXPECT_TRUE(provider.ok()) << provider.status();
  return provider.ok() ? *std::move(provider) : nullptr;
}

TEST(ExternalProvider, SaysThatNobodyAnswers) {
  const auto provider = ExternalProvider::Open({.address = "127.0.0.1:1", .open_timeout = absl::Milliseconds(100)});
  EXPECT_EQ(provider.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(provider.status().message()),
              AllOf(HasSubstr("nobody answers at 127.0.0.1:1"), HasSubstr("correct provider.external.address")));
}

TEST(ExternalProvider, SaysThatSomebodyElseAnswers) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  v1::ProviderService::Service nothing_is_implemented;
  builder.RegisterService(&nothing_is_implemented);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto provider = ExternalProvider::Open({.address = "127.0.0.1:" + std::to_string(port)});
  EXPECT_EQ(provider.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(provider.status().message()), HasSubstr("does not speak headroom.v1.ProviderService"));
}

TEST(ExternalProvider, AMachineThatHoldsDataIsEvacuatedBeforeItGoes) {
  FakePlatform platform(Can("evacuates"), 3);
  const auto provider = Open(platform);
  platform.SetData("machine-2", 12345);
  const absl::Status early = provider->Terminate("machine-2", kPatience);
  EXPECT_EQ(early.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(early.message()),
              AllOf(HasSubstr("12345 bytes are to be moved"), HasSubstr("waits for two copies in zone b")));
  EXPECT_EQ(platform.CountOf("TerminateMachine"), 0);
  platform.SetData("machine-2", 0);
  EXPECT_TRUE(provider->Terminate("machine-2", kPatience).ok());
  EXPECT_THAT(platform.nodes(), ElementsAre("machine-1", "machine-3"));
  EXPECT_TRUE(provider->Terminate("machine-2", kPatience).ok()) << "gone is gone";
}

TEST(ExternalProvider, AMachineThatGoesByItselfWhileItIsEvacuatedIsNotRunning) {
  FakePlatform platform(Can("evacuates"), 3);
  const auto provider = Open(platform);
  platform.SetData("machine-2", 500);
  EXPECT_EQ(provider->Terminate("machine-2", kPatience).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(provider->List(kPatience)->at(1).state, Machine::State::kRunning) << "it may be wanted again";
  platform.SetState("machine-2", v1::MACHINE_STATE_STOPPING);
  EXPECT_EQ(provider->List(kPatience)->at(1).state, Machine::State::kStopping) << "else it counts as capacity";
}

TEST(ExternalProvider, AnEvacuationWhoseAnswerIsLostGoesOnAndWhoeverLeadsNextEndsTheMachine) {
  FakePlatform platform(Can("evacuates"), 3);
  platform.SetData("machine-2", 500);
  platform.Inject(
      {.call = "EvacuateMachine", .answer = {grpc::StatusCode::DEADLINE_EXCEEDED, "no answer"}, .after_effect = true});
  EXPECT_FALSE(Open(platform)->Terminate("machine-2", kPatience).ok());
  const auto next = Open(platform);
  EXPECT_EQ(next->List(kPatience)->at(1).state, Machine::State::kRunning) << "or nobody asks for its end again";
  platform.SetData("machine-2", 0);
  EXPECT_TRUE(next->Terminate("machine-2", kPatience).ok());
  EXPECT_THAT(platform.nodes(), ElementsAre("machine-1", "machine-3"));
}

TEST(ExternalProvider, NothingIsEvacuatedWhereMachinesHoldNone) {
  FakePlatform platform(Can(""), 3);
  const auto provider = Open(platform);
  EXPECT_TRUE(provider->Terminate("machine-2", kPatience).ok());
  EXPECT_EQ(platform.CountOf("EvacuateMachine"), 0);
}

TEST(ExternalProvider, AnOlderTermIsToldOfTheNewerOne) {
  FakePlatform platform(Can("fenced"), 3);
  const auto newer = Open(platform), older = Open(platform);
  EXPECT_EQ(newer->Fence(7, kPatience).value(), 7);
  EXPECT_EQ(older->Fence(6, kPatience).value(), 7);
  EXPECT_EQ(older->Terminate("machine-1", kPatience).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(newer->Terminate("machine-1", kPatience).ok());
}

TEST(ExternalProvider, OneThatIsNotFencedIsNotAskedToBe) {
  FakePlatform platform(Can(""), 3);
  EXPECT_EQ(Open(platform)->Fence(7, kPatience).value(), 7);
  EXPECT_EQ(platform.CountOf("Fence"), 0);
}

TEST(ExternalProvider, EveryCodeBecomesARemedy) {
  struct Case {
    grpc::StatusCode said;
    absl::StatusCode means;
  };
  using Said = grpc::StatusCode;
  using Means = absl::StatusCode;
  for (const Case& one :
       {Case{Said::RESOURCE_EXHAUSTED, Means::kResourceExhausted}, Case{Said::UNAVAILABLE, Means::kUnavailable},
        Case{Said::INTERNAL, Means::kUnavailable}, Case{Said::UNKNOWN, Means::kUnavailable},
        Case{Said::ABORTED, Means::kUnavailable}, Case{Said::DEADLINE_EXCEEDED, Means::kDeadlineExceeded},
        Case{Said::UNAUTHENTICATED, Means::kPermissionDenied}, Case{Said::PERMISSION_DENIED, Means::kPermissionDenied},
        Case{Said::UNIMPLEMENTED, Means::kFailedPrecondition}, Case{Said::DATA_LOSS, Means::kFailedPrecondition},
        Case{Said::FAILED_PRECONDITION, Means::kFailedPrecondition},
        Case{Said::INVALID_ARGUMENT, Means::kInvalidArgument}}) {
    FakePlatform platform(Can(""), 1);
    const auto provider = Open(platform);
    platform.Inject({.call = "LaunchMachine", .answer = {one.said, "one\nthing"}, .times = 100});
    const absl::Status told = provider->Launch({.id = "a"}, kPatience).status();
    EXPECT_EQ(told.code(), one.means) << one.said;
    EXPECT_EQ(told.message(), "one thing") << "one sentence";
  }
}

}  // namespace
}  // namespace headroom
