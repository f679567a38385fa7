#include "controller/server/decision_feed.h"

#include <algorithm>
#include <utility>

namespace headroom {

namespace {

// An alarm stays the same one while its numbers change.
bool IsSameAlarm(const Reason& a, const Reason& b) {
  const auto subject = [](const Reason& alarm) {
    const auto* text = alarm.arguments.empty() ? nullptr : std::get_if<std::string>(&alarm.arguments.front());
    return text == nullptr ? std::string() : *text;
  };
  return a.code == b.code && subject(a) == subject(b);
}

std::vector<Reason> Without(const std::vector<Reason>& alarms, const std::vector<Reason>& others) {
  std::vector<Reason> left;
  for (const Reason& alarm : alarms) {
    const auto same = [&](const Reason& other) { return IsSameAlarm(alarm, other); };
    if (std::none_of(others.begin(), others.end(), same)) left.push_back(alarm);
  }
  return left;
}

}  // namespace

Published DecisionFeed::Publish(std::shared_ptr<const Decision> decision) {
  Published published{.decision = std::move(decision)};
  {
    absl::MutexLock lock(&mutex_);
    published.diagnosis_changed = published.decision->diagnosis.cause != last_cause_;
    last_cause_ = published.decision->diagnosis.cause;
    const std::vector<Reason>& alarms = published.decision->alarms;
    if (!alarms.empty() || !last_alarms_.empty()) {
      published.alarms_begun = Without(alarms, last_alarms_);
      published.alarms_ended = Without(last_alarms_, alarms);
      last_alarms_ = alarms;
    }
    if (Acts(*published.decision)) last_acting_ = published.decision;
  }
  for (const auto& watcher : Watchers()) watcher->Offer(published);
  return published;
}

bool DecisionFeed::Subscribe(const std::shared_ptr<DecisionListener>& listener) {
  if (Watchers().size() >= kWatchersMax) return false;
  absl::MutexLock lock(&mutex_);
  watchers_.push_back(listener);
  return true;
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
