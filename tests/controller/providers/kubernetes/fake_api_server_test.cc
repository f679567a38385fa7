#include "tests/controller/providers/kubernetes/fake_api_server.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/providers/kubernetes/api.h"

// The fake's rules are the real server's, as far as tests of operator mode build on them.

namespace headroom::kubernetes {
namespace {

constexpr char kClusters[] = "/apis/headroom.dev/v1alpha1/namespaces/east/storageclusters";
constexpr char kFiles[] = "/apis/headroom.dev/v1alpha1/namespaces/east/storageclusters/files";
constexpr char kEvents[] = "/apis/events.k8s.io/v1/namespaces/east/events";

class FakeApiServerTest : public ::testing::Test {
 protected:
  FakeApiServerTest() {
    Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *Api::Connect(std::move(access), {});
    server_.Put(kFiles, {{"spec", {{"nodes", {{"max", 3}}}}}});
  }
  absl::StatusOr<Json> Send(const char* method, const std::string& path, Json body) {
    return api_->Call({.method = method, .path = path, .body = std::move(body)});
  }
  absl::StatusCode PutStatus(Json object, const Json& status) {
    object["status"] = status;
    return Send("PUT", absl::StrCat(kFiles, "/status"), std::move(object)).status().code();
  }

  FakeApiServer server_;
  std::unique_ptr<Api> api_;
};

TEST_F(FakeApiServerTest, AStatusIsWrittenUnderItsRevisionAndIsNoNewGeneration) {
  const Json read = server_.Get(kFiles);
  EXPECT_EQ(read["metadata"]["generation"], 1);
  EXPECT_EQ(read["metadata"]["namespace"], "east");
  EXPECT_EQ(PutStatus(read, {{"observedGeneration", 1}}), absl::StatusCode::kOk);
  EXPECT_EQ(PutStatus(read, {{"observedGeneration", 2}}), absl::StatusCode::kAborted) << "somebody else has written";
  Json blind = read;
  blind["metadata"].erase("resourceVersion");
  EXPECT_EQ(PutStatus(blind, {{"observedGeneration", 2}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_.Get(kFiles)["status"]["observedGeneration"], 1);
  EXPECT_EQ(server_.Get(kFiles)["metadata"]["generation"], 1);
}

TEST_F(FakeApiServerTest, ASpecIsANewGenerationAndLeavesTheStatus) {
  ASSERT_EQ(PutStatus(server_.Get(kFiles), {{"observedGeneration", 1}}), absl::StatusCode::kOk);
  ASSERT_TRUE(
      Send("PATCH", kFiles, {{"spec", {{"nodes", {{"max", 4}}}}}, {"status", {{"observedGeneration", 9}}}}).ok());
  EXPECT_EQ(server_.Get(kFiles)["metadata"]["generation"], 2);
  EXPECT_EQ(server_.Get(kFiles)["status"]["observedGeneration"], 1);
}

TEST_F(FakeApiServerTest, CallsAreCountedByVerbAndResource) {
  ASSERT_TRUE(api_->Call({.path = absl::StrCat(kClusters, "?limit=500")}).ok());
  ASSERT_TRUE(api_->Call({.path = "/apis/headroom.dev/v1alpha1/storageclusters?limit=500"}).ok());
  ASSERT_TRUE(api_->Call({.path = kFiles}).ok());
  ASSERT_EQ(PutStatus(server_.Get(kFiles), {}), absl::StatusCode::kOk);
  EXPECT_THAT(server_.Calls(),
              ::testing::ElementsAre(std::pair<const std::string, int>("get storageclusters", 1),
                                     std::pair<const std::string, int>("list storageclusters", 2),
                                     std::pair<const std::string, int>("update storageclusters/status", 1)));
}

TEST_F(FakeApiServerTest, AnEventMustBeWholeAndOnlyItsSeriesChanges) {
  Json event = {{"metadata", {{"name", "files.1"}, {"namespace", "east"}}},
                {"eventTime", "2026-11-20T08:00:00.000000Z"},
                {"reportingController", "headroom.dev/headroomd"},
                {"reportingInstance", "headroomd-0"},
                {"action", "Launch"},
                {"reason", "LaunchForDemand"},
                {"note", "why"},
                {"type", "Normal"},
                {"regarding", {{"kind", "StorageCluster"}, {"namespace", "east"}, {"name", "files"}}}};
  Json bad = event;
  bad["eventTime"] = "2026-11-20T08:00:00Z";
  EXPECT_EQ(Send("POST", kEvents, bad).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(Send("POST", kEvents, event).ok());
  EXPECT_EQ(Send("POST", kEvents, event).status().code(), absl::StatusCode::kAlreadyExists);
  const std::string path = absl::StrCat(kEvents, "/files.1");
  const Json series = {{"count", 2}, {"lastObservedTime", "2026-11-20T08:00:01.000000Z"}};
  EXPECT_TRUE(Send("PATCH", path, {{"series", series}}).ok());
  EXPECT_FALSE(Send("PATCH", path, {{"series", {{"count", 1}}}}).ok());
  EXPECT_FALSE(Send("PATCH", path, {{"note", "another"}}).ok());
  EXPECT_EQ(Send("PATCH", absl::StrCat(kEvents, "/other"), {}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace headroom::kubernetes
