#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "headroom/v1/load.pb.h"
#include "storage_node/sampler/cgroup.h"
#include "storage_node/sampler/listener_queue.h"
#include "storage_node/sampler/namespace_counters.h"

namespace headroom {

struct SamplerOptions {
  std::vector<int> own_listeners;        // sockets of this process
  std::vector<uint16_t> listener_ports;  // listeners of other processes
  SoleReporter sole_reporter = SoleReporter::kAuto;
};

// What the kernel says at one moment, as it goes on the wire.
struct KernelSample {
  v1::Listener listener;
  v1::Resources resources;
};

// Sampler: what the kernel says of this process and its listeners. Nothing fails: a source that is missing is an absent
// field, or the zero that the protocol calls unknown. Listeners are read at every call; the rest, which costs more,
// when it is older than 200 ms. Cheap: about 250 us a full sample, 1 us for an own listener, and it does not grow with
// connections where the kernel tells the number of descriptors (6.2 and later). Thread-compatible; `now` is a monotonic
// time.
class Sampler {
 public:
  explicit Sampler(SamplerOptions options);

  KernelSample Sample(absl::Time now);

 private:
  void ReadListeners(v1::Listener& listener) const;
  void ReadNamespace();
  void ReadResources();
  void ReadPressure(absl::Time now);
  std::optional<double> StallRatio(absl::string_view resource, const std::optional<Stall>& stall, absl::Time now);

  const SamplerOptions options_;
  OwnCgroup cgroup_;
  NamespaceCounters namespace_;
  absl::Time read_at_ = absl::InfinitePast();
  absl::Time owner_read_at_ = absl::InfinitePast();
  bool owns_cgroup_ = false;
  KernelSample slow_;  // all but the listeners
  struct StallMark {
    absl::Time at;
    absl::Duration total;
    double ratio = 0;  // as last told
  };
  std::map<std::string, StallMark, std::less<>> stalls_;
};

// Descriptors that this process has open. Absent: /proc is not there.
std::optional<int64_t> OpenDescriptorCount();

}  // namespace headroom
