#pragma once

#include <string>
#include <vector>

#include "controller/core/decision.h"

namespace headroom {

// Where two decisions differ, field by field: "desired: 5, now 6", "verdicts[2].reason.code: 17, now 18". In the order
// of the fields, kDifferencesMax at most. Empty: they say the same. Any thread.
constexpr size_t kDifferencesMax = 12;
std::vector<std::string> Differences(const Decision& recorded, const Decision& now);

}  // namespace headroom
