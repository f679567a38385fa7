#include "controller/server/operator/event_recorder.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom {
namespace {

using kubernetes::FakeApiServer;
using kubernetes::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kEvents[] = "/apis/events.k8s.io/v1/namespaces/east/events";
constexpr absl::Duration kPatience = absl::Seconds(20);
const EventTarget kFiles{"east", "files", "uid-1"};

ClusterEvent Event(const std::string& reason) {
  return {ClusterEvent::Type::kWarning, reason, "RaiseAlarm", "why"};
}

bool Soon(const std::function<bool()>& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoSeconds(kPatience);
  while (!is_so() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return is_so();
}

class EventRecorderTest : public ::testing::Test {
 protected:
  EventRecorderTest() {
    kubernetes::Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *kubernetes::Api::Connect(std::move(access), {});
    recorder_ = std::make_unique<EventRecorder>(
        *api_, EventRecorder::Options{.instance = "headroomd-0",
                                      .pause = absl::Milliseconds(5),
                                      .pause_max = absl::Milliseconds(20),
                                      .say = [this](absl::string_view text) { said_.emplace_back(text); }});
  }
  std::vector<std::string> Reasons() const {
    std::vector<std::string> reasons;
    for (const std::string& name : server_.Names(kEvents))
      reasons.push_back(server_.Get(absl::StrCat(kEvents, "/", name))["reason"]);
    return reasons;
  }

  FakeApiServer server_;
  std::unique_ptr<kubernetes::Api> api_;
  std::vector<std::string> said_;  // by the recorder's thread: to be read once it has ended
  std::unique_ptr<EventRecorder> recorder_;
};

TEST_F(EventRecorderTest, AnEventStandsAtTheServer) {
  recorder_->Record(kFiles, Event("AlarmAtMax"));
  ASSERT_TRUE(Soon([&] { return recorder_->counts().written == 1; }));
  EXPECT_THAT(Reasons(), ElementsAre("AlarmAtMax"));
}

TEST_F(EventRecorderTest, ADecisionIsRecordedByItsListener) {
  const auto listener = recorder_->ListenerOf(kFiles);
  Decision decision;
  decision.actions = {{.reason = MakeReason(ReasonCode::kLaunchForDemand, 6, "connections"), .body = LaunchNode{}}};
  listener->Offer({.decision = std::make_shared<const Decision>(decision)});
  ASSERT_TRUE(Soon([&] { return recorder_->counts().written == 1; }));
  EXPECT_THAT(Reasons(), ElementsAre("LaunchForDemand"));
  recorder_.reset();
  listener->Offer({.decision = std::make_shared<const Decision>(decision)});
  EXPECT_EQ(server_.Calls()["create events"], 1);
}

TEST_F(EventRecorderTest, AServerThatIsAwayForAMomentGetsItLater) {
  server_.Inject({.method = "POST", .code = 503, .times = EventSeries::kTriesMax - 1});
  recorder_->Record(kFiles, Event("A"));
  recorder_->Record(kFiles, Event("B"));
  ASSERT_TRUE(Soon([&] { return Reasons().size() == 2; }));
  recorder_.reset();
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_THAT(said_[0], HasSubstr("Events cannot be written: POST /apis/events.k8s.io"));
}

TEST_F(EventRecorderTest, AnAnswerThatIsLostMakesNoSecondEvent) {
  server_.Inject({.method = "POST", .code = 0, .after_effect = true});
  recorder_->Record(kFiles, Event("A"));
  ASSERT_TRUE(Soon([&] { return recorder_->counts().written == 1; }));
  EXPECT_EQ(server_.Calls()["create events"], 2);
  EXPECT_THAT(Reasons(), ElementsAre("A"));
}

TEST_F(EventRecorderTest, WhatIsGivenUpIsCountedAndTheNextIsTried) {
  server_.Inject({.method = "POST", .code = 503, .times = EventSeries::kTriesMax});
  recorder_->Record(kFiles, Event("A"));
  ASSERT_TRUE(Soon([&] { return recorder_->counts().dropped == 1; }));
  recorder_->Record(kFiles, Event("B"));
  ASSERT_TRUE(Soon([&] { return Reasons() == std::vector<std::string>{"B"}; }));
}

TEST_F(EventRecorderTest, AMissingPermissionIsSaidOnceAndNotTriedAgain) {
  server_.Inject({.method = "POST", .code = 403, .times = 3});
  for (const char* reason : {"A", "B", "C"}) recorder_->Record(kFiles, Event(reason));
  ASSERT_TRUE(Soon([&] { return recorder_->counts().dropped == 3; }));
  EXPECT_EQ(server_.Calls()["create events"], 3);
  recorder_->Record(kFiles, Event("D"));
  ASSERT_TRUE(Soon([&] { return Reasons() == std::vector<std::string>{"D"}; }));
  recorder_.reset();
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_THAT(said_[0], HasSubstr("the roles that headroomd needs"));
}

TEST_F(EventRecorderTest, RecordingNeverWaitsAndWhatIsTooMuchIsCounted) {
  server_.Inject({.method = "POST", .never_answers = true});
  recorder_->Record(kFiles, Event("A"));
  ASSERT_TRUE(Soon([&] { return server_.Calls()["create events"] == 1; }));
  const auto began = std::chrono::steady_clock::now();
  for (size_t i = 0; i < EventRecorder::kQueueMax + 7; ++i) recorder_->Record(kFiles, Event("B"));
  EXPECT_EQ(recorder_->counts().dropped, 7);
  recorder_.reset();
  EXPECT_LT(absl::FromChrono(std::chrono::steady_clock::now() - began), absl::Seconds(4)) << "an answer has 5 s";
}

TEST_F(EventRecorderTest, NoMoreThanSoManyWritesASecond) {
  constexpr int kCount = 8;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kCount; ++i) recorder_->Record(kFiles, Event(absl::StrCat("R", i)));
  ASSERT_TRUE(Soon([&] { return recorder_->counts().written == kCount; }));
  const absl::Duration took = absl::FromChrono(std::chrono::steady_clock::now() - began);
  EXPECT_GE(took, absl::Milliseconds(550)) << "5 at once, and 3 more at 200 ms each";
}

}  // namespace
}  // namespace headroom
