#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/base/clock.h"
#include "controller/base/monitor.h"
#include "controller/core/event.h"
#include "controller/providers/provider.h"
#include "controller/sim/simulated_cluster.h"
#include "headroom/v1/policy.pb.h"

namespace headroom {

struct SimulatedProviderOptions {
  v1::SimulatedProvider settings;  // what is left out is as in sim/cluster_model.h
  absl::Duration report_interval = absl::Seconds(1);
  absl::Time start;  // of the cluster's time
};

// SimulatedProvider: a live cluster inside the daemon, so that anyone can try it with no storage at all. A thread moves
// the cluster through time at settings.speed and posts what its reporters say, as if it had come over streams. It is
// the provider and the way to the nodes at once.
//
// It owns time: Now() is the cluster's, and a daemon that uses it as its clock has every window of its policy in the
// cluster's time. Where the machine is too slow for the speed, time goes slower; it never jumps.
//
// Thread-safe. Beyond the codes of Provider and NodeControl there are none.
class SimulatedProvider final : public Provider, public NodeControl, public Clock {
 public:
  using Post = std::function<absl::Status(Event)>;

  explicit SimulatedProvider(const SimulatedProviderOptions& options);
  ~SimulatedProvider() override;
  SimulatedProvider(const SimulatedProvider&) = delete;
  SimulatedProvider& operator=(const SimulatedProvider&) = delete;

  // Lets time flow. `post` is called from the thread, under no lock, until Stop(). Once.
  void Start(Post post);
  void Stop();

  absl::Time Now() const override { return absl::FromUnixNanos(now_nanos_.load()); }

  ProviderCapabilities capabilities() const override { return {.named_termination = true, .zones = true}; }
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) override;
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) override;
  absl::Status Terminate(const NodeId& node, absl::Duration timeout) override;
  absl::Status Send(const Action& action) override;

  // What clients have seen since the start.
  sim::ClientStatistics Clients() const;

 private:
  void Flow(const Post& post);
  // Moves the cluster at most so far; what its reporters said.
  std::vector<Event> Advance(absl::Duration real);

  const double speed_;
  std::atomic<int64_t> now_nanos_;
  mutable Monitor mutex_;
  sim::SimulatedCluster cluster_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace headroom
