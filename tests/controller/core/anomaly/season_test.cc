#include "controller/core/anomaly/season.h"

#include "gtest/gtest.h"

namespace headroom {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

uint32_t SlotAt(absl::Duration since_epoch) {
  return SeasonProfile::SlotOf(absl::UnixEpoch() + since_epoch, kDay);
}

TEST(SeasonProfileTest, ADayHasNinetySixQuarters) {
  EXPECT_EQ(SlotAt(absl::ZeroDuration()), 0u);
  EXPECT_EQ(SlotAt(absl::Minutes(14)), 0u);
  EXPECT_EQ(SlotAt(absl::Minutes(15)), 1u);
  EXPECT_EQ(SlotAt(absl::Hours(24) - absl::Seconds(1)), 95u);
  EXPECT_EQ(SlotAt(absl::Hours(48)), 0u);
  EXPECT_EQ(SlotAt(-absl::Seconds(1)), 95u) << "times before 1970 have slots too";
}

TEST(SeasonProfileTest, AVisitIsForgottenByNobodyAndPredictsOnlyTheNext) {
  SeasonProfile profile;
  EXPECT_FALSE(profile.Expected(3).has_value());
  profile.Add(3, 10, 0.25);
  profile.Add(3, 20, 0.25);
  EXPECT_FALSE(profile.Expected(3).has_value()) << "a visit does not predict itself";
  profile.Add(4, 99, 0.25);
  ASSERT_TRUE(profile.Expected(3).has_value());
  EXPECT_DOUBLE_EQ(*profile.Expected(3), 15);
}

TEST(SeasonProfileTest, LaterVisitsCountByTheirRate) {
  SeasonProfile profile;
  for (int day = 0; day < 10; ++day) {
    profile.Add(3, 100, 0.25);
    profile.Add(4, 0, 0.25);
  }
  profile.Add(3, 200, 0.25);
  profile.Add(4, 0, 0.25);
  EXPECT_DOUBLE_EQ(*profile.Expected(3), 125);
}

}  // namespace
}  // namespace headroom
