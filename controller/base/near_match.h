#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headroom {

// The names in `known` that `name` may have meant: a typing slip away (edit distance at most a third of its length), or
// beginning with it. Nearest first, at most three; empty: none is near.
std::vector<std::string> NearMatches(absl::string_view name, const std::vector<std::string>& known);

// "; did you mean node-1 or node-2?", or "".
std::string DidYouMean(const std::vector<std::string>& matches);

}  // namespace headroom
