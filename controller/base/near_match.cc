#include "controller/base/near_match.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace headroom {
namespace {

constexpr size_t kMatchesMax = 3;
constexpr size_t kNameMax = 64;  // what is longer was not typed

// A letter more, less or another, and two that changed places, are one slip each.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> NearMatches(absl::string_view name, const std::vector<std::string>& known) {
  if (name.empty() || name.size() > kNameMax) return {};
  const size_t distance_max = std::max<size_t>(1, name.size() / 3);
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : known) {
    const size_t distance = absl::StartsWith(candidate, name) ? 1 : EditDistance(name, candidate.substr(0, kNameMax));
    if (distance <= distance_max) near.emplace_back(distance, candidate);
  }
  std::sort(near.begin(), near.end());
  if (near.size() > kMatchesMax) near.resize(kMatchesMax);
  std::vector<std::string> names;
  for (auto& [distance, candidate] : near) names.push_back(std::move(candidate));
  return names;
}

std::string DidYouMean(const std::vector<std::string>& matches) {
  return matches.empty() ? "" : absl::StrCat("; did you mean ", absl::StrJoin(matches, " or "), "?");
}

}  // namespace headroom
