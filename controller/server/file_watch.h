#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace headroom {

// FileWatch: tells that a file may have new content: written and closed, or replaced by a rename, also where it is
// reached through links that are swapped (a Kubernetes ConfigMap). It watches the file's folder. fd() becomes readable;
// Changed() then says whether the bytes differ from those that it saw last. Thread-compatible.
class FileWatch {
 public:
  // `seen`: what was read of it before; nothing: what it holds now.
  static absl::StatusOr<FileWatch> Open(const std::string& path, std::optional<std::string> seen = std::nullopt);
  ~FileWatch();
  FileWatch(FileWatch&& other) noexcept;
  FileWatch& operator=(FileWatch&&) = delete;

  int fd() const { return fd_; }
  bool Changed();

 private:
  FileWatch(std::string path, std::string seen, int fd);

  std::string path_;
  std::string content_;
  int fd_;
};

}  // namespace headroom
