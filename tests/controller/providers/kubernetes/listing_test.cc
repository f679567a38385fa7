#include "controller/providers/kubernetes/listing.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr char kBudgets[] = "/apis/policy/v1/namespaces/storage/poddisruptionbudgets";
constexpr int kCount = 1201;  // three pages

class ListingTest : public ::testing::Test {
 protected:
  ListingTest() {
    Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *Api::Connect(std::move(access), {});
    for (int i = 0; i < kCount; ++i)
      server_.Put(absl::StrFormat("%s/%04d", kBudgets, i), {{"metadata", {{"labels", {{"a", "b"}}}}}});
  }
  absl::StatusOr<Listing> List() { return ListAll(*api_, {.path = kBudgets}); }
  // Each object once, in the server's order.
  static void ExpectWhole(const absl::StatusOr<Listing>& listing) {
    ASSERT_TRUE(listing.ok()) << listing.status();
    ASSERT_EQ(listing->objects.size(), static_cast<size_t>(kCount));
    for (int i = 0; i < kCount; ++i)
      ASSERT_EQ(Text(listing->objects[static_cast<size_t>(i)], {"metadata", "name"}), absl::StrFormat("%04d", i));
  }
  int Calls() const { return server_.CountOf("GET", kBudgets); }

  FakeApiServer server_;
  std::unique_ptr<Api> api_;
};

TEST_F(ListingTest, AllPagesAreOneList) {
  const absl::StatusOr<Listing> listing = List();
  ExpectWhole(listing);
  EXPECT_EQ(listing->revision, absl::StrCat(100 + kCount));
  EXPECT_EQ(Calls(), 3);
}

TEST_F(ListingTest, WhoSelectsSaysSoOnEveryPage) {
  ASSERT_TRUE(ListAll(*api_, {.path = kBudgets, .selection = "labelSelector=a%3Db"}).ok());
  std::vector<std::string> queries;
  for (const FakeApiServer::Request& request : server_.requests()) queries.push_back(request.query);
  EXPECT_EQ(queries.size(), 3u);
  EXPECT_THAT(queries, Each(HasSubstr("labelSelector=a%3Db&limit=500")));
}

TEST_F(ListingTest, OneThatTheServerForgetsOnItsWayBeginsAgainOnce) {
  server_.Inject({.path_contains = "continue=", .code = 410});
  ExpectWhole(List());
  EXPECT_EQ(Calls(), 2 + 3);
}

TEST_F(ListingTest, OneThatTheServerForgetsTwiceIsAnError) {
  server_.Inject({.path_contains = "continue=", .code = 410, .times = 2});
  EXPECT_EQ(List().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Calls(), 4);
}

TEST_F(ListingTest, AnErrorOnALaterPageIsNoShorterList) {
  server_.Inject({.path_contains = "continue=", .code = 500});
  EXPECT_EQ(List().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Calls(), 2);
}

TEST_F(ListingTest, WhatIsNotLookedAtIsTakenAway) {
  const auto trim = [](Json& object) { object.erase("spec"); };
  const absl::StatusOr<Listing> listing = ListAll(*api_, {.path = kBudgets, .trim = trim});
  ExpectWhole(listing);
  EXPECT_TRUE(std::none_of(listing->objects.begin(), listing->objects.end(),
                           [](const Json& object) { return object.contains("spec"); }));
}

TEST_F(ListingTest, WhoseTimeIsOverAsksNoFurther) {
  EXPECT_EQ(ListAll(*api_, {.path = kBudgets, .deadline = Deadline(absl::ZeroDuration())}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Calls(), 0);
}

TEST_F(ListingTest, WhatIsNoListIsNoEmptyList) {
  const std::string one = absl::StrCat(kBudgets, "/0000");
  const absl::StatusOr<Listing> listing = ListAll(*api_, {.path = one});
  EXPECT_EQ(listing.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(listing.status().message()), HasSubstr("was not answered with a list"));
}

}  // namespace
}  // namespace headroom::kubernetes
