#include "storage_node/sampler/cgroup.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include <unistd.h>

#include "storage_node/sampler/small_file.h"

namespace headroom {
namespace {

constexpr int kDepthMax = 64;  // of cgroups and of ancestors; beyond it something is a circle

std::vector<std::string> FoldersUpwards(const std::string& root, absl::string_view controller) {
  const std::string cgroups = ReadSmallFile(absl::StrCat(root, "/proc/self/cgroup")).value_or("");
  const std::string mounts = ReadSmallFile(absl::StrCat(root, "/proc/self/mountinfo")).value_or("");
  const std::optional<std::string> path = CgroupPathIn(cgroups, controller);
  const std::optional<CgroupMount> mount = CgroupMountIn(mounts, controller);
  if (!path || !mount) return {};
  absl::string_view below = *path;
  // A container's mount begins at the container's own cgroup, though the path may be told from the machine's root.
  if (mount->root != "/" && !absl::ConsumePrefix(&below, mount->root)) below = "";
  below = absl::StripSuffix(below, "/");
  std::vector<std::string> folders;
  for (int depth = 0; depth < kDepthMax && !below.empty(); ++depth) {
    folders.push_back(absl::StrCat(root, mount->mount_point, below));
    below = below.substr(0, below.rfind('/'));
  }
  folders.push_back(absl::StrCat(root, mount->mount_point));
  return folders;
}

template <typename T>
void KeepLower(std::optional<T>& lowest, std::optional<T> other) {
  if (other && (!lowest || *other < *lowest)) lowest = other;
}

std::optional<double> QuotaV1(const std::string& folder) {
  const std::string quota = ReadSmallFile(absl::StrCat(folder, "/cpu.cfs_quota_us")).value_or("");
  const std::string period = ReadSmallFile(absl::StrCat(folder, "/cpu.cfs_period_us")).value_or("");
  return ParseCpuMax(absl::StrCat(quota, " ", period));
}

std::vector<int64_t> SelfAndAncestors(const std::string& root) {
  std::vector<int64_t> line;
  for (int64_t id = getpid(); id > 0 && line.size() < kDepthMax;) {
    line.push_back(id);
    const std::optional<std::string> stat = ReadSmallFile(absl::StrCat(root, "/proc/", id, "/stat"));
    id = stat ? ParentIn(*stat).value_or(0) : 0;
  }
  return line;
}

}  // namespace

OwnCgroup::OwnCgroup(std::string root)
    : root_(std::move(root)),
      unified_(FoldersUpwards(root_, "")),
      memory_v1_(FoldersUpwards(root_, "memory")),
      cpu_v1_(FoldersUpwards(root_, "cpu")) {}

std::optional<int64_t> OwnCgroup::MemoryBytesMax() const {
  std::optional<int64_t> lowest;
  for (const std::string& folder : unified_) {
    KeepLower(lowest, ParseMemoryLimit(ReadSmallFile(absl::StrCat(folder, "/memory.max")).value_or("")));
  }
  if (!memory_v1_.empty()) {
    const std::string stat = ReadSmallFile(absl::StrCat(memory_v1_[0], "/memory.stat")).value_or("");
    KeepLower(lowest, HierarchicalMemoryLimitIn(stat));
  }
  return lowest;
}

std::optional<double> OwnCgroup::CpuCountMax() const {
  std::optional<double> lowest;
  for (const std::string& folder : unified_) {
    KeepLower(lowest, ParseCpuMax(ReadSmallFile(absl::StrCat(folder, "/cpu.max")).value_or("")));
  }
  for (const std::string& folder : cpu_v1_) KeepLower(lowest, QuotaV1(folder));
  return lowest;
}

bool OwnCgroup::IsOwn() const {
  // The kernel gives every cgroup but the root a cgroup.events.
  if (unified_.empty() || !ReadSmallFile(absl::StrCat(unified_[0], "/cgroup.events"))) return false;
  const std::vector<int64_t> members =
      ParseProcesses(ReadSmallFile(absl::StrCat(unified_[0], "/cgroup.procs")).value_or(""));
  const std::vector<int64_t> line = SelfAndAncestors(root_);
  return !members.empty() && std::all_of(members.begin(), members.end(), [&line](int64_t id) {
    return std::find(line.begin(), line.end(), id) != line.end();
  });
}

PressureText OwnCgroup::Pressure(absl::string_view resource) const {
  if (unified_.empty()) return {};
  return ParsePressure(ReadSmallFile(absl::StrCat(unified_[0], "/", resource, ".pressure")).value_or(""));
}

}  // namespace headroom
