#include "storage_node/sampler/sampler.h"

#include <algorithm>

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "storage_node/proto_time.h"
#include "storage_node/sampler/kernel_text.h"
#include "storage_node/sampler/small_file.h"

namespace headroom {
namespace {

constexpr absl::Duration kSlowInterval = absl::Milliseconds(200);
constexpr absl::Duration kOwnerInterval = absl::Seconds(10);  // who lives in a cgroup seldom changes
constexpr absl::Duration kStallWindow = absl::Seconds(1);     // shorter shares of time are noise

int64_t SoftDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 0;
  return static_cast<int64_t>(limit.rlim_cur);
}

int64_t ResidentBytes() {
  const std::string statm = ReadSmallFile("/proc/self/statm").value_or("");
  return ResidentPagesIn(statm).value_or(0) * sysconf(_SC_PAGESIZE);
}

int64_t MachineBytes() {
  struct sysinfo machine {};
  if (sysinfo(&machine) != 0) return 0;
  return static_cast<int64_t>(machine.totalram) * machine.mem_unit;
}

absl::Duration CpuTime() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return absl::ZeroDuration();
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

double AllowedCpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) return CPU_COUNT(&cpus);
  return static_cast<double>(std::max(0L, sysconf(_SC_NPROCESSORS_ONLN)));  // more than 1024 of them
}

}  // namespace

std::optional<int64_t> OpenDescriptorCount() {
  struct stat folder {};
  if (stat("/proc/self/fd", &folder) != 0) return std::nullopt;
  if (folder.st_size > 0) return folder.st_size;  // Linux 6.2 and later tell the number there
  DIR* entries = opendir("/proc/self/fd");
  if (entries == nullptr) return std::nullopt;
  int64_t count = 0;
  while (const dirent* entry = readdir(entries)) count += entry->d_name[0] == '.' ? 0 : 1;
  closedir(entries);
  return count - 1;  // the one that reads
}

Sampler::Sampler(SamplerOptions options) : options_(std::move(options)), namespace_(options_.sole_reporter) {}

KernelSample Sampler::Sample(absl::Time now) {
  if (now - read_at_ >= kSlowInterval) {
    read_at_ = now;
    ReadNamespace();
    ReadResources();
    ReadPressure(now);
  }
  KernelSample sample = slow_;
  ReadListeners(sample.listener);
  return sample;
}

void Sampler::ReadListeners(v1::Listener& listener) const {
  const auto add = [&listener](const absl::StatusOr<ListenerQueue>& queue) {
    if (!queue.ok()) return;
    listener.set_accept_queue_count(listener.accept_queue_count() + queue->waiting_count);
    listener.set_accept_queue_count_max(listener.accept_queue_count_max() + queue->waiting_count_max);
    listener.set_drop_count(listener.drop_count() + queue->drop_count.value_or(0));
  };
  for (const int socket : options_.own_listeners) add(ReadOwnListener(socket));
  for (const uint16_t port : options_.listener_ports) add(ReadListenersOn(port));
}

void Sampler::ReadNamespace() {
  slow_.listener.Clear();
  const std::optional<NamespaceCount> count = namespace_.Read();
  if (!count) return;
  if (count->overflow_count) slow_.listener.set_overflow_count(*count->overflow_count);
  slow_.listener.set_segment_out_count(count->segment_out_count);
  slow_.listener.set_retransmit_count(count->retransmit_count);
}

void Sampler::ReadResources() {
  v1::Resources& resources = slow_.resources;
  resources.Clear();
  resources.set_fd_count(OpenDescriptorCount().value_or(0));
  resources.set_fd_count_max(SoftDescriptorLimit());
  resources.set_memory_bytes(ResidentBytes());
  resources.set_memory_bytes_max(cgroup_.MemoryBytesMax().value_or(MachineBytes()));
  *resources.mutable_cpu_time() = ToProto(CpuTime());
  resources.set_cpu_count(std::min(AllowedCpus(), cgroup_.CpuCountMax().value_or(AllowedCpus())));
}

void Sampler::ReadPressure(absl::Time now) {
  if (now - owner_read_at_ >= kOwnerInterval) {
    owner_read_at_ = now;
    owns_cgroup_ = cgroup_.IsOwn();
  }
  if (!owns_cgroup_) return;
  v1::Resources& resources = slow_.resources;
  if (const auto ratio = StallRatio("cpu", cgroup_.Pressure("cpu").some, now)) resources.set_cpu_some_ratio(*ratio);
  if (const auto ratio = StallRatio("memory", cgroup_.Pressure("memory").full, now)) {
    resources.set_memory_full_ratio(*ratio);
  }
  if (const auto ratio = StallRatio("io", cgroup_.Pressure("io").full, now)) resources.set_io_full_ratio(*ratio);
}

// The share of the last second or so; the first time, the kernel's own average over 10 s.
std::optional<double> Sampler::StallRatio(absl::string_view resource, const std::optional<Stall>& stall,
                                          absl::Time now) {
  if (!stall) return std::nullopt;
  const auto [it, is_new] = stalls_.try_emplace(std::string(resource), StallMark{now, stall->total, stall->ratio_10s});
  StallMark& mark = it->second;
  if (!is_new && now - mark.at >= kStallWindow) {
    mark.ratio = std::clamp(absl::FDivDuration(stall->total - mark.total, now - mark.at), 0.0, 1.0);
    mark.at = now;
    mark.total = stall->total;
  }
  return mark.ratio;
}

}  // namespace headroom
