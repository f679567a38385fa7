#include "controller/runtime/mailbox.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>
#include <variant>

namespace headroom {
namespace {

// No time of day: it may be set back.
using SteadyClock = std::chrono::steady_clock;

SteadyClock::time_point After(absl::Duration wait) {
  return SteadyClock::now() + absl::ToChronoNanoseconds(std::min(wait, absl::Hours(1)));
}

absl::Duration Until(SteadyClock::time_point at) {
  return absl::FromChrono(at - SteadyClock::now());
}

// What its sender can send again.
bool CanBeRefused(const Event& event) {
  return std::holds_alternative<NodeJoined>(event) || std::holds_alternative<BalancerJoined>(event) ||
         std::holds_alternative<PolicyChanged>(event) || std::holds_alternative<ModeChosen>(event) ||
         std::holds_alternative<HoldChanged>(event) || std::holds_alternative<OverrideSet>(event) ||
         std::holds_alternative<NodeLimitFixed>(event) || std::holds_alternative<NodePinned>(event) ||
         std::holds_alternative<DrainRequested>(event);
}

bool IsReport(const Event& event) {
  return std::holds_alternative<NodeReported>(event) || std::holds_alternative<BalancerReported>(event);
}

// What hurts clients first comes first; that a directive was applied is news to nobody but the limit's watch.
int Strength(Urgency urgency) {
  switch (urgency) {
    case Urgency::kNone:
      return 0;
    case Urgency::kApplied:
      return 1;
    case Urgency::kState:
      return 2;
    case Urgency::kPressure:
      return 3;
    case Urgency::kLimitReached:
      return 4;
    case Urgency::kRejection:
      return 5;
  }
  return 0;
}

void KeepUrgency(const NodeReport& older, NodeReport& newer) {
  if (Strength(older.urgency) > Strength(newer.urgency)) newer.urgency = older.urgency;
}
void KeepUrgency(const BalancerReport&, BalancerReport&) {}

}  // namespace

absl::Status Mailbox::Post(Event&& event) {
  MonitorLock lock(mutex_);
  return Take(std::move(event));
}

absl::Status Mailbox::PostAll(std::vector<Event>& events) {
  MonitorLock lock(mutex_);
  size_t taken = 0;
  if (events_.empty() && !events.empty()) {
    while (taken < events.size() && WaitsAt(taken, events[taken])) ++taken;
    const auto rest = events.begin() + static_cast<std::ptrdiff_t>(taken);
    std::vector<Event> others(std::make_move_iterator(rest), std::make_move_iterator(events.end()));
    events.erase(rest, events.end());
    events_.swap(events);
    events.assign(std::make_move_iterator(others.begin()), std::make_move_iterator(others.end()));
    if (taken > 0) mutex_.Notify();
  }
  absl::Status status;
  for (Event& event : events) status.Update(Take(std::move(event)));
  return status;
}

bool Mailbox::WaitsAt(size_t index, const Event& event) {
  const auto* reported = std::get_if<NodeReported>(&event);
  if (reported == nullptr) return false;
  Slot& slot = nodes_[reported->node];
  if (slot.batch == batch_) return false;
  slot = {batch_, index};
  if (reported->report.urgency != Urgency::kNone) Press();
  return true;
}

absl::Status Mailbox::Take(Event&& event) {
  if (IsReport(event)) {
    TakeReport(std::move(event));
    return absl::OkStatus();
  }
  if (others_ >= kOthersMax && CanBeRefused(event)) {
    return absl::ResourceExhaustedError("the controller is behind: try again later");
  }
  EndSlot(event);
  ++others_;
  Press();
  Append(std::move(event));
  return absl::OkStatus();
}

void Mailbox::Append(Event&& event) {
  events_.push_back(std::move(event));
  if (events_.size() == 1) mutex_.Notify();
}

void Mailbox::Press() {
  if (!std::exchange(pressing_, true)) mutex_.Notify();
}

void Mailbox::TakeReport(Event&& event) {
  const auto take = [&](auto& reported, Slot& slot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (slot.batch == batch_ && Replaces(slot, reported)) return;
    slot = {batch_, events_.size()};
    Append(std::move(event));
  };
  if (auto* node = std::get_if<NodeReported>(&event)) {
    if (node->report.urgency != Urgency::kNone) Press();
    take(*node, nodes_[node->node]);
  } else if (auto* balancer = std::get_if<BalancerReported>(&event)) {
    take(*balancer, balancers_[balancer->balancer]);
  }
}

// Whether nothing is left to append: `newer` took the waiting report's place, or is the older of the two.
template <typename Reported>
bool Mailbox::Replaces(Slot& slot, Reported& newer) {
  auto& waiting = std::get<Reported>(events_[slot.index]).report;
  if (waiting.boot_id != newer.report.boot_id) return false;
  if (newer.report.sequence <= waiting.sequence) return true;
  KeepUrgency(waiting, newer.report);
  waiting = std::move(newer.report);
  return true;
}

void Mailbox::EndSlot(const Event& event) {
  if (const auto* joined = std::get_if<NodeJoined>(&event)) nodes_.erase(joined->node);
  if (const auto* left = std::get_if<NodeLeft>(&event)) nodes_.erase(left->node);
  if (const auto* joined = std::get_if<BalancerJoined>(&event)) balancers_.erase(joined->balancer);
  if (const auto* left = std::get_if<BalancerLeft>(&event)) balancers_.erase(left->balancer);
}

std::vector<Event> Mailbox::Drain(std::vector<Event> emptied) {
  emptied.clear();
  MonitorLock lock(mutex_);
  emptied.swap(events_);
  others_ = 0;
  pressing_ = false;
  ++batch_;
  if (nodes_.size() > kReportersMax) nodes_.clear();
  if (balancers_.size() > kReportersMax) balancers_.clear();
  return emptied;
}

void Mailbox::Wait(absl::Duration longest) {
  MonitorLock lock(mutex_);
  const SteadyClock::time_point longest_until = After(longest);
  while (!pressing_ && events_.empty()) {
    if (SteadyClock::now() >= longest_until) return;
    mutex_.Wait(Until(longest_until));
  }
  const SteadyClock::time_point gathered = After(kGather);
  while (!pressing_ && SteadyClock::now() < gathered) mutex_.Wait(Until(gathered));
}

void Mailbox::Wake() {
  MonitorLock lock(mutex_);
  Press();
}

}  // namespace headroom
