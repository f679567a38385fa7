#include <algorithm>
#include <cmath>

#include "controller/core/signals/signal.h"

namespace headroom {
namespace {

// What one entry asks for, and for when.
struct Due {
  const CalendarEntry* entry;
  CalendarWindow window;
  std::optional<double> usual, connections, nodes;  // nodes: nothing where it cannot be told
};

// Nodes that growth by steps reaches within one more lead time at least; the rule is that of the guard `growth_step`,
// without what served lately.
int AfterStep(int nodes, double ratio) {
  return std::max(nodes + 1, static_cast<int>(std::ceil(nodes * ratio)));
}

// How long before its window an entry must ask so that its nodes serve when it begins: a lead time for each step.
absl::Duration AskAhead(const SignalInput& in, double nodes) {
  constexpr int kStepsMax = 30;
  const absl::Duration lead = in.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  int steps = 1;
  for (int reached = AfterStep(std::max(1, in.summary.serving), in.policy.nodes.growth_ratio_max);
       reached < nodes && steps < kStepsMax; ++steps) {
    reached = AfterStep(reached, in.policy.nodes.growth_ratio_max);
  }
  return steps * lead;
}

std::optional<double> UsualOf(const SignalInput& in, const CalendarWindow& window) {
  const absl::Duration lead = in.fleet.learned_lead_time().value_or(in.policy.nodes.lead_time);
  const absl::Time from = std::max(in.now, window.begin);
  std::optional<double> usual;
  if (in.usual != nullptr) usual = in.usual->Highest(from, std::min(from + lead, window.end));
  // What is there before it begins is usual too; what is there afterwards has been multiplied.
  const std::optional<double> present = KnownDemand(in.summary, in.policy);
  const bool brought = BringsDemand(in.policy.calendar, in.now);  // by another entry
  if (in.now < window.begin && !brought && present.has_value()) usual = std::max(usual.value_or(0), *present);
  return usual;
}

Due AskEntry(const SignalInput& in, const CalendarEntry& entry) {
  Due due{&entry, WindowOf(entry, in.now), {}, {}, {}};
  if (entry.node_count > 0) {
    due.nodes = entry.node_count;
    return due;
  }
  if (entry.connection_count > 0) {
    due.connections = static_cast<double>(entry.connection_count);
  } else if (due.usual = UsualOf(in, due.window); due.usual.has_value()) {
    due.connections = *due.usual * entry.multiply_ratio;
  }
  const int64_t per_node = ConnectionsPerNode(in.policy, in.summary);
  if (due.connections.has_value() && per_node > 0) due.nodes = NodesFor(*due.connections, per_node, in.policy);
  return due;
}

bool IsDue(const SignalInput& in, const Due& due) {
  return in.now < due.window.end && in.now >= due.window.begin - AskAhead(in, due.nodes.value_or(0));
}

Demand Answer(const SignalInput& in, const Due& due) {
  if (!due.nodes.has_value()) return Unknown("calendar", in.summary);
  std::optional<absl::Duration> begins_in;
  if (in.now < due.window.begin) begins_in = absl::Ceil(due.window.begin - in.now, absl::Minutes(1));
  std::optional<double> ratio;
  if (due.entry->multiply_ratio > 0) ratio = due.entry->multiply_ratio;
  return {"calendar", *due.nodes,
          MakeReason(ReasonCode::kSignalCalendar, due.entry->name, begins_in, ratio, due.usual, due.connections,
                     *due.nodes)};
}

}  // namespace

// Asks for what is due, early enough for every step of growth to be up; the largest of several. Like a forecast it can
// raise the answer and never lower it.
Demand CalendarDemand(const SignalInput& in) {
  std::optional<Due> largest;
  const CalendarEntry* next = nullptr;
  absl::Time next_at = absl::InfiniteFuture();
  for (const CalendarEntry& entry : in.policy.calendar) {
    const Due due = AskEntry(in, entry);
    if (IsDue(in, due)) {
      // One that cannot be told forbids shrinking, unless another one asks for nodes.
      if (!largest.has_value() || due.nodes.value_or(0) > largest->nodes.value_or(0)) largest = due;
    } else if (due.window.begin > in.now && due.window.begin < next_at) {
      next = &entry;
      next_at = due.window.begin;
    }
  }
  if (largest.has_value()) return Answer(in, *largest);
  return {"calendar", 0.0, MakeReason(ReasonCode::kSignalCalendarIdle, next == nullptr ? "" : next->name)};
}

}  // namespace headroom
