#include "controller/base/boxed_map.h"

#include <string>

#include <gtest/gtest.h>

namespace headroom {
namespace {

TEST(BoxedMap, FindsTheSameWhereverItLooksFirst) {
  BoxedMap<std::string, int> map;
  for (int i = 0; i < 10; ++i) map.emplace(std::to_string(i), i);
  size_t next = 0;
  for (const char* key : {"0", "1", "2", "7", "8", "9", "3", "0"}) {
    const auto found = map.find_next(key, next);
    ASSERT_NE(found, map.end()) << key;
    EXPECT_EQ(found->first, key);
    EXPECT_EQ(std::to_string(found->second), key);
  }
  EXPECT_EQ(map.find_next("55", next), map.end());
  EXPECT_EQ(map.find_next("99", next), map.end());
  ASSERT_NE(map.find_next("9", next), map.end());
  while (map.size() > 1) map.erase(map.begin());  // the place that it remembers is gone
  EXPECT_EQ(map.find_next("8", next), map.end());
  EXPECT_NE(map.find_next("9", next), map.end());
}

}  // namespace
}  // namespace headroom
