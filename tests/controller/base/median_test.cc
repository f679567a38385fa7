#include "controller/base/median.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace headroom {
namespace {

TEST(UpperMedian, IsTheMiddleOneAndTheUpperOfTwo) {
  std::vector<double> three = {5, 1, 3}, four = {4, 1, 3, 2};
  EXPECT_EQ(UpperMedian(three), 3);
  EXPECT_EQ(UpperMedian(four), 3);
  std::vector<int64_t> one = {7}, none;
  EXPECT_EQ(UpperMedian(one), 7);
  EXPECT_EQ(UpperMedian(none), 0);
}

}  // namespace
}  // namespace headroom
