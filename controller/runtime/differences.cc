#include "controller/runtime/differences.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#include "controller/runtime/archive.h"

namespace headroom {
namespace {

using archive_internal::Keyed;
using archive_internal::kIs;
using archive_internal::List;
using archive_internal::Struct;
using archive_internal::Whole;

// Every leaf of a value by its path, in order.
class Leaves {
 public:
  template <typename T>
  void Add(const std::string& path, const T& value) {
    if constexpr (Struct<T>) {
      T::Fields(value,
                [&](const char* name, const auto& member) { Add(path.empty() ? name : path + "." + name, member); });
    } else if constexpr (std::is_same_v<T, ReasonCode>) {
      Put(path, std::string(ReasonName(value)));
    } else if constexpr (Whole<T>) {
      Put(path, absl::StrCat(static_cast<int64_t>(value)));
    } else if constexpr (std::is_same_v<T, double>) {
      Put(path, absl::StrFormat("%.17g", value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      Put(path, absl::StrCat("\"", value, "\""));
    } else if constexpr (std::is_same_v<T, absl::Time>) {
      Put(path, absl::FormatTime(absl::RFC3339_full, value, absl::UTCTimeZone()));
    } else if constexpr (std::is_same_v<T, absl::Duration>) {
      Put(path, absl::FormatDuration(value));
    } else if constexpr (kIs<T, std::optional>) {
      value.has_value() ? Add(path, *value) : Put(path, "nothing");
    } else if constexpr (List<T>) {
      for (size_t i = 0; i < value.size(); ++i) Add(absl::StrCat(path, "[", i, "]"), value[i]);
    } else if constexpr (Keyed<T>) {
      for (const auto& [key, mapped] : value) Add(absl::StrCat(path, "[", key, "]"), mapped);
    } else {
      Put(path + ".kind", absl::StrCat(value.index()));
      std::visit([&](const auto& alternative) { Add(path, alternative); }, value);
    }
  }
  const std::vector<std::pair<std::string, std::string>>& all() const { return leaves_; }

 private:
  void Put(const std::string& path, std::string text) { leaves_.emplace_back(path, std::move(text)); }
  std::vector<std::pair<std::string, std::string>> leaves_;
};

}  // namespace

std::vector<std::string> Differences(const Decision& recorded, const Decision& now) {
  Leaves before, after;
  before.Add("", recorded);
  after.Add("", now);
  std::map<std::string, std::string> theirs(after.all().begin(), after.all().end());
  std::vector<std::string> found;
  const auto say = [&found](const std::string& path, const std::string& was, const std::string& is) {
    if (found.size() < kDifferencesMax) found.push_back(absl::StrCat(path, ": ", was, ", now ", is));
  };
  for (const auto& [path, text] : before.all()) {
    const auto other = theirs.find(path);
    if (other == theirs.end()) {
      say(path, text, "nothing");
      continue;
    }
    if (other->second != text) say(path, text, other->second);
    theirs.erase(other);
  }
  for (const auto& [path, text] : theirs) say(path, "nothing", text);
  return found;
}

}  // namespace headroom
