#include "controller/runtime/memory_journal.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace headroom {

absl::StatusOr<Recovered> MemoryJournal::Recover() {
  Recovered recovered = kept_;
  recovered.since.assign(records_.begin(), records_.end());
  return recovered;
}

absl::Status MemoryJournal::WriteTerm(int64_t term, absl::Duration) {
  kept_.term_max = std::max(kept_.term_max, term);
  return health_;
}

void MemoryJournal::Record(Recorded record) {
  records_.push_back(std::move(record));
  if (records_.size() > records_max_) records_.pop_front();
}

void MemoryJournal::RecordEvent(absl::Time at, Event&& event) {
  if (const auto* finished = std::get_if<ActionFinished>(&event)) {
    std::erase_if(kept_.open_intents, [&](const Action& intent) { return intent.id == finished->id; });
  }
  if (records_max_ > 0) Record({at, std::move(event)});
}

void MemoryJournal::RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) {
  if (records_max_ > 0) Record({at, std::nullopt});
  kept_.sequence_max = std::max(kept_.sequence_max, decision->sequence);
  if (keeps_ == Keeps::kNothing) return;
  absl::MutexLock lock(&decisions_mutex_);
  decisions_.push_back(std::move(decision));
  if (decisions_.size() > kDecisionsMax) decisions_.pop_front();
}

absl::Status MemoryJournal::CommitIntents(absl::Time, const std::vector<Action>& intents) {
  if (health_.ok()) kept_.open_intents.insert(kept_.open_intents.end(), intents.begin(), intents.end());
  return health_;
}

absl::StatusOr<std::vector<JournalEntry>> MemoryJournal::Decisions(const Page& page) const {
  absl::MutexLock lock(&decisions_mutex_);
  std::vector<JournalEntry> entries;
  for (auto it = decisions_.rbegin(); it != decisions_.rend() && std::ssize(entries) < page.count; ++it) {
    const Decision& decision = **it;
    const Cause before_it = std::next(it) == decisions_.rend() ? Cause::kNone : (*std::next(it))->diagnosis.cause;
    const bool noteworthy = Acts(decision) || decision.diagnosis.cause != before_it;
    const bool before = page.before_sequence == 0 || decision.sequence < page.before_sequence;
    const bool wanted = (!page.only_acting || noteworthy) && decision.at >= page.since;
    if (before && wanted) entries.push_back({decision, decision.sequence, decision.at});
  }
  return entries;
}

absl::StatusOr<JournalEntry> MemoryJournal::FindDecision(uint64_t sequence) const {
  absl::MutexLock lock(&decisions_mutex_);
  for (const auto& decision : decisions_) {
    if (decision->sequence == sequence) return JournalEntry{*decision, sequence, decision->at};
  }
  return absl::NotFoundError("the journal has no such decision (any more)");
}

}  // namespace headroom
