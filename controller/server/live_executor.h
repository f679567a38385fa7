#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/core/event.h"
#include "controller/providers/provider.h"
#include "controller/runtime/executor.h"
#include "controller/server/load_intake.h"
#include "controller/server/worker_pool.h"

namespace headroom {

// Told of every outcome, and posts it to the loop. Any thread.
using Finish = std::function<void(const Action&, ActionFinished)>;

// How long a provider may take, and how often it is asked.
struct ProviderDeadlines {
  absl::Duration launch = absl::Seconds(60);
  absl::Duration terminate = absl::Seconds(60);
  absl::Duration list = absl::Seconds(20);
  // Between looks for what became of actions of before, and how many.
  absl::Duration look_pause = absl::Seconds(2);
  int looks_max = 60;
};

// LiveExecutor: carries decisions out. The first that the provider is asked for in each term is to fence off older
// ones. Grants, sheds, drains and server lists go to the streams at once; launches, terminations and lists to pools of
// threads, since a provider blocks. Every action ends in exactly one `finish`, a dropped one too. Start() never blocks
// and is called from the loop thread; `post` and `finish` are called from any.
class LiveExecutor final : public Executor {
 public:
  struct Ports {
    NodeControl& nodes;
    Provider& provider;
    Post post;
    Finish finish;
    std::function<void(int64_t)> saw_term;  // a controller of this term has acted on the platform; any thread
  };
  explicit LiveExecutor(Ports ports, ProviderDeadlines deadlines = {});

  void Start(const Action& action) override;
  // Waits for the calls that are under way; what waits is dropped, and nothing begins from now on.
  void Stop() {
    pool_.Stop();
    terminations_.Stop();
  }
  // Launches and terminations that still wait for a thread are not begun: they finish as UNAVAILABLE. What a provider
  // was asked already ends as it ends; what is started later goes its way. Any thread.
  void DropWaiting() { ++era_; }
  // After a restart: actions whose outcome was never written are held against what the provider runs, never repeated. A
  // machine that was launched and one that is gone are finished; anything else fails, and the next tick decides anew.
  // What the provider cannot tell now is asked again, until the core gives the actions up. The `term` of
  // then is fenced first, so that nothing of an older one comes after the look; 0: a dry run fences nothing.
  void Resolve(const std::vector<Action>& open_intents, std::function<int64_t()> term);

 private:
  void Dispatch(WorkerPool& pool, const Action& action, std::function<ActionFinished(const Action&)> work);
  absl::Status Fence(int64_t term);
  absl::StatusOr<std::vector<Machine>> Look(int64_t term);
  void TryToResolve(const std::vector<Action>& open_intents, const std::function<int64_t()>& term, int tries);
  ActionFinished Launch(const Action& action);
  ActionFinished Terminate(const Action& action);
  ActionFinished List(const Action& action);

  Ports ports_;
  const ProviderDeadlines deadlines_;
  Monitor fence_mutex_;  // held by whoever fences; the others wait for it
  int64_t fenced_term_ ABSL_GUARDED_BY(fence_mutex_) = 0;
  std::atomic<int64_t> era_{0};  // the launches and terminations of an older one are dropped
  // Last: their threads use the rest. A termination waits for its node to end, and growth must not wait behind it.
  WorkerPool pool_, terminations_;
};

// What a status says as an outcome.
ActionFinished ToFinished(const Action& action, const absl::Status& status);

}  // namespace headroom
