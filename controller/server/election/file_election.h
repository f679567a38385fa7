#pragma once

#include <string>

#include "controller/server/election/candidate.h"

namespace headroom {

// FileElection: whoever holds the lock on a file leads: for several controllers on one machine, one of which serves.
// The kernel frees the lock when the process ends, however it ends; a process that is stopped goes on holding it, so
// that there is never a second leader, and no leader that acts either until it goes on. One thread.
class FileElection final : public Candidate {
 public:
  // Made where it is missing, in a folder that is there.
  FileElection(std::string path, std::string identity);
  ~FileElection() override;
  Standing Round() override;
  absl::Status Release() override;

 private:
  absl::Status Try();

  const std::string path_, identity_;
  int fd_ = -1;
  bool leads_ = false;
};

}  // namespace headroom
