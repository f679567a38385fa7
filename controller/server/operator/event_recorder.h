#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/providers/kubernetes/api.h"
#include "controller/server/decision_feed.h"
#include "controller/server/operator/event_series.h"

namespace headroom {

// EventRecorder: writes Events of StorageCluster objects, for all clusters of the process on one thread of its own, by
// the rules of EventSeries and at most kWritesPerSecond. Record() never waits: what is more than kQueueMax at a time,
// or refused by those rules, is dropped and counted. A write that fails because of the server or the way to it is tried
// again, EventSeries::kTriesMax times in all, and meanwhile no other is; one that is refused is dropped. Either is said
// once for each code until one succeeds.
//
// Thread-safe. What is not written when it ends never will be; its end waits for no answer.
class EventRecorder {
 public:
  static constexpr size_t kQueueMax = 1000;
  static constexpr int kWritesPerSecond = 5;

  struct Options {
    std::string instance;                                                    // of this process: the pod or the host
    absl::Duration pause = absl::Seconds(1), pause_max = absl::Seconds(30);  // after failures, doubling
    absl::Duration call_timeout = absl::Seconds(5);
    std::function<void(absl::string_view)> say = nullptr;  // what a person should know; the recorder's thread
  };
  struct Counts {
    int64_t written = 0, dropped = 0;  // writes, and events
  };

  // `api` outlives it.
  EventRecorder(kubernetes::Api& api, Options options);
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void Record(const EventTarget& target, ClusterEvent event);
  // Records the EventsOf() all decisions that it is offered. It may outlive the recorder, and then does nothing.
  std::shared_ptr<DecisionListener> ListenerOf(EventTarget target) const;

  Counts counts() const;

 private:
  class Inbox;
  class Listener;
  void Run();
  void Write(const EventSeries::Write& write);
  void Fail(const EventSeries::Write& write, const absl::Status& why);

  kubernetes::Api& api_;
  const Options options_;
  const std::shared_ptr<Inbox> inbox_;
  Cancellation ending_;
  // The thread's.
  EventSeries series_;
  TokenBucket writes_;
  absl::Duration pause_, paused_until_;
  std::set<absl::StatusCode> said_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace headroom
