#include "controller/base/json_string.h"

#include <gtest/gtest.h>

namespace headroom {
namespace {

TEST(JsonStringTest, EscapesWhatJsonForbids) {
  EXPECT_EQ(JsonString("a\"b\\\n\x01"), "\"a\\\"b\\\\\\u000a\\u0001\"");
}

}  // namespace
}  // namespace headroom
