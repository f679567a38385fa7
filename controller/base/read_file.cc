#include "controller/base/read_file.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <unistd.h>

namespace headroom {
namespace {

absl::Status CannotRead(const std::string& path, absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", what, what.empty() ? "" : " ", path));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max, absl::string_view what) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return CannotRead(path, what);
  std::string text;
  char block[16384];
  ssize_t length = 1;
  while (length != 0 && text.size() < bytes_max) {
    length = read(file, block, std::min(sizeof block, bytes_max - text.size()));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) break;
    text.append(block, static_cast<size_t>(length));
  }
  const absl::Status status = length < 0 ? CannotRead(path, what) : absl::OkStatus();
  close(file);
  if (!status.ok()) return status;
  return text;
}

}  // namespace headroom
