#include "tests/load/targets.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "controller/base/status.h"

namespace headroom::load {

absl::StatusOr<std::vector<Endpoint>> ParseTargets(absl::string_view text) {
  std::vector<Endpoint> endpoints;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    for (absl::string_view item : absl::StrSplit(line.substr(0, line.find('#')), ',')) {
      item = absl::StripAsciiWhitespace(item);
      if (item.empty()) continue;
      HR_ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(item));
      endpoints.push_back(endpoint);
    }
  }
  if (endpoints.empty()) return absl::InvalidArgumentError("no target is named");
  return endpoints;
}

void Targets::Replace(const std::vector<Endpoint>& endpoints) {
  live_.clear();
  for (const Endpoint& endpoint : endpoints) {
    const auto at = std::find(known_.begin(), known_.end(), endpoint);
    const auto index = static_cast<int>(at - known_.begin());
    if (at == known_.end()) known_.push_back(endpoint);
    if (std::find(live_.begin(), live_.end(), index) == live_.end()) live_.push_back(index);
  }
}

bool TargetsFile::Changed() {
  struct stat now = {};
  if (stat(path_.c_str(), &now) != 0) return false;  // between unlink and create: what was read last stays in force
  const bool same = now.st_ino == seen_.st_ino && now.st_size == seen_.st_size &&
                    now.st_mtim.tv_sec == seen_.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec;
  seen_ = now;
  return !same;
}

absl::StatusOr<std::vector<Endpoint>> TargetsFile::Read() const {
  std::ifstream file(path_);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read the targets file ", path_));
  return Annotate(ParseTargets(text.str()), path_);
}

}  // namespace headroom::load
