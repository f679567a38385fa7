#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

#include "controller/base/latency_histogram.h"
#include "controller/core/limits/knee.h"
#include "controller/core/limits/law.h"
#include "headroom/v1/load.pb.h"
#include "storage_node/gate/gate.h"
#include "storage_node/sampler/sampler.h"

namespace headroom {

// One look at a node.
struct NodeSample {
  GateCounters gate;
  KernelSample kernel;
};

// NodeHistory: what a node knows of its own last hour. It turns samples into the inputs of the limit law, so that the
// node can govern itself, and learns what a healthy node looks like: the latency under light load, the most
// connections carried in good health, and its knee. Samples come about once a second, and between them when something
// turns; a window closes when a second has passed. Bounded: 600 windows and 60 minutes. Pure, thread-compatible; times
// are monotonic.
class NodeHistory {
 public:
  explicit NodeHistory(LimitPolicy policy) : policy_(policy) {}

  void Add(const NodeSample& sample, absl::Time now);

  // Of the last sample and the windows before it. Configured values and ceilings are the caller's to add.
  LimitInputs Inputs() const;

  // Takes over what was learned before a restart.
  void Recall(const v1::Learned& learned);
  v1::Learned Learned() const;

 private:
  struct Window {
    absl::Time end;
    int64_t demand_count = 0;  // open and waiting at its end
    int64_t active_count = 0;  // at its end
    int64_t rejected_count = 0, dropped_count = 0;
    int64_t completed_count = 0, error_count = 0;
    double seconds = 0;
    std::optional<absl::Duration> latency_p50;
    absl::Duration latency_mean;
  };
  static constexpr size_t kWindows = 600;
  static constexpr size_t kMinutes = 60;
  static constexpr size_t kQuietWindows = 512;

  Window MeasureSince(const NodeSample& mark, absl::Time since) const;
  void CloseWindow(absl::Time now);
  void NotePeak(absl::Time now);
  void LearnFrom(const Window& window);
  void LearnKnee(const Window& window);
  void LearnBaseline(absl::Duration latency_p50);
  double SlopePerSecond() const;
  int64_t WaitingCount() const;

  const LimitPolicy policy_;
  NodeSample now_, mark_;  // the last sample, and the one at which the open window began
  absl::Time at_ = absl::InfinitePast(), marked_at_ = absl::InfinitePast();
  std::deque<Window> windows_;        // oldest first
  std::deque<int64_t> minute_peaks_;  // of open and waiting, the current minute last
  absl::Time minute_end_ = absl::InfinitePast();
  std::deque<absl::Duration> quiet_latencies_;  // medians of windows under light load
  std::optional<absl::Duration> recalled_baseline_, baseline_;
  int64_t proven_count_ = 0;
  KneeEstimator knee_;
  std::optional<Knee> knee_told_;
};

}  // namespace headroom
