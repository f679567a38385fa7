#include "controller/core/limits/budget.h"

#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace headroom {
namespace {

int64_t Sum(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

TEST(Budget, TheResearchExample) {
  const BudgetShares shares = ShareBudget(1000, {{1, 50, 120}, {1, 50, 900}, {2, 50, 900}});
  EXPECT_EQ(shares.counts, (std::vector<int64_t>{120, 293, 587}));
}

TEST(Budget, CapsThatFitAreGiven) {
  EXPECT_EQ(ShareBudget(1000, {{1, 0, 100}, {1, 0, 200}}).counts, (std::vector<int64_t>{100, 200}));
}

TEST(Budget, FloorsThatDoNotFitAreScaledAndSaid) {
  const BudgetShares shares = ShareBudget(100, {{1, 100, 100}, {1, 300, 400}});
  EXPECT_FALSE(shares.floors_fit);
  EXPECT_EQ(shares.counts, (std::vector<int64_t>{25, 75}));
}

TEST(Budget, TiesGoToTheLowerIndex) {
  EXPECT_EQ(ShareBudget(5, {{1, 0, 9}, {1, 0, 9}}).counts, (std::vector<int64_t>{3, 2}));
}

TEST(Budget, NobodyClaimsNothing) {
  EXPECT_TRUE(ShareBudget(10, {}).counts.empty());
}

// Max-min fairness has one certificate: whoever is below its cap and above its floor stands at the common level.
TEST(Budget, RandomClaimsAreExactlyFair) {
  constexpr uint64_t kSeed = 20260811;
  std::mt19937_64 random(kSeed);
  const auto draw = [&random](int64_t below) { return static_cast<int64_t>(random() % static_cast<uint64_t>(below)); };
  for (int round = 0; round < 3000; ++round) {
    std::vector<BudgetClaim> claims;
    for (int64_t i = 0, count = 1 + draw(12); i < count; ++i) {
      const int64_t floor = draw(50);
      claims.push_back({static_cast<double>(1 + draw(4)), floor, floor + draw(400)});
    }
    const int64_t budget = draw(3000);
    const BudgetShares shares = ShareBudget(budget, claims);
    int64_t floors = 0, caps = 0;
    for (const BudgetClaim& claim : claims) {
      floors += claim.floor_count;
      caps += claim.cap_count;
    }
    ASSERT_EQ(shares.floors_fit, floors <= budget) << "seed " << kSeed << " round " << round;
    ASSERT_EQ(Sum(shares.counts), floors > budget ? budget : std::min(budget, caps))
        << "seed " << kSeed << " round " << round;
    if (!shares.floors_fit || caps <= budget) continue;
    double low = 0, high = 1e18;
    for (size_t i = 0; i < claims.size(); ++i) {
      const auto share = static_cast<double>(shares.counts[i]);
      ASSERT_GE(shares.counts[i], claims[i].floor_count);
      ASSERT_LE(shares.counts[i], claims[i].cap_count);
      if (shares.counts[i] > claims[i].floor_count) low = std::max(low, (share - 1) / claims[i].weight);
      if (shares.counts[i] < claims[i].cap_count) high = std::min(high, (share + 1) / claims[i].weight);
    }
    ASSERT_LE(low, high) << "seed " << kSeed << " round " << round;
  }
}

}  // namespace
}  // namespace headroom
