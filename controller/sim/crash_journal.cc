#include "controller/sim/crash_journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "controller/base/status.h"
#include "controller/runtime/records.h"

namespace headroom::sim {

void CrashJournal::Append(Batch& to, Batch later) {
  if (later.snapshot) {
    to.snapshot = std::move(later.snapshot);
    to.since.clear();
    to.complete = true;
  }
  std::move(later.since.begin(), later.since.end(), std::back_inserter(to.since));
  to.complete = to.complete && later.complete;
  std::move(later.intents.begin(), later.intents.end(), std::back_inserter(to.intents));
  for (const ActionId& id : later.ended) {
    std::erase_if(to.intents, [&id](const Action& intent) { return intent.id == id; });
  }
  std::move(later.ended.begin(), later.ended.end(), std::back_inserter(to.ended));
  to.sequence_max = std::max(to.sequence_max, later.sequence_max);
  to.term = std::max(to.term, later.term);
}

void CrashJournal::Land() {
  Append(disk_, std::exchange(writing_, {}));
  disk_.ended.clear();
}

void CrashJournal::Crash(Landed landed) {
  if (landed == Landed::kYes) Land();
  writing_ = queued_ = {};
}

absl::StatusOr<Recovered> CrashJournal::Recover() {
  Recovered recovered;
  if (disk_.snapshot) {
    HR_ASSIGN_OR_RETURN(State state, DecodeState(EncodeState(disk_.snapshot->state)));
    HR_ASSIGN_OR_RETURN(Policy policy, DecodePolicy(EncodePolicy(disk_.snapshot->policy)));
    recovered.snapshot = Snapshot{disk_.snapshot->at, std::move(policy), std::move(state)};
  }
  HR_ASSIGN_OR_RETURN(recovered.since, DecodeRecords(EncodeRecords(disk_.since)));
  recovered.complete = disk_.complete;
  recovered.term_max = disk_.term;
  recovered.sequence_max = disk_.sequence_max;
  recovered.open_intents = disk_.intents;
  return recovered;
}

absl::Status CrashJournal::WriteTerm(int64_t term, absl::Duration) {
  queued_.term = std::max(queued_.term, term);
  return CommitIntents({}, {});
}

void CrashJournal::RecordEvent(absl::Time at, Event&& event) {
  if (const auto* finished = std::get_if<ActionFinished>(&event)) queued_.ended.push_back(finished->id);
  const bool report = std::holds_alternative<NodeReported>(event) || std::holds_alternative<BalancerReported>(event);
  if (report && reports_ == Reports::kLeftOut) {
    queued_.complete = false;
    return;
  }
  queued_.since.push_back({at, std::move(event)});
}

void CrashJournal::RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) {
  queued_.since.push_back({at, std::nullopt});
  queued_.sequence_max = std::max(queued_.sequence_max, decision->sequence);
}

void CrashJournal::RecordSnapshot(absl::Time at, const Autoscaler& core) {
  Append(queued_, {.snapshot = Snapshot{at, core.policy(), core.Save()}});
}

absl::Status CrashJournal::CommitIntents(absl::Time, const std::vector<Action>& intents) {
  queued_.intents.insert(queued_.intents.end(), intents.begin(), intents.end());
  HR_RETURN_IF_ERROR(Commit());
  Land();
  return absl::OkStatus();
}

absl::Status CrashJournal::Commit() {
  if (!health_.ok()) return health_;
  Land();
  writing_ = std::exchange(queued_, {});
  return absl::OkStatus();
}

absl::Status CrashJournal::Sync(absl::Duration) {
  HR_RETURN_IF_ERROR(Commit());
  Land();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<JournalEntry>> CrashJournal::Decisions(const Page&) const {
  return absl::UnimplementedError("a crash journal keeps no decisions");
}
absl::StatusOr<JournalEntry> CrashJournal::FindDecision(uint64_t) const {
  return absl::UnimplementedError("a crash journal keeps no decisions");
}

}  // namespace headroom::sim
