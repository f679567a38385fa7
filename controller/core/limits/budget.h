#pragma once

#include <cstdint>
#include <vector>

namespace headroom {

// One claimant of a shared budget of connections: weight > 0, 0 <= floor <= cap.
struct BudgetClaim {
  double weight = 1;
  int64_t floor_count = 0;  // what it must keep
  int64_t cap_count = 0;    // what it can use
};

// Divides `budget_count` by exact weighted max-min fairness ("water-filling"): x_k = min(cap_k, max(floor_k, t * w_k))
// with the level t at which the sum is the budget. O(n log n), no iteration to convergence. Whole numbers by largest
// remainder, ties to the lower index. If the caps fit, everybody gets the cap; if not even the floors fit, the floors
// are scaled down (the caller raises the alarm: floors_fit is false).
struct BudgetShares {
  std::vector<int64_t> counts;
  bool floors_fit = true;
};
BudgetShares ShareBudget(int64_t budget_count, const std::vector<BudgetClaim>& claims);

}  // namespace headroom
