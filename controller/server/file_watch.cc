#include "controller/server/file_watch.h"

#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include <sys/inotify.h>
#include <unistd.h>

#include "controller/runtime/config.h"

namespace headroom {

absl::StatusOr<FileWatch> FileWatch::Open(const std::string& path, std::optional<std::string> seen) {
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot watch files");
  // Not on creation: a new file is empty until its writer closes it.
  if (inotify_add_watch(fd, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
    const absl::Status status = absl::ErrnoToStatus(errno, absl::StrCat("cannot watch ", folder));
    close(fd);
    return status;
  }
  return FileWatch(path, seen ? *std::move(seen) : ReadPolicyFile(path).value_or(""), fd);
}

FileWatch::FileWatch(std::string path, std::string seen, int fd)
    : path_(std::move(path)), content_(std::move(seen)), fd_(fd) {}

FileWatch::FileWatch(FileWatch&& other) noexcept
    : path_(std::move(other.path_)), content_(std::move(other.content_)), fd_(std::exchange(other.fd_, -1)) {}

FileWatch::~FileWatch() {
  if (fd_ >= 0) close(fd_);
}

bool FileWatch::Changed() {
  char events[4096];
  while (read(fd_, events, sizeof events) > 0) {
  }
  absl::StatusOr<std::string> content = ReadPolicyFile(path_);
  if (!content.ok() || *content == content_) return false;
  content_ = *std::move(content);
  return true;
}

}  // namespace headroom
