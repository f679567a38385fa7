#include "controller/core/limits/budget.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "controller/base/check.h"

namespace headroom {
namespace {

double Filled(const BudgetClaim& claim, double level) {
  return std::min(static_cast<double>(claim.cap_count),
                  std::max(static_cast<double>(claim.floor_count), level * claim.weight));
}

double SumAt(const std::vector<BudgetClaim>& claims, double level) {
  double sum = 0;
  for (const BudgetClaim& claim : claims) sum += Filled(claim, level);
  return sum;
}

// The sum is piecewise linear in the level with a break where a claim leaves its floor or meets its cap: find the
// segment by binary search over the sorted breaks, then solve it exactly.
double Level(double budget, const std::vector<BudgetClaim>& claims) {
  std::vector<double> breaks = {0.0};
  for (const BudgetClaim& claim : claims) {
    breaks.push_back(static_cast<double>(claim.floor_count) / claim.weight);
    breaks.push_back(static_cast<double>(claim.cap_count) / claim.weight);
  }
  std::sort(breaks.begin(), breaks.end());
  const auto above =
      std::partition_point(breaks.begin(), breaks.end(), [&](double level) { return SumAt(claims, level) < budget; });
  if (above == breaks.end()) return breaks.back();
  if (above == breaks.begin()) return *above;
  const double low = *std::prev(above), high = *above;
  const double sum_low = SumAt(claims, low), sum_high = SumAt(claims, high);
  if (sum_high <= sum_low) return high;
  return low + (high - low) * (budget - sum_low) / (sum_high - sum_low);
}

// Whole numbers that sum to what the fractions sum to (rounded), by largest remainder, ties to the lower index.
std::vector<int64_t> Rounded(int64_t total, const std::vector<double>& fractions) {
  std::vector<int64_t> counts;
  for (double value : fractions) counts.push_back(static_cast<int64_t>(std::floor(value + 1e-9)));
  std::vector<size_t> order(fractions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return fractions[a] - static_cast<double>(counts[a]) > fractions[b] - static_cast<double>(counts[b]) + 1e-9;
  });
  int64_t left = total - std::accumulate(counts.begin(), counts.end(), int64_t{0});
  for (size_t i = 0; i < order.size() && left > 0; ++i, --left) ++counts[order[i]];
  return counts;
}

std::vector<int64_t> ScaledFloors(int64_t budget, int64_t floors, const std::vector<BudgetClaim>& claims) {
  std::vector<double> fractions;
  for (const BudgetClaim& claim : claims) {
    fractions.push_back(static_cast<double>(claim.floor_count) * static_cast<double>(budget) /
                        static_cast<double>(floors));
  }
  return Rounded(budget, fractions);
}

}  // namespace

BudgetShares ShareBudget(int64_t budget_count, const std::vector<BudgetClaim>& claims) {
  int64_t floors = 0, caps = 0;
  for (const BudgetClaim& claim : claims) {
    HR_CHECK(claim.weight > 0 && claim.floor_count >= 0 && claim.floor_count <= claim.cap_count);
    floors += claim.floor_count;
    caps += claim.cap_count;
  }
  BudgetShares shares;
  if (floors > budget_count) {
    shares.counts = ScaledFloors(budget_count, floors, claims);
    shares.floors_fit = false;
    return shares;
  }
  if (caps <= budget_count) {
    for (const BudgetClaim& claim : claims) shares.counts.push_back(claim.cap_count);
    return shares;
  }
  const double level = Level(static_cast<double>(budget_count), claims);
  std::vector<double> fractions;
  for (const BudgetClaim& claim : claims) fractions.push_back(Filled(claim, level));
  shares.counts = Rounded(budget_count, fractions);
  return shares;
}

}  // namespace headroom
