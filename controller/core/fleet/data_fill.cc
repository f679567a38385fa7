#include "controller/core/fleet/data_fill.h"

#include <algorithm>
#include <cstddef>

namespace headroom {

DataLack DataLack::Of(std::vector<OfNode>& nodes) {
  DataLack lack;
  if (nodes.empty()) return lack;
  const auto middle = nodes.begin() + static_cast<std::ptrdiff_t>(nodes.size() / 2);
  std::nth_element(nodes.begin(), middle, nodes.end(),
                   [](const OfNode& a, const OfNode& b) { return a.fill_ratio < b.fill_ratio; });
  const double usual = middle->fill_ratio;
  if (usual <= 0) return lack;
  for (const OfNode& node : nodes) {
    const double share = node.fill_ratio / usual;
    if (share >= kFilledRatio || node.part == Part::kSettled) continue;
    ++lack.nodes;
    lack.missing += 1 - share;
    if (node.part != Part::kStarved) continue;
    ++lack.starved;
    lack.starving += 1 - share;
  }
  return lack;
}

}  // namespace headroom
