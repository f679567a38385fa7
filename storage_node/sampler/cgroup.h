#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "storage_node/sampler/kernel_text.h"

namespace headroom {

// OwnCgroup: the limits and stalls of the cgroup that this process lives in, v1 and v2, found once and read when asked.
// Thread-compatible. `root` stands before /proc and /sys, for tests.
class OwnCgroup {
 public:
  explicit OwnCgroup(std::string root = "");

  // The lowest memory limit from the own cgroup upwards. Absent: none.
  std::optional<int64_t> MemoryBytesMax() const;
  // The lowest CPU quota from the own cgroup upwards, in cores. Absent: none.
  std::optional<double> CpuCountMax() const;

  // Whether the v2 cgroup holds this process and nothing beside it but its ancestors. A root cgroup, or one that other
  // services share, tells of their stalls too.
  bool IsOwn() const;
  // "cpu", "memory", "io". Whose stalls they are, IsOwn() says.
  PressureText Pressure(absl::string_view resource) const;

 private:
  std::string root_;
  // Folders, from the own cgroup to the top of the mount; empty: no such hierarchy.
  std::vector<std::string> unified_, memory_v1_, cpu_v1_;
};

}  // namespace headroom
