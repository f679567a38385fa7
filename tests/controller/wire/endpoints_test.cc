#include "controller/wire/endpoints.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>

namespace headroom {
namespace {

using Pause = EndpointWalk::Pause;

TEST(EndpointTest, AHostAndAPortAreAnEndpoint) {
  for (const char* good : {"10.0.0.2:7600", "ctl-1.example:1", "headroom_a:65535", "[::1]:80", "[fe80::1%eth0]:80"}) {
    EXPECT_TRUE(CheckEndpoint(good).ok()) << good;
  }
  for (const char* bad : {"", ":", "a", "a:", ":80", "a:0", "a:65536", "a:-1", "a:+1", "a b:80", "::1:80",
                          "a:80:", "[]:80", "a/b:80", "a\n:80", "dns:///a:80"}) {
    EXPECT_EQ(CheckEndpoint(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(CheckEndpoint(absl::StrCat(std::string(300, 'a'), ":80")).ok());
}

TEST(EndpointWalkTest, TriesTheWholeListBeforeALongPause) {
  EndpointWalk walk({"a:1", "b:1", "c:1"});
  EXPECT_EQ(walk.current(), "a:1");
  EXPECT_EQ(walk.GoOn(""), Pause::kShort);
  EXPECT_EQ(walk.current(), "b:1");
  EXPECT_EQ(walk.GoOn(""), Pause::kShort);
  EXPECT_EQ(walk.current(), "c:1");
  EXPECT_EQ(walk.failed_rounds(), 0);
  EXPECT_EQ(walk.GoOn(""), Pause::kLong);
  EXPECT_EQ(walk.current(), "a:1");
  EXPECT_EQ(walk.failed_rounds(), 1);
}

TEST(EndpointWalkTest, OneEndpointIsTriedAfterALongPauseEachTime) {
  EndpointWalk walk({"a:1"});
  EXPECT_EQ(walk.GoOn(""), Pause::kLong);
  EXPECT_EQ(walk.GoOn("a:1"), Pause::kLong) << "it sends us to itself";
  EXPECT_EQ(walk.current(), "a:1");
  EXPECT_EQ(walk.failed_rounds(), 2);
}

TEST(EndpointWalkTest, FollowsTheWordOfAStandbyAtOnceAlsoOutOfTheList) {
  EndpointWalk walk({"a:1", "b:1"});
  EXPECT_EQ(walk.GoOn("x:9"), Pause::kNone);
  EXPECT_EQ(walk.current(), "x:9");
  EXPECT_EQ(walk.GoOn(""), Pause::kShort);
  EXPECT_EQ(walk.current(), "b:1");
}

TEST(EndpointWalkTest, TwoThatPointAtEachOtherAreNoLoop) {
  EndpointWalk walk({"a:1", "b:1"});
  int attempts = 1;
  while (walk.failed_rounds() < 10) {
    walk.GoOn(walk.current() == "a:1" ? "b:1" : "a:1");
    ++attempts;
  }
  EXPECT_LE(attempts, 10 * 3 + 1);
}

TEST(EndpointWalkTest, AWordThatIsNoEndpointIsNoWord) {
  EndpointWalk walk({"a:1", "b:1"});
  EXPECT_EQ(walk.GoOn("unix:/etc/passwd"), Pause::kShort);
  EXPECT_EQ(walk.current(), "b:1");
}

TEST(EndpointWalkTest, AfterAnArrivalTheOtherOnesAreTriedFirst) {
  EndpointWalk walk({"a:1", "b:1", "c:1"});
  walk.GoOn("");
  walk.Arrived();
  EXPECT_EQ(walk.current(), "b:1");
  std::multiset<std::string> tried;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(walk.GoOn(""), Pause::kShort);
    tried.insert(walk.current());
  }
  EXPECT_EQ(walk.current(), "b:1") << "the lost one comes last";
  EXPECT_EQ(tried, (std::multiset<std::string>{"a:1", "b:1", "c:1"}));
  EXPECT_EQ(walk.GoOn(""), Pause::kLong);
}

}  // namespace
}  // namespace headroom
