#include "controller/server/decision_feed.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace headroom {

namespace {

// An alarm stays the same one while its numbers change: its code, and what it is of.
using AlarmKey = std::pair<ReasonCode, absl::string_view>;

AlarmKey KeyOf(const Reason& alarm) {
  const auto* text = alarm.arguments.empty() ? nullptr : std::get_if<std::string>(&alarm.arguments.front());
  return {alarm.code, text == nullptr ? absl::string_view() : *text};
}

// There may be an alarm of each of 10,000 nodes.
std::vector<Reason> Without(const std::vector<Reason>& alarms, const std::vector<Reason>& others) {
  absl::flat_hash_set<AlarmKey> same;
  for (const Reason& other : others) same.insert(KeyOf(other));
  std::vector<Reason> left;
  for (const Reason& alarm : alarms) {
    if (!same.contains(KeyOf(alarm))) left.push_back(alarm);
  }
  return left;
}

}  // namespace

Published DecisionFeed::Publish(std::shared_ptr<const Decision> decision) {
  Published published{.decision = std::move(decision)};
  std::shared_ptr<const Decision> last;
  {
    absl::MutexLock lock(&mutex_);
    last = std::exchange(last_, published.decision);
    if (Acts(*published.decision)) last_acting_ = published.decision;
  }
  static const Decision kNone;
  const Decision& before = last == nullptr ? kNone : *last;
  published.diagnosis_changed = published.decision->diagnosis.cause != before.diagnosis.cause;
  published.alarms_begun = Without(published.decision->alarms, before.alarms);
  published.alarms_ended = Without(before.alarms, published.decision->alarms);
  for (const auto& watcher : Watchers()) watcher->Offer(published);
  return published;
}

absl::Status DecisionFeed::Subscribe(const std::shared_ptr<DecisionListener>& listener) {
  if (Watchers().size() >= kWatchersMax) {
    return absl::ResourceExhaustedError("too many watch already; end one of them");
  }
  absl::MutexLock lock(&mutex_);
  if (!closed_.ok()) return closed_;
  watchers_.push_back(listener);
  return absl::OkStatus();
}

void DecisionFeed::Close(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = why;
  }
  for (const auto& watcher : Watchers()) watcher->Close(why);
}

std::shared_ptr<const Decision> DecisionFeed::last_acting() const {
  absl::MutexLock lock(&mutex_);
  return last_acting_;
}

std::vector<std::shared_ptr<DecisionListener>> DecisionFeed::Watchers() {
  std::vector<std::shared_ptr<DecisionListener>> watchers;
  absl::MutexLock lock(&mutex_);
  const auto gone = [&](const std::weak_ptr<DecisionListener>& weak) {
    auto watcher = weak.lock();
    if (watcher == nullptr) return true;
    watchers.push_back(std::move(watcher));
    return false;
  };
  watchers_.erase(std::remove_if(watchers_.begin(), watchers_.end(), gone), watchers_.end());
  return watchers;
}

}  // namespace headroom
