#include "controller/server/election/kubernetes_state.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include <gtest/gtest.h>

#include "controller/server/election/kubernetes_lease.h"
#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom {
namespace {

using kubernetes::FakeApiServer;

constexpr char kPath[] = "/api/v1/namespaces/storage/configmaps/headroom-state-files";
constexpr absl::Duration kPatience = absl::Seconds(20);

class KubernetesStateTest : public ::testing::Test {
 protected:
  KubernetesStateTest() {
    kubernetes::Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *kubernetes::Api::Connect(std::move(access), {});
  }
  FakeApiServer server_;
  std::unique_ptr<kubernetes::Api> api_;
};

TEST_F(KubernetesStateTest, KeepsAnyBytes) {
  KubernetesState ours(*api_, "storage", "files");
  EXPECT_EQ(ours.Load(kPatience).status().code(), absl::StatusCode::kNotFound);
  const std::string bytes("\0\xff any\n", 7);
  ASSERT_TRUE(ours.Save(bytes, kPatience).ok());
  ASSERT_TRUE(ours.Save(bytes + bytes, kPatience).ok());
  KubernetesState theirs(*api_, "storage", "files");
  EXPECT_EQ(*theirs.Load(kPatience), bytes + bytes);
}

TEST_F(KubernetesStateTest, WhoeverHasNotSeenTheLastWriteWritesNothing) {
  KubernetesState ours(*api_, "storage", "files"), theirs(*api_, "storage", "files");
  ASSERT_TRUE(ours.Save("ours", kPatience).ok());
  EXPECT_EQ(theirs.Save("theirs", kPatience).code(), absl::StatusCode::kAborted) << "never looked";
  ASSERT_TRUE(theirs.Load(kPatience).ok());
  ASSERT_TRUE(theirs.Save("theirs", kPatience).ok());
  EXPECT_EQ(ours.Save("ours again", kPatience).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(*ours.Load(kPatience), "theirs");
}

TEST_F(KubernetesStateTest, OneThatWasDeletedIsMadeAgain) {
  KubernetesState state(*api_, "storage", "files");
  ASSERT_TRUE(state.Save("one", kPatience).ok());
  server_.Delete(kPath);
  EXPECT_EQ(state.Save("two", kPatience).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(state.Load(kPatience).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(state.Save("two", kPatience).ok());
}

TEST_F(KubernetesStateTest, WhatOthersPutBesideItStays) {
  server_.Put(kPath, {{"metadata", {{"labels", {{"team", "storage"}}}}}, {"data", {{"note", "ours"}}}});
  KubernetesState state(*api_, "storage", "files");
  EXPECT_EQ(state.Load(kPatience).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(state.Save("one", kPatience).ok());
  EXPECT_EQ(server_.Get(kPath)["metadata"]["labels"]["team"], "storage");
  EXPECT_EQ(server_.Get(kPath)["data"]["note"], "ours");
}

TEST_F(KubernetesStateTest, ALeaseThatIsGivenBackIsHeardOfAtOnce) {
  KubernetesLease ours(*api_, "storage", "headroom"), theirs(*api_, "storage", "headroom");
  auto record = theirs.Write({.holder = "them_1", .duration = absl::Seconds(15)}, kPatience);
  ASSERT_TRUE(record.ok());
  std::atomic<int> changes{0};
  ours.Watch([&changes] { ++changes; });
  const auto await = [&changes](int count) {
    const absl::Time end = absl::Now() + kPatience;
    while (changes < count && absl::Now() < end) absl::SleepFor(absl::Milliseconds(2));
    return changes.load();
  };
  ASSERT_EQ(await(1), 1) << "who holds it now";
  record->renewed_at = absl::UnixEpoch() + absl::Hours(1);
  ASSERT_TRUE((record = theirs.Write(*record, kPatience)).ok());
  record->holder = "";
  ASSERT_TRUE(theirs.Write(*record, kPatience).ok());
  EXPECT_EQ(await(2), 2) << "a renewal is no news, its end is";
  ours.Watch(nullptr);
}

}  // namespace
}  // namespace headroom
