#include "storage_node/file_server/http_rules.h"

#include <gtest/gtest.h>

namespace headroom {
namespace {

TEST(ParseTargetTest, DecodesPathsAndQueries) {
  const auto target = ParseTarget("/a%20b//c.txt?limit=5&after=x%2Fy&list");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path.ToString(), "a b/c.txt");
  EXPECT_FALSE(target->names_directory);
  EXPECT_EQ(target->query.at("limit"), "5");
  EXPECT_EQ(target->query.at("after"), "x/y");
  EXPECT_EQ(target->query.at("list"), "");
  EXPECT_TRUE(ParseTarget("/a/")->names_directory);
  EXPECT_EQ(ParseTarget("http://host:80/a")->path.ToString(), "a");
  EXPECT_EQ(ParseTarget("/..a/b..")->path.ToString(), "..a/b..") << "dots inside a name are no way out";
}

TEST(ParseTargetTest, RefusesEveryWayOutOfTheDirectory) {
  for (const char* target : {"/..", "/../x", "/a/../../x", "/%2e%2e/x", "/.%2E/x", "/a/%2e%2e%2fx", "/a%2fb", "/a%00b",
                             "/.", "/a/./b", "a/b", "", "*", "/%zz", "/%2", "?list"}) {
    EXPECT_FALSE(ParseTarget(target).ok()) << target;
  }
  EXPECT_FALSE(ParseTarget("/" + std::string(256, 'x')).ok());
  EXPECT_TRUE(ParseTarget("/" + std::string(255, 'x')).ok());
}

struct RangeCase {
  const char* header;
  ByteRange::Kind kind;
  int64_t first, length;
};

TEST(ResolveRangeTest, FollowsTheStandard) {
  using Kind = ByteRange::Kind;
  const RangeCase cases[] = {
      {"", Kind::kWhole, 0, 100},
      {"bytes=0-0", Kind::kPart, 0, 1},
      {"bytes=10-19", Kind::kPart, 10, 10},
      {"bytes=90-", Kind::kPart, 90, 10},
      {"bytes=90-1000", Kind::kPart, 90, 10},
      {"bytes=-5", Kind::kPart, 95, 5},
      {"bytes=-500", Kind::kPart, 0, 100},
      {"bytes=0-99999999999999999999", Kind::kPart, 0, 100},
      {"bytes=100-", Kind::kUnsatisfiable, 0, 0},
      {"bytes=99999999999999999999-", Kind::kUnsatisfiable, 0, 0},
      {"bytes=-0", Kind::kUnsatisfiable, 0, 0},
      {"bytes=5-2", Kind::kWhole, 0, 100},
      {"bytes=0-1,5-6", Kind::kWhole, 0, 100},
      {"bytes=", Kind::kWhole, 0, 100},
      {"bytes=-", Kind::kWhole, 0, 100},
      {"bytes=a-b", Kind::kWhole, 0, 100},
      {"bytes=1-b", Kind::kWhole, 0, 100},
      {"bytes=+1-2", Kind::kWhole, 0, 100},
      {"lines=1-2", Kind::kWhole, 0, 100},
  };
  for (const RangeCase& c : cases) {
    const ByteRange range = ResolveRange(c.header, 100);
    EXPECT_EQ(range.kind, c.kind) << c.header;
    EXPECT_EQ(range.first, c.first) << c.header;
    EXPECT_EQ(range.length, c.length) << c.header;
  }
  EXPECT_EQ(ResolveRange("bytes=-5", 0).kind, Kind::kUnsatisfiable);
}

TEST(EvaluateTest, DecidesConditionsInTheOrderOfTheStandard) {
  const absl::Time modified = absl::FromUnixSeconds(784111777);  // the RFC's 06 Nov 1994 08:49:37
  const Validators now = {.etag = "\"v2\"", .modified = modified + absl::Milliseconds(400)};
  const std::string same = HttpDate(modified), before = HttpDate(modified - absl::Seconds(1));
  const auto read = [&](Conditions c) { return Evaluate(c, now, MethodKind::kRead); };
  using C = Condition;
  EXPECT_EQ(read({}), C::kProceed);
  EXPECT_EQ(read({.if_match = "\"v2\""}), C::kProceed);
  EXPECT_EQ(read({.if_match = "\"v1\", \"v2\""}), C::kProceed);
  EXPECT_EQ(read({.if_match = "*"}), C::kProceed);
  EXPECT_EQ(read({.if_match = "\"v1\""}), C::kPreconditionFailed);
  EXPECT_EQ(read({.if_match = "W/\"v2\""}), C::kPreconditionFailed) << "If-Match compares strongly";
  EXPECT_EQ(read({.if_none_match = "\"v2\""}), C::kNotModified);
  EXPECT_EQ(read({.if_none_match = "W/\"v2\""}), C::kNotModified);
  EXPECT_EQ(read({.if_none_match = "*"}), C::kNotModified);
  EXPECT_EQ(read({.if_none_match = "\"v1\""}), C::kProceed);
  EXPECT_EQ(read({.if_modified_since = same}), C::kNotModified);
  EXPECT_EQ(read({.if_modified_since = before}), C::kProceed);
  EXPECT_EQ(read({.if_modified_since = "yesterday"}), C::kProceed);
  EXPECT_EQ(read({.if_none_match = "\"v1\"", .if_modified_since = same}), C::kProceed) << "the tag goes first";
  EXPECT_EQ(read({.if_unmodified_since = before}), C::kPreconditionFailed);
  EXPECT_EQ(read({.if_unmodified_since = same}), C::kProceed);
  EXPECT_EQ(Evaluate({.if_none_match = "*"}, now, MethodKind::kWrite), C::kPreconditionFailed);
  EXPECT_EQ(Evaluate({.if_none_match = "*"}, {}, MethodKind::kWrite), C::kProceed);
  EXPECT_EQ(Evaluate({.if_match = "*"}, {}, MethodKind::kWrite), C::kPreconditionFailed);
}

TEST(RangeStillAppliesTest, OnlyToWhatTheClientHas) {
  const Validators now = {.etag = "\"v2\"", .modified = absl::FromUnixSeconds(784111777)};
  EXPECT_TRUE(RangeStillApplies("", now));
  EXPECT_TRUE(RangeStillApplies("\"v2\"", now));
  EXPECT_FALSE(RangeStillApplies("\"v1\"", now));
  EXPECT_FALSE(RangeStillApplies("W/\"v2\"", now));
  EXPECT_TRUE(RangeStillApplies("Sun, 06 Nov 1994 08:49:37 GMT", now));
  EXPECT_FALSE(RangeStillApplies("Sun, 06 Nov 1994 08:49:36 GMT", now));
}

TEST(HttpDateTest, ReadsWhatItWrites) {
  EXPECT_EQ(HttpDate(absl::FromUnixSeconds(784111777)), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(*ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), absl::FromUnixSeconds(784111777));
}

TEST(ContentTypeTest, GoesByTheEndOfTheName) {
  EXPECT_EQ(ContentType("a.HTML"), "text/html");
  EXPECT_EQ(ContentType("a"), "application/octet-stream");
}

}  // namespace
}  // namespace headroom
