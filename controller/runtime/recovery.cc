#include "controller/runtime/recovery.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "controller/base/status.h"

namespace headroom {
namespace {

// Nothing else waits for the disk yet.
constexpr absl::Duration kTermWaitMax = absl::Seconds(10);

// Returns the time of the last thing that the core was given.
absl::Time GiveAgain(const Recovered& recovered, Autoscaler& core) {
  absl::Time last =
      std::max(recovered.snapshot ? recovered.snapshot->at : absl::InfinitePast(), core.Save().last_tick_at);
  for (const Recorded& record : recovered.since) {
    const bool in_order = record.at >= last;  // or the journal is not as it was written
    last = std::max(last, record.at);
    if (record.event)
      core.Observe(record.at, *record.event);
    else if (recovered.complete && in_order)
      core.Tick(record.at);
  }
  return last;
}

// Intents reach the disk before the events of the same tick may have.
void ObserveOpenIntents(const std::vector<Action>& intents, absl::Time at, Autoscaler& core) {
  for (const Action& intent : intents) {
    if (!core.fleet().in_flight().contains(intent.id)) core.Observe(at, ActionStarted{intent});
  }
}

void ObserveEndOfStreams(absl::Time at, Autoscaler& core) {
  std::vector<Event> ends;
  for (const auto& [id, node] : core.fleet().nodes()) {
    if (node.connected) ends.emplace_back(NodeLeft{id, node.hello.boot_id, NodeLeft::How::kLost});
  }
  for (const auto& [id, balancer] : core.fleet().balancers()) {
    if (balancer.connected) ends.emplace_back(BalancerLeft{id});
  }
  for (const Event& end : ends) core.Observe(at, end);
}

int64_t TermMaxSeen(const Recovered& recovered) {
  int64_t term = recovered.term_max;
  if (!recovered.snapshot) return term;
  for (const auto& [id, node] : recovered.snapshot->state.fleet.nodes()) {
    if (node.hello.term_max_seen <= kTermSeenMax) term = std::max(term, node.hello.term_max_seen);
  }
  return term;
}

}  // namespace

absl::StatusOr<Autoscaler> Recover(Journal& journal, Policy policy, absl::Time now) {
  HR_ASSIGN_OR_RETURN(Recovered recovered, Annotate(journal.Recover(), "recovery"));
  const int64_t term = TermMaxSeen(recovered) + 1;
  HR_RETURN_IF_ERROR(Annotate(journal.WriteTerm(term, kTermWaitMax), "recovery: writing the term"));

  Autoscaler core(policy);
  if (recovered.snapshot) {
    core = Autoscaler::Load(std::move(recovered.snapshot->policy), std::move(recovered.snapshot->state));
  }
  const absl::Time last = GiveAgain(recovered, core);
  now = std::max(now, last);

  State state = core.Save();
  state.sequence = std::max(state.sequence, recovered.sequence_max);
  // What the core was given last was at that time, ticks or not: the clock of now may be behind it.
  state.last_tick_at = std::max(state.last_tick_at, last);
  if (last != absl::InfinitePast()) state.fleet.ForgiveSilence(now, now - last);
  if (!recovered.complete) state.fleet.AssumeServing(now);
  core = Autoscaler::Load(core.policy(), std::move(state));
  // These are of now, so they come after what the absence has shifted.
  ObserveOpenIntents(recovered.open_intents, now, core);
  ObserveEndOfStreams(now, core);
  core.Observe(now, PolicyChanged{std::move(policy)});
  core.Observe(now, TermChanged{term});
  return core;
}

}  // namespace headroom
