#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <sys/stat.h>

#include "tests/load/endpoint.h"

namespace headroom::load {

// "127.0.0.1:1,127.0.0.1:2", or one to a line with # comments. InvalidArgument when empty or when one is bad.
absl::StatusOr<std::vector<Endpoint>> ParseTargets(absl::string_view text);

// Targets: where attempts may go. An endpoint keeps its index for the whole run, so that pools may be indexed by it;
// `live` are the ones that new attempts draw from. With a file the list follows the file. Not thread-safe.
class Targets {
 public:
  // Indices given out during a run; a file that names more is refused.
  static constexpr size_t kKnownMax = 256;

  explicit Targets(const std::vector<Endpoint>& endpoints) { Replace(endpoints); }

  // Replaces the live ones; new endpoints get new indices.
  void Replace(const std::vector<Endpoint>& endpoints);
  const std::vector<Endpoint>& known() const { return known_; }
  const std::vector<int>& live() const { return live_; }

 private:
  std::vector<Endpoint> known_;
  std::vector<int> live_;
};

// TargetsFile: notices that a file of targets has changed.
class TargetsFile {
 public:
  explicit TargetsFile(std::string path) : path_(std::move(path)) {}

  // True when the file is not what it was at the last call; true at the first one.
  bool Changed();
  absl::StatusOr<std::vector<Endpoint>> Read() const;

 private:
  std::string path_;
  struct stat seen_ = {};
};

}  // namespace headroom::load
