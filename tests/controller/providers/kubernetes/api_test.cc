#include "controller/providers/kubernetes/api.h"

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSet[] = "/apis/apps/v1/namespaces/storage/statefulsets/files";
constexpr char kPods[] = "/api/v1/namespaces/storage/pods";

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    Access access{.url = server_.url(), .name_space = "storage"};
    access.headers = [this] { return std::vector<HttpHeader>{{"Authorization", "Bearer " + token_}}; };
    auto api = Api::Connect(std::move(access), {.wait = [this](absl::Duration wait) { waits_.push_back(wait); }});
    EXPECT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
    server_.Put(kSet, {{"spec", {{"replicas", 3}}}});
  }
  // Listens until so many events have come.
  absl::Status Hear(const std::string& path, size_t count) {
    return api_->Watch(
        path,
        [&, count](const WatchEvent& event) {
          events_.push_back(event);
          return events_.size() < count ? absl::OkStatus() : absl::CancelledError("enough");
        },
        cancellation_);
  }

  FakeApiServer server_;
  std::string token_ = "secret";
  std::vector<absl::Duration> waits_;
  std::unique_ptr<Api> api_;
  std::vector<WatchEvent> events_;
  Cancellation cancellation_;
};

TEST_F(ApiTest, AnObjectIsReadAndWrittenUnderItsVersion) {
  const auto scale = api_->Call({.path = std::string(kSet) + "/scale"});
  ASSERT_TRUE(scale.ok()) << scale.status();
  EXPECT_EQ(Number(*scale, {"spec", "replicas"}), 3);
  Json more = *scale;
  more["spec"]["replicas"] = 4;
  ASSERT_TRUE(api_->Call({.method = "PUT", .path = std::string(kSet) + "/scale", .body = more}).ok());
  EXPECT_EQ(Number(server_.Get(kSet), {"spec", "replicas"}), 4);
  const auto late = api_->Call({.method = "PUT", .path = std::string(kSet) + "/scale", .body = more});
  EXPECT_EQ(late.status().code(), absl::StatusCode::kAborted) << late.status();
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("has been modified"));
}

TEST_F(ApiTest, CodesAreRemedies) {
  const std::vector<std::pair<int, absl::StatusCode>> cases = {
      {400, absl::StatusCode::kInvalidArgument},  {401, absl::StatusCode::kPermissionDenied},
      {403, absl::StatusCode::kPermissionDenied}, {404, absl::StatusCode::kNotFound},
      {409, absl::StatusCode::kAborted},          {410, absl::StatusCode::kOutOfRange},
      {422, absl::StatusCode::kInvalidArgument},  {429, absl::StatusCode::kUnavailable},
      {500, absl::StatusCode::kUnavailable},      {503, absl::StatusCode::kUnavailable},
      {0, absl::StatusCode::kUnavailable}};
  for (const auto& [code, remedy] : cases) {
    server_.Inject({.method = "PUT", .code = code});
    const auto answer = api_->Call({.method = "PUT", .path = kSet, .body = Json::object()});
    EXPECT_EQ(answer.status().code(), remedy) << code << " " << answer.status();
  }
  EXPECT_EQ(api_->Call({.path = "/apis/none"}).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(api_->Call({.method = "POST", .path = kPods, .body = {{"metadata", {{"name", "a"}}}}}).ok());
  EXPECT_EQ(api_->Call({.method = "POST", .path = kPods, .body = {{"metadata", {{"name", "a"}}}}}).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(ApiTest, AServerThatSaysWhenToComeAgainIsWaitedFor) {
  server_.Inject({.code = 429, .retry_after = "2", .times = 2});
  server_.Inject({.code = 503, .retry_after = "1"});
  EXPECT_TRUE(api_->Call({.path = kSet}).ok());
  EXPECT_THAT(waits_, ElementsAre(absl::Seconds(2), absl::Seconds(2), absl::Seconds(1)));
}

TEST_F(ApiTest, ItIsNotWaitedForLongerThanTheCallMayTake) {
  server_.Inject({.code = 429, .retry_after = "30"});
  EXPECT_EQ(api_->Call({.path = kSet, .timeout = absl::Seconds(5)}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(waits_, ElementsAre());
}

TEST_F(ApiTest, ATokenThatIsReplacedIsUsedAtOnce) {
  server_.Accept("second");
  EXPECT_EQ(api_->Call({.path = kSet}).status().code(), absl::StatusCode::kPermissionDenied);
  token_ = "second";
  EXPECT_TRUE(api_->Call({.path = kSet}).ok());
}

TEST_F(ApiTest, AWatchTellsWhatHappensInOrder) {
  auto heard = std::async(std::launch::async, [&] { return Hear(std::string(kPods) + "?watch=1", 4); });
  server_.Put(std::string(kPods) + "/files-0", {{"status", {{"phase", "Pending"}}}});
  server_.Put(std::string(kPods) + "/files-0", {{"status", {{"phase", "Running"}}}});
  server_.Delete(std::string(kPods) + "/files-0");
  while (heard.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) server_.Bookmark();
  EXPECT_EQ(heard.get().code(), absl::StatusCode::kCancelled);
  using Kind = WatchEvent::Kind;
  ASSERT_EQ(events_.size(), 4u);
  EXPECT_EQ(events_[0].kind, Kind::kAdded);
  EXPECT_EQ(Text(events_[0].object, {"metadata", "name"}), "files-0");
  EXPECT_EQ(events_[1].kind, Kind::kModified);
  EXPECT_EQ(Text(events_[1].object, {"status", "phase"}), "Running");
  EXPECT_EQ(events_[2].kind, Kind::kDeleted);
  EXPECT_EQ(events_[3].kind, Kind::kBookmark);
}

TEST_F(ApiTest, AWatchFromTooLongAgoSaysSo) {
  server_.Compact();
  EXPECT_EQ(Hear(std::string(kPods) + "?watch=1&resourceVersion=1", 1).code(), absl::StatusCode::kOutOfRange);
  server_.Inject({.code = 410});
  EXPECT_EQ(Hear(std::string(kPods) + "?watch=1", 1).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(ApiTest, AWatchThatTheServerEndsIsNoError) {
  auto heard = std::async(std::launch::async, [&] { return Hear(std::string(kPods) + "?watch=1", 1); });
  while (heard.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) server_.EndWatches();
  EXPECT_TRUE(heard.get().ok());
}

}  // namespace
}  // namespace headroom::kubernetes
