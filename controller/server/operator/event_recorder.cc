#include "controller/server/operator/event_recorder.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "controller/base/monitor.h"

namespace headroom {
namespace {

EventTime Now() {
  return {absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()), absl::Now()};
}

bool MaySucceedLater(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status) ||
         absl::IsCancelled(status);
}

}  // namespace

// Where events wait for the thread, and what became of them.
class EventRecorder::Inbox {
 public:
  struct Entry {
    EventTarget target;
    ClusterEvent event;
    EventTime at;
  };

  void Post(Entry entry) {
    const MonitorLock lock(mutex_);
    if (closed_) return;
    if (entries_.size() >= kQueueMax) {
      ++counts_.dropped;
      return;
    }
    entries_.push_back(std::move(entry));
    mutex_.Notify();
  }

  // All that has come; waits for the first at most so long. Nothing for good once it is closed.
  std::deque<Entry> Take(absl::Duration longest) {
    const MonitorLock lock(mutex_);
    if (entries_.empty() && !closed_ && longest > absl::ZeroDuration()) mutex_.Wait(longest);
    return std::exchange(entries_, {});
  }

  void Close() {
    const MonitorLock lock(mutex_);
    closed_ = true;
    entries_.clear();
    mutex_.Notify();
  }

  void Add(Counts more) {
    const MonitorLock lock(mutex_);
    counts_.written += more.written;
    counts_.dropped += more.dropped;
  }

  Counts counts() const {
    const MonitorLock lock(mutex_);
    return counts_;
  }

 private:
  mutable Monitor mutex_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

class EventRecorder::Listener final : public DecisionListener {
 public:
  Listener(std::shared_ptr<Inbox> inbox, EventTarget target) : inbox_(std::move(inbox)), target_(std::move(target)) {}
  void Offer(const Published& published) override {
    for (ClusterEvent& event : EventsOf(published)) inbox_->Post({target_, std::move(event), Now()});
  }

 private:
  const std::shared_ptr<Inbox> inbox_;
  const EventTarget target_;
};

EventRecorder::EventRecorder(kubernetes::Api& api, Options options)
    : api_(api),
      options_(std::move(options)),
      inbox_(std::make_shared<Inbox>()),
      series_(options_.instance),
      writes_({.burst = kWritesPerSecond, .refill = absl::Seconds(1) / kWritesPerSecond}, Now().steady),
      pause_(options_.pause),
      paused_until_(-absl::InfiniteDuration()),
      thread_([this] { Run(); }) {}

EventRecorder::~EventRecorder() {
  ending_.Cancel();
  inbox_->Close();
  thread_.join();
}

void EventRecorder::Record(const EventTarget& target, ClusterEvent event) {
  inbox_->Post({target, std::move(event), Now()});
}

std::shared_ptr<DecisionListener> EventRecorder::ListenerOf(EventTarget target) const {
  return std::make_shared<Listener>(inbox_, std::move(target));
}

EventRecorder::Counts EventRecorder::counts() const {
  return inbox_->counts();
}

void EventRecorder::Run() {
  while (!ending_.is_cancelled()) {
    const absl::Duration now = Now().steady;
    const absl::Duration free = std::max(paused_until_, now + writes_.Wait(now));
    for (Inbox::Entry& entry : inbox_->Take(std::max(free, series_.NextDue()) - now)) {
      if (!series_.Take(entry.target, entry.event, entry.at)) inbox_->Add({.dropped = 1});
    }
    const absl::Duration then = Now().steady;
    if (ending_.is_cancelled() || then < paused_until_) continue;
    const std::optional<EventSeries::Write> due = series_.Due(then);
    if (due.has_value() && writes_.Take(then)) Write(*due);
  }
}

void EventRecorder::Write(const EventSeries::Write& write) {
  kubernetes::ApiCall call = write.call;
  call.timeout = options_.call_timeout;
  call.cancellation = &ending_;
  const absl::Status result = api_.Call(call).status();
  const bool is_there = call.method == "POST" && absl::IsAlreadyExists(result);
  if (!result.ok() && !is_there) return Fail(write, result);
  EventSeries::Write told = write;
  if (is_there) told.count = 1;  // by a call whose answer was lost; it may have told of fewer
  series_.Written(told, Now().steady);
  inbox_->Add({.written = 1});
  pause_ = options_.pause;
  said_.clear();
}

void EventRecorder::Fail(const EventSeries::Write& write, const absl::Status& why) {
  if (write.call.method == "PATCH" && absl::IsNotFound(why)) return series_.Gone(write);
  if (ending_.is_cancelled()) return;
  if (options_.say != nullptr && said_.insert(why.code()).second)
    options_.say(absl::StrCat("Events cannot be written: ", why.message()));
  if (MaySucceedLater(why)) {
    paused_until_ = Now().steady + pause_;
    pause_ = std::min(2 * pause_, options_.pause_max);
    if (series_.Retry(write)) inbox_->Add({.dropped = write.count});
  } else {
    series_.Drop(write);
    inbox_->Add({.dropped = write.count});
  }
}

}  // namespace headroom
