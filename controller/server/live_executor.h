#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/event.h"
#include "controller/providers/provider.h"
#include "controller/runtime/executor.h"
#include "controller/server/load_service.h"
#include "controller/server/worker_pool.h"

namespace headroom {

// Told of every outcome, and posts it to the loop. Any thread.
using Finish = std::function<void(const Action&, ActionFinished)>;

// How long a provider may take.
struct ProviderDeadlines {
  absl::Duration launch = absl::Seconds(60);
  absl::Duration terminate = absl::Seconds(60);
  absl::Duration list = absl::Seconds(20);
};

// LiveExecutor: carries decisions out. Grants, sheds, drains and server lists go to the streams at once; launches,
// terminations and lists to pools of threads, since a provider blocks. Every action ends in exactly one `finish`, a
// dropped one too. Start() never blocks and is called from the loop thread; `post` and `finish` are called from any.
class LiveExecutor final : public Executor {
 public:
  struct Ports {
    NodeControl& nodes;
    Provider& provider;
    Post post;
    Finish finish;
  };
  explicit LiveExecutor(Ports ports, ProviderDeadlines deadlines = {});

  void Start(const Action& action) override;
  // Launches and terminations that still wait for a thread are not begun: they finish as UNAVAILABLE. What a provider
  // was asked already ends as it ends; what is started later goes its way. Any thread.
  void DropWaiting() { ++era_; }
  // After a restart: actions whose outcome was never written are held against what the provider runs, never repeated. A
  // machine that was launched and one that is gone are finished; anything else fails, and the next tick decides anew.
  void Resolve(const std::vector<Action>& open_intents);

 private:
  void Dispatch(WorkerPool& pool, const Action& action, std::function<ActionFinished(const Action&)> work);
  ActionFinished Launch(const Action& action);
  ActionFinished Terminate(const Action& action);
  ActionFinished List(const Action& action);

  Ports ports_;
  const ProviderDeadlines deadlines_;
  std::atomic<int64_t> era_{0};  // the launches and terminations of an older one are dropped
  // Last: their threads use the rest. A termination waits for its node to end, and growth must not wait behind it.
  WorkerPool pool_, terminations_;
};

// What a status says as an outcome.
ActionFinished ToFinished(const Action& action, const absl::Status& status);

}  // namespace headroom
