#include "controller/base/percent_encoding.h"

#include "absl/strings/string_view.h"
#include <gtest/gtest.h>

namespace headroom {
namespace {

TEST(PercentEncodingTest, WhatIsUnreservedStaysAsItIs) {
  constexpr char kUnreserved[] = "ABCXYZabcxyz0189-._~";
  EXPECT_EQ(PercentEncoded(kUnreserved), kUnreserved);
  EXPECT_EQ(PercentEncoded(""), "");
}

TEST(PercentEncodingTest, EverythingElseIsTwoUpperCaseDigits) {
  EXPECT_EQ(PercentEncoded("team in (east),a=b&c+d"), "team%20in%20%28east%29%2Ca%3Db%26c%2Bd");
  EXPECT_EQ(PercentEncoded("/api/v1?x#%*'"), "%2Fapi%2Fv1%3Fx%23%25%2A%27");
}

TEST(PercentEncodingTest, BytesThatAreNoAsciiAreEncodedOneByOne) {
  EXPECT_EQ(PercentEncoded("ü"), "%C3%BC");
  EXPECT_EQ(PercentEncoded(absl::string_view("\0\n\x7f\xff", 4)), "%00%0A%7F%FF");
}

}  // namespace
}  // namespace headroom
