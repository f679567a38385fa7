#include "controller/server/election/file_election.h"

#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace headroom {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(500);

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

FileElection::FileElection(std::string path, std::string identity)
    : path_(std::move(path)), identity_(std::move(identity)) {}

FileElection::~FileElection() {
  if (fd_ >= 0) close(fd_);
}

Standing FileElection::Round() {
  Standing standing{.pause = kPause, .trouble = Try()};
  standing.leads = leads_;
  standing.holder = leads_ ? identity_ : FirstLine(path_);
  if (leads_) standing.good_until = absl::InfiniteDuration();
  return standing;
}

absl::Status FileElection::Try() {
  if (leads_) return absl::OkStatus();
  if (fd_ < 0) fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path_));
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? absl::OkStatus() : absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", path_));
  }
  leads_ = true;
  const std::string line = identity_ + "\n";
  const bool told = ftruncate(fd_, 0) == 0 && pwrite(fd_, line.data(), line.size(), 0) > 0;
  return told ? absl::OkStatus() : absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
}

absl::Status FileElection::Release() {
  if (!leads_) return absl::OkStatus();
  leads_ = false;
  if (ftruncate(fd_, 0) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  return flock(fd_, LOCK_UN) == 0 ? absl::OkStatus()
                                  : absl::ErrnoToStatus(errno, absl::StrCat("cannot unlock ", path_));
}

}  // namespace headroom
