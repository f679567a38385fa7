#include "controller/providers/kubernetes/reflector.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kAll[] = "/apis/headroom.dev/v1alpha1/storageclusters";
constexpr absl::Duration kPatience = absl::Seconds(20);

std::string PathOf(const std::string& name_space, const std::string& name) {
  return absl::StrCat("/apis/headroom.dev/v1alpha1/namespaces/", name_space, "/storageclusters/", name);
}

// What a sink was told, in words: "replace: east/a west/b", "added: east/c", "lost: NOT_FOUND".
class Told final : public Reflector::Sink {
 public:
  void Replace(std::vector<Json> objects) override {
    std::string names;
    for (const Json& object : objects) absl::StrAppend(&names, " ", NameOf(object));
    Add(absl::StrCat("replace:", names));
  }
  void Apply(const WatchEvent& event) override {
    static constexpr const char* kKinds[] = {"added", "modified", "deleted", "bookmark"};
    Add(absl::StrCat(kKinds[static_cast<size_t>(event.kind)], ": ", NameOf(event.object)));
  }
  void Lost(const absl::Status& why) override {
    Add(absl::StrCat("lost: ", absl::StatusCodeToString(why.code())));
    const MonitorLock lock(mutex_);
    last_loss_ = why;
  }
  // Whether so many of these have come, within a time that no healthy machine needs.
  bool Await(const std::string& what, int times = 1) {
    const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(kPatience);
    const MonitorLock lock(mutex_);
    while (counts_[what] < times && std::chrono::steady_clock::now() < deadline) mutex_.Wait(absl::Seconds(1));
    return counts_[what] >= times;
  }
  std::vector<std::string> all() {
    const MonitorLock lock(mutex_);
    return all_;
  }
  absl::Status last_loss() {
    const MonitorLock lock(mutex_);
    return last_loss_;
  }

 private:
  static std::string NameOf(const Json& object) {
    return absl::StrCat(Text(object, {"metadata", "namespace"}), "/", Text(object, {"metadata", "name"}));
  }
  void Add(const std::string& what) {
    const MonitorLock lock(mutex_);
    all_.push_back(what);
    ++counts_[what];
    mutex_.Notify();
  }

  Monitor mutex_;
  std::vector<std::string> all_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> counts_ ABSL_GUARDED_BY(mutex_);
  absl::Status last_loss_ ABSL_GUARDED_BY(mutex_);
};

class ReflectorTest : public ::testing::Test {
 protected:
  ReflectorTest() {
    Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *Api::Connect(std::move(access), {});
    server_.Put(PathOf("east", "a"), {{"spec", {{"nodes", {{"max", 3}}}}}});
  }
  void Start(absl::Duration pause = absl::Milliseconds(10), const std::string& selector = "") {
    reflector_ = std::make_unique<Reflector>(
        *api_,
        Reflector::Options{.path = kAll,
                           .selector = selector,
                           .what = "the storage clusters",
                           .pause = pause,
                           .pause_max = 4 * pause,
                           .trim = [](Json& object) { object.erase("spec"); },
                           .say = [this](absl::string_view text) { said_.emplace_back(text); }},
        told_);
  }

  FakeApiServer server_;
  std::unique_ptr<Api> api_;
  Told told_;
  std::vector<std::string> said_;  // by the reflector's thread: to be read once it has ended
  std::unique_ptr<Reflector> reflector_;
};

TEST_F(ReflectorTest, ASinkIsToldOfAllAndThenOfEachChange) {
  server_.Put(PathOf("west", "b"), {{"spec", {}}});
  Start();
  ASSERT_TRUE(told_.Await("replace: east/a west/b"));
  server_.Put(PathOf("east", "c"), {{"spec", {}}});
  server_.Bookmark();
  server_.Put(PathOf("east", "a"), {{"spec", {{"nodes", {{"max", 4}}}}}});
  server_.Delete(PathOf("west", "b"));
  ASSERT_TRUE(told_.Await("deleted: west/b"));
  reflector_.reset();
  EXPECT_THAT(told_.all(),
              ElementsAre("replace: east/a west/b", "added: east/c", "modified: east/a", "deleted: west/b"));
  EXPECT_EQ(server_.CountOf("GET", "/storageclusters"), 2) << "a list and a watch";
}

TEST_F(ReflectorTest, AMissingKindIsALossWithTheServersWordsAndEndsWhenItComes) {
  server_.Uninstall("/apis/headroom.dev/");
  Start();
  ASSERT_TRUE(told_.Await("lost: NOT_FOUND", 3));
  EXPECT_THAT(told_.last_loss().message(), HasSubstr("could not find the requested resource"));
  server_.Install("/apis/headroom.dev/");
  ASSERT_TRUE(told_.Await("replace: east/a"));
  reflector_.reset();
  ASSERT_EQ(said_.size(), 1u) << "once for each kind of trouble";
  EXPECT_THAT(said_[0], HasSubstr("the storage clusters cannot be followed: GET /apis/headroom.dev"));
}

TEST_F(ReflectorTest, AKindThatIsTakenAwayIsALoss) {
  Start();
  ASSERT_TRUE(told_.Await("replace: east/a"));
  server_.Uninstall("/apis/headroom.dev/");
  EXPECT_TRUE(told_.Await("lost: NOT_FOUND"));
}

TEST_F(ReflectorTest, TooOldARevisionIsNoLoss) {
  Start();
  ASSERT_TRUE(told_.Await("replace: east/a"));
  server_.Put(PathOf("east", "b"), {{"spec", {}}});
  ASSERT_TRUE(told_.Await("added: east/b"));
  server_.Put("/api/v1/nodes/worker-1", Json::object());  // a revision that this watch is not told
  server_.Compact();
  ASSERT_TRUE(told_.Await("replace: east/a east/b"));
  reflector_.reset();
  for (const std::string& what : told_.all()) EXPECT_THAT(what, Not(HasSubstr("lost")));
}

TEST_F(ReflectorTest, AServerThatHoldsEveryRevisionForTooOldIsNotAskedWithoutPauses) {
  server_.Inject({.path_contains = "watch=1", .code = 410, .times = 1 << 20});
  Start();
  ASSERT_TRUE(told_.Await("lost: OUT_OF_RANGE", 5));
  reflector_.reset();
  const std::vector<std::string> all = told_.all();
  EXPECT_EQ(all[0], "replace: east/a");
  EXPECT_EQ(all[1], "replace: east/a") << "once without a loss";
  EXPECT_EQ(all[2], "lost: OUT_OF_RANGE");
}

TEST_F(ReflectorTest, AConnectionThatBreaksIsALossAndAllIsToldAnew) {
  server_.Inject({.path_contains = "watch=1", .code = 0});
  Start();
  ASSERT_TRUE(told_.Await("replace: east/a", 2));
  server_.Put(PathOf("east", "b"), {{"spec", {}}});
  ASSERT_TRUE(told_.Await("added: east/b"));
  EXPECT_EQ(told_.all()[1], "lost: UNAVAILABLE");
}

TEST_F(ReflectorTest, ItEndsWithoutWaitingForAnAnswer) {
  server_.Inject({.path_contains = kAll, .never_answers = true});
  Start();
  const auto began = std::chrono::steady_clock::now();
  while (server_.CountOf("GET", "/storageclusters") == 0 &&
         std::chrono::steady_clock::now() - began < absl::ToChronoSeconds(kPatience)) {
    std::this_thread::yield();
  }
  const auto asked = std::chrono::steady_clock::now();
  reflector_.reset();
  EXPECT_LT(absl::FromChrono(std::chrono::steady_clock::now() - asked), absl::Seconds(15)) << "an answer has 30 s";
  EXPECT_TRUE(told_.all().empty()) << "an end is no loss";
}

TEST_F(ReflectorTest, AnEndDoesNotWaitForAPause) {
  server_.Uninstall("/apis/headroom.dev/");
  Start(absl::Hours(1));
  ASSERT_TRUE(told_.Await("lost: NOT_FOUND"));
  reflector_.reset();
}

TEST_F(ReflectorTest, AnEndDoesNotWaitUntilTheServerWantsToBeAskedAgain) {
  server_.Inject({.path_contains = "limit=", .code = 503, .retry_after = "25", .times = 100});
  Start();
  // By the end of these its answer has come.
  for (int i = 0; i < 100 || server_.CountOf("GET", kAll) < 1; ++i)
    ASSERT_TRUE(api_->Call({.path = PathOf("east", "a")}).ok());
  const auto began = std::chrono::steady_clock::now();
  reflector_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

TEST_F(ReflectorTest, ASelectorStandsInEveryQuestion) {
  const Json labels = {{"labels", {{"team", "east"}}}};
  server_.Put(PathOf("east", "a"), {{"metadata", labels}});
  server_.Put(PathOf("west", "a"), {{"spec", {}}});
  Start(absl::Milliseconds(10), "team in (east)");
  ASSERT_TRUE(told_.Await("replace: east/a"));
  server_.Put(PathOf("east", "b"), {{"metadata", labels}});
  ASSERT_TRUE(told_.Await("added: east/b"));
  for (const FakeApiServer::Request& request : server_.requests())
    EXPECT_THAT(request.query, HasSubstr("labelSelector=team%20in%20%28east%29&"));
}

}  // namespace
}  // namespace headroom::kubernetes
