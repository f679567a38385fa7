#include "controller/providers/kubernetes/pods.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {
namespace {

using ::testing::ElementsAre;

constexpr char kPods[] = "/api/v1/namespaces/storage/pods";
constexpr absl::Duration kPatience = absl::Seconds(20);

Json PodObject(bool ready) {
  return {{"metadata",
           {{"creationTimestamp", "2026-11-20T08:00:00Z"},
            {"labels", {{"app", "files"}, {"tier", "gold"}, {"pod-template-hash", "7d9f"}}},
            {"annotations", {{"controller.kubernetes.io/pod-deletion-cost", "-5"}}}}},
          {"spec", {{"nodeName", "worker-1"}}},
          {"status",
           {{"phase", "Running"},
            {"conditions",
             {{{"type", "PodScheduled"}, {"status", "True"}},
              {{"type", "Ready"}, {"status", ready ? "True" : "False"}}}}}}};
}

class PodsTest : public ::testing::Test {
 protected:
  PodsTest() {
    Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *Api::Connect(std::move(access), {});
    server_.Put(absl::StrCat(kPods, "/files-0"), PodObject(true));
  }
  void Watch() {
    watch_ = std::make_unique<PodWatch>(
        *api_, PodWatch::Options{.name_space = "storage",
                                 .selector = "app=files,tier in (gold)",
                                 .pause = absl::Milliseconds(10),
                                 .pause_max = absl::Milliseconds(40),
                                 .say = [this](absl::string_view text) { said_.emplace_back(text); }});
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto pods = watch_->Pods(kPatience);
    for (const Pod& pod : pods.value_or(std::vector<Pod>())) names.push_back(pod.name);
    return names;
  }
  // The world is as it should be within a time that no healthy machine needs.
  static bool Soon(const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoSeconds(kPatience);
    while (!is_so() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return is_so();
  }

  FakeApiServer server_;
  std::unique_ptr<Api> api_;
  std::vector<std::string> said_;  // by the watch's thread: to be read once it has ended
  std::unique_ptr<PodWatch> watch_;
};

TEST_F(PodsTest, APodIsReadAsItIs) {
  Json object = PodObject(true);
  object["metadata"]["name"] = "files-0";
  Pod pod = PodOf(object);
  EXPECT_EQ(pod.name, "files-0");
  EXPECT_EQ(pod.node, "worker-1");
  EXPECT_EQ(pod.labels.at("pod-template-hash"), "7d9f");
  EXPECT_EQ(pod.deletion_cost, -5);
  EXPECT_EQ(pod.created_at, absl::FromCivil(absl::CivilHour(2026, 11, 20, 8), absl::UTCTimeZone()));
  EXPECT_TRUE(pod.ready);
  object["metadata"]["deletionTimestamp"] = "2026-11-20T09:00:00Z";
  EXPECT_TRUE(PodOf(object).leaving);
  EXPECT_FALSE(PodOf(object).ready) << "it is on its way out";
  object["status"] = {{"phase", "SomethingNew"}, {"conditions", "none"}};
  EXPECT_FALSE(PodOf(object).ready);
  EXPECT_FALSE(PodOf(Json("nonsense")).ready);
}

TEST_F(PodsTest, WhatTheWatchTellsIsKnownWithoutFurtherLists) {
  Watch();
  EXPECT_THAT(Names(), ElementsAre("files-0"));
  server_.Put(absl::StrCat(kPods, "/files-1"), PodObject(false));
  EXPECT_TRUE(Soon([&] { return Names().size() == 2; }));
  server_.Delete(absl::StrCat(kPods, "/files-0"));
  EXPECT_TRUE(Soon([&] { return Names() == std::vector<std::string>{"files-1"}; }));
  EXPECT_EQ(server_.CountOf("GET", "/pods"), 2) << "a list and a watch";
}

TEST_F(PodsTest, AWatchThatEndsGoesOnWhereItWas) {
  Watch();
  server_.Put(absl::StrCat(kPods, "/files-1"), PodObject(true));
  ASSERT_TRUE(Soon([&] { return Names().size() == 2; }));
  server_.EndWatches();
  server_.Put(absl::StrCat(kPods, "/files-2"), PodObject(true));
  EXPECT_TRUE(Soon([&] { return Names().size() == 3; }));
}

TEST_F(PodsTest, AfterATooOldVersionAllIsListedAnew) {
  Watch();
  ASSERT_EQ(Names().size(), 1u);
  server_.Put(absl::StrCat(kPods, "/files-1"), PodObject(true));
  server_.Compact();
  server_.Delete(absl::StrCat(kPods, "/files-0"));
  EXPECT_TRUE(Soon([&] { return Names() == std::vector<std::string>{"files-1"}; }));
}

TEST_F(PodsTest, AServerThatFailsIsAskedAgainAndMeanwhileNothingIsSaid) {
  server_.Inject({.path_contains = "/pods", .code = 403, .times = 3});
  Watch();
  EXPECT_EQ(watch_->Pods(absl::ZeroDuration()).ok(), false);
  EXPECT_THAT(Names(), ElementsAre("files-0"));
  EXPECT_GE(server_.CountOf("GET", "/pods"), 4);
}

TEST_F(PodsTest, TheErrorOfTheLastTryIsTheAnswer) {
  server_.Inject({.path_contains = "/pods", .code = 403, .times = 1 << 20});
  Watch();
  EXPECT_TRUE(
      Soon([&] { return watch_->Pods(absl::ZeroDuration()).status().code() == absl::StatusCode::kPermissionDenied; }));
}

TEST_F(PodsTest, WhyThereIsNoWatchIsSaidOnceThoughThereAreLists) {
  // From the first watch on: one that was there and is ended at once would be another thing to say.
  server_.Inject({.path_contains = "watch=1", .code = 403, .times = 1 << 20});
  Watch();
  ASSERT_TRUE(Soon([&] { return server_.CountOf("GET", "/pods") > 10; }));
  EXPECT_EQ(watch_->Pods(kPatience).ok(), true);
  watch_.reset();
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_THAT(said_[0], ::testing::HasSubstr("the pods cannot be followed: watch /api/v1/namespaces/storage/pods"));
}

TEST_F(PodsTest, ALongListComesInPages) {
  for (int i = 1; i < 1203; ++i) server_.Put(absl::StrCat(kPods, "/files-", i), PodObject(true));
  Watch();
  EXPECT_EQ(Names().size(), 1203u);
}

}  // namespace
}  // namespace headroom::kubernetes
