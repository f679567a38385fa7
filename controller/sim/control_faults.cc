#include "controller/sim/control_faults.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headroom::sim {
namespace {

// Streams are opened again after a pause.
constexpr absl::Duration kReconnectMin = absl::Seconds(1);

// The largest numbers that the wire lets through.
constexpr int64_t kConnectionsMax = 10'000'000, kCounterMax = int64_t{1} << 53;

// What begins or ends the stream of a node: its id, else nothing.
const NodeId* StreamOf(const Event& event) {
  if (const auto* joined = std::get_if<NodeJoined>(&event)) return &joined->node;
  if (const auto* left = std::get_if<NodeLeft>(&event)) return &left->node;
  return nullptr;
}

}  // namespace

void ControlFaults::Take(absl::Time now, Event event) {
  if (const auto* report = std::get_if<NodeReported>(&event)) return TakeReport(now, *report);
  absl::Time at = now;
  if (const NodeId* node = StreamOf(event); node != nullptr) {
    std::erase_if(waiting_, [node](const auto& waiting) {
      const NodeId* other = StreamOf(waiting.second);
      return other != nullptr && *other == *node;
    });
    const bool joins = std::holds_alternative<NodeJoined>(event);
    if (Happens(joins ? settings_.hello_late_ratio : settings_.leave_late_ratio)) at += kReconnectMin + Lateness();
  }
  Deliver(at, std::move(event));
}

void ControlFaults::TakeReport(absl::Time now, const NodeReported& event) {
  if (Happens(settings_.report_forged_ratio)) Deliver(now, Forge(event));
  if (Happens(settings_.report_lost_ratio)) return;
  if (Happens(settings_.report_twice_ratio)) Deliver(now + Lateness(), event);
  const bool late = Happens(settings_.report_late_ratio);
  Deliver(late ? now + Lateness() : now, event);
}

// Of a process that is not the node's, or of a node that nobody knows.
NodeReported ControlFaults::Forge(NodeReported event) {
  NodeReport& report = event.report;
  if (Index(random_, 2) == 0) {
    report.boot_id = absl::StrCat(report.boot_id, "-of-another");
  } else {
    event.node = absl::StrCat(event.node, "-unknown");
  }
  const bool empty = Index(random_, 2) == 0;
  report.open_count = empty ? 0 : kConnectionsMax;
  report.active_count = report.open_count;
  report.limits.connection_count_max = empty ? 1 : kConnectionsMax;
  report.counters.completed = report.counters.errors = empty ? 0 : kCounterMax;
  report.state = empty ? ServerState::kDraining : ServerState::kServing;
  report.urgency = Urgency::kRejection;
  return event;
}

std::vector<Event> ControlFaults::Due(absl::Time now) {
  std::vector<Event> due;
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    due.push_back(std::move(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
  }
  return due;
}

ControlFaults::Call ControlFaults::CallProvider(const Action& action) {
  Call call;
  const absl::Duration slowness = (settings_.call_max - settings_.call_min) * Uniform(random_);
  call.until_done = settings_.call_min + absl::Trunc(slowness, absl::Milliseconds(1));
  const bool launches = std::holds_alternative<LaunchNode>(action.body);
  if (Happens(settings_.call_refused_ratio)) {
    call.refused = absl::UnavailableError("the provider is throttled");
  } else if (launches && Happens(settings_.stock_out_ratio)) {
    call.refused = absl::ResourceExhaustedError("the provider has no machine left");
  }
  const bool lost = call.refused.ok() && Happens(settings_.answer_lost_ratio);
  if (!lost) call.until_told = call.until_done + settings_.call_min;
  return call;
}

}  // namespace headroom::sim
