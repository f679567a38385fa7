#pragma once

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "controller/base/monitor.h"

namespace headroom::kubernetes {

// SecretFile: a token or a certificate that somebody else replaces. Each Read() looks at the disk; where that fails in
// a moment of replacement, what was read before goes on to count. Thread-safe.
class SecretFile {
 public:
  static constexpr size_t kBytesMax = size_t{1} << 20;

  explicit SecretFile(std::string path) : path_(std::move(path)) {}

  // Its text without white space around. FAILED_PRECONDITION "cannot read PATH: no such file", as long as it never
  // could be; an empty file is none.
  absl::StatusOr<std::string> Read();

 private:
  const std::string path_;
  Monitor mutex_;
  std::optional<std::string> last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom::kubernetes
