#include "controller/server/clusters.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

constexpr size_t kNamedMax = 8;  // in a sentence
constexpr size_t kEchoMax = 64;

}  // namespace

absl::Status Clusters::Add(const std::string& name, std::shared_ptr<Cluster> cluster) {
  absl::MutexLock lock(&mutex_);
  if (clusters_.try_emplace(name, std::move(cluster)).second) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("cluster \"", name, "\" is run by this controller already"));
}

std::shared_ptr<Cluster> Clusters::Take(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  const auto node = clusters_.extract(name);
  return node.empty() ? nullptr : node.mapped();
}

absl::StatusOr<std::shared_ptr<Cluster>> Clusters::Find(absl::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  if (clusters_.empty()) return absl::UnavailableError("this controller serves no cluster now; try again");
  if (name.empty()) {
    if (clusters_.size() == 1) return clusters_.begin()->second;
    return absl::InvalidArgumentError(
        absl::StrCat("cluster: this controller serves several, say which one: ", NamesText()));
  }
  if (const auto found = clusters_.find(name); found != clusters_.end()) return found->second;
  return absl::NotFoundError(
      absl::StrCat("cluster \"", name.substr(0, kEchoMax), "\" is not here; this controller serves ", NamesText()));
}

std::vector<std::shared_ptr<Cluster>> Clusters::All() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Cluster>> all;
  for (const auto& [name, cluster] : clusters_) all.push_back(cluster);
  return all;
}

std::string Clusters::Text() const {
  absl::ReaderMutexLock lock(&mutex_);
  if (clusters_.size() == 1) return absl::StrCat("cluster ", clusters_.begin()->first);
  return absl::StrCat(clusters_.size(), " clusters");
}

std::string Clusters::NamesText() const {
  std::string text;
  size_t named = 0;
  for (const auto& [name, cluster] : clusters_) {
    if (named == kNamedMax) return absl::StrCat(text, " and ", clusters_.size() - kNamedMax, " more");
    absl::StrAppend(&text, named++ == 0 ? "" : ", ", "\"", name, "\"");
  }
  return text;
}

}  // namespace headroom
