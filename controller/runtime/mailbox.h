#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/core/event.h"

namespace headroom {

// Mailbox: the only way into the control loop. Order is kept, with one exception: a report takes the place of an older
// one of the same node (or balancer) and boot that still waits, unless the node joined or left in between. Counters are
// cumulative, so nothing is lost by that, and the stronger urgency of the two is kept. A report that is older than the
// waiting one is dropped.
//
// Its size is bounded: by the reporters plus kOthersMax. Beyond that, what can be asked again is refused with
// RESOURCE_EXHAUSTED: operators' commands, new policies, joins (the server ends that stream). Facts that nobody repeats
// (a node left, an action ended, a term began) are always taken; their number is bounded by streams and actions.
//
// Post() and Wake() from any thread; Drain() and Wait() from the loop's only.
class Mailbox {
 public:
  static constexpr size_t kOthersMax = 100'000;
  // Known reporters; when there are more, those of long ago are forgotten (they are found again by their next report).
  static constexpr size_t kReportersMax = 50'000;
  // A calm report may wait so long for others, so that 10,000 of them a second do not cost 10,000 wakings.
  static constexpr absl::Duration kGather = absl::Milliseconds(5);

  absl::Status Post(Event&& event);
  // All of them, as one by one; the first refusal is the answer, and the others are taken all the same. What is left in
  // `events` is of no use but for its memory: where nothing waits, the two change their places.
  absl::Status PostAll(std::vector<Event>& events);
  // Everything that waits, in order. `emptied` is the last batch: its memory is used again.
  std::vector<Event> Drain(std::vector<Event> emptied = {});

  // Returns when something waits, after Wake(), or after `longest`.
  void Wait(absl::Duration longest);
  void Wake();

 private:
  // The report of a reporter that waits: events_[index], if `batch` is the current one.
  struct Slot {
    uint64_t batch = 0;
    size_t index = 0;
  };
  absl::Status Take(Event&& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether this is a node's report that can wait at that place, since no other one of its node waits.
  bool WaitsAt(size_t index, const Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename Reported>
  bool Replaces(Slot& slot, Reported& newer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Append(Event&& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes `event` over unless a waiting report makes it needless; replaces that where it can.
  void TakeReport(Event&& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndSlot(const Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The loop should not gather, but look at once.
  void Press() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Monitor mutex_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  size_t others_ ABSL_GUARDED_BY(mutex_) = 0;  // events that are no reports
  bool pressing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t batch_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<std::string, Slot> nodes_ ABSL_GUARDED_BY(mutex_), balancers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
