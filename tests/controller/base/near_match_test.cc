#include "controller/base/near_match.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NearMatchTest, TwoLettersThatChangedPlacesAreOneSlip) {
  EXPECT_THAT(NearMatches("mxa", {"min", "max", "data"}), ElementsAre("max"));
  EXPECT_THAT(NearMatches("stauts", {"status", "watch"}), ElementsAre("status"));
}

TEST(NearMatchTest, ALetterMoreLessOrAnotherIsOneSlip) {
  EXPECT_THAT(NearMatches("colddown", {"cooldown"}), ElementsAre("cooldown"));
  EXPECT_THAT(NearMatches("nod-1", {"node-1"}), ElementsAre("node-1"));
  EXPECT_THAT(NearMatches("noode-1", {"node-1"}), ElementsAre("node-1"));
}

TEST(NearMatchTest, WhatIsFarIsNotNamed) {
  EXPECT_THAT(NearMatches("max", {"stabilization", "min"}), IsEmpty());
  EXPECT_THAT(NearMatches("", {"max"}), IsEmpty());
}

}  // namespace
}  // namespace headroom
