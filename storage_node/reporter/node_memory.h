#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "headroom/v1/load.pb.h"

namespace headroom {

// What runs, as the server knows it.
struct ServerIdentity {
  std::string server_version;  // "headroom-node/0.1.0"
  std::string config_hash;
};

// NodeMemory: the few things that a node must not forget over a restart: the highest term it has seen, since when this
// version and this configuration run (unknown, where it never saw another), and what it has learned. Kept as a
// text-format Hello in a file of its own, written beside and renamed, so that it is whole or old, never half. What was
// learned under another version or configuration is dropped. Thread-compatible.
class NodeMemory {
 public:
  // No path: nothing is kept. A file that cannot be read is as none; `problem()` says why.
  NodeMemory(std::string path, const ServerIdentity& identity, absl::Time now);

  // Version, config hash, their times, term_max_seen and learned are set; nothing else is.
  const v1::Hello& hello() const { return hello_; }
  const absl::Status& problem() const { return problem_; }

  // True: there is something new, which is to be saved.
  bool Note(int64_t term_max_seen, const v1::Learned& learned);
  // Writes a copy of hello(), for as long as the disk takes; never two at once. A failure is the caller's to tell; the
  // memory in this process holds all the same. No path: does nothing.
  static absl::Status Save(const std::string& path, const v1::Hello& hello);

 private:
  absl::Status Load();

  const std::string path_;
  v1::Hello hello_;
  absl::Status problem_;
};

}  // namespace headroom
