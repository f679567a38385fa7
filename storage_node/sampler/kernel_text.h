#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// What the kernel writes in /proc and /sys/fs/cgroup, read. Pure functions of text: what is not there, or not as
// expected, is absent, never an error and never a zero.

namespace headroom {

// One counter of /proc/net/netstat or /proc/net/snmp: CounterIn(text, "TcpExt", "ListenOverflows").
std::optional<int64_t> CounterIn(absl::string_view text, absl::string_view group, absl::string_view name);

// One line of a pressure file (PSI).
struct Stall {
  double ratio_10s = 0;  // share of the last 10 s
  absl::Duration total;  // since boot
};
struct PressureText {
  std::optional<Stall> some, full;
};
PressureText ParsePressure(absl::string_view text);

// The own cgroup in one hierarchy, from /proc/self/cgroup. `controller` "" is the unified one (v2).
std::optional<std::string> CgroupPathIn(absl::string_view self_cgroup, absl::string_view controller);

// Where a hierarchy is mounted, from /proc/self/mountinfo. A container sees a part of it: `root` is what is mounted.
struct CgroupMount {
  std::string root, mount_point;
};
std::optional<CgroupMount> CgroupMountIn(absl::string_view mountinfo, absl::string_view controller);

// memory.max and memory.limit_in_bytes. Absent: "max", or so large that it means the same.
std::optional<int64_t> ParseMemoryLimit(absl::string_view text);
// cpu.max: "50000 100000" is half a core. Absent: "max".
std::optional<double> ParseCpuMax(absl::string_view text);
// memory.stat of v1, the lowest limit up the hierarchy.
std::optional<int64_t> HierarchicalMemoryLimitIn(absl::string_view memory_stat);
// The resident pages in /proc/self/statm.
std::optional<int64_t> ResidentPagesIn(absl::string_view statm);
// The parent's id in /proc/<pid>/stat, whatever the program is called.
std::optional<int64_t> ParentIn(absl::string_view stat);
// cgroup.procs: one id a line.
std::vector<int64_t> ParseProcesses(absl::string_view text);

}  // namespace headroom
