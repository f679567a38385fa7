#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

#include "controller/providers/provider.h"
#include "controller/runtime/executor.h"
#include "controller/server/live_executor.h"
#include "controller/server/worker_pool.h"

namespace headroom {

// DryRunExecutor: answers every action with what would have become of it, marked hypothetical: a launch after the lead
// time, anything else at once. It has no provider and no channel to a node, so nothing can be touched; the one thing
// that it does is to list machines, which changes nothing. Start() never blocks.
class DryRunExecutor final : public Executor {
 public:
  struct Ports {
    MachineLister lister;
    Post post;
    Finish finish;
  };
  DryRunExecutor(Ports ports, absl::Duration lead_time);

  void Start(const Action& action) override;
  // As LiveExecutor's.
  void Stop() { pool_.Stop(); }
  // The policy's or the learned one. Any thread.
  void set_lead_time(absl::Duration lead_time) { lead_time_nanos_ = absl::ToInt64Nanoseconds(lead_time); }

 private:
  void List(const Action& action);

  Ports ports_;
  std::atomic<int64_t> lead_time_nanos_;
  WorkerPool pool_;  // last: its threads use the rest
};

}  // namespace headroom
