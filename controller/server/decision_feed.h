#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "controller/core/decision.h"

namespace headroom {

// A decision as it was published.
struct Published {
  std::shared_ptr<const Decision> decision;
  // Against the decision before it.
  bool diagnosis_changed = false;
  std::vector<Reason> alarms_begun, alarms_ended;  // an alarm is known by its code and what it is of
  bool IsNoteworthy() const { return diagnosis_changed || Acts(*decision); }
};

// Told of decisions. Offer() must not block: it runs on the loop thread.
class DecisionListener {
 public:
  virtual ~DecisionListener() = default;
  virtual void Offer(const Published& published) = 0;
  // There will be no more. From any thread.
  virtual void Close(const absl::Status& /*why*/) {}
};

// DecisionFeed: decisions from the loop to whoever watches. Watchers are held weakly: one that is gone is forgotten
// with the next decision. Publish() from the loop thread, the rest from any.
class DecisionFeed {
 public:
  static constexpr size_t kWatchersMax = 200;

  // Returns what was published, with its difference from the one before.
  Published Publish(std::shared_ptr<const Decision> decision);
  // RESOURCE_EXHAUSTED: there are kWatchersMax already. What Close() said: it was closed.
  absl::Status Subscribe(const std::shared_ptr<DecisionListener>& listener);
  // Nothing is published any more.
  void Close(const absl::Status& why);
  // The last decision that acted; null: none since the process started.
  std::shared_ptr<const Decision> last_acting() const;

 private:
  std::vector<std::shared_ptr<DecisionListener>> Watchers();

  mutable absl::Mutex mutex_;
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Decision> last_ ABSL_GUARDED_BY(mutex_), last_acting_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<DecisionListener>> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
