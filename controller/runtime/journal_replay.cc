#include "controller/runtime/journal_replay.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/core/autoscaler.h"
#include "controller/runtime/differences.h"
#include "controller/runtime/records.h"

namespace headroom {
namespace {

bool GrantsTheSame(const Decision& a, const Decision& b) {
  return std::equal(a.limits.begin(), a.limits.end(), b.limits.begin(), b.limits.end(),
                    [](const LimitDecision& one, const LimitDecision& other) {
                      return one.node == other.node && one.after == other.after &&
                             one.idle_timeout == other.idle_timeout;
                    });
}

class Player {
 public:
  Player(JournalFile& journal, const ReplayOptions& options) : journal_(journal), options_(options) {}

  absl::StatusOr<JournalReplay> Play() {
    if (journal_.snapshots().empty()) {
      return absl::NotFoundError("the journal has no snapshot yet: there is nothing to replay from");
    }
    Begin(journal_.snapshots().front().event_id);
    const int64_t first = journal_.snapshots().front().event_id;
    HR_RETURN_IF_ERROR(journal_.VisitEvents(first, [&](const JournalFile::EventRow& row) { return Take(row); }));
    if (result_.ticks + result_.events == 0 && !began_) {
      return absl::DataLossError("no snapshot of the journal can be read: there is nothing to replay from");
    }
    return std::move(result_);
  }

 private:
  // The snapshots that include all up to this row: where the core is unknown, it is taken from the newest of them.
  void Begin(int64_t event_id) {
    const auto& snapshots = journal_.snapshots();
    for (; next_ < snapshots.size() && snapshots[next_].event_id <= event_id; ++next_) {
      if (core_.has_value() || snapshots[next_].event_id != event_id) continue;
      absl::StatusOr<Snapshot> snapshot = journal_.ReadSnapshot(snapshots[next_].id);
      if (!snapshot.ok()) {
        result_.notes.push_back(absl::StrCat("snapshot ", snapshots[next_].id, ": ", snapshot.status().message()));
        continue;
      }
      if (!began_) result_.policy = snapshot->policy;
      last_at_ = snapshot->at;
      result_.from = std::min(result_.from, snapshot->at);
      core_.emplace(Autoscaler::Load(snapshot->policy, snapshot->state));
      began_ = true;
      if (options_.on_snapshot) options_.on_snapshot(core_->fleet());
      if (!options_.other) continue;
      other_.emplace(Autoscaler::Load(std::move(snapshot->policy), std::move(snapshot->state)));
      other_->Observe(snapshot->at, PolicyChanged{*options_.other});
    }
  }

  // The first row of a process that began anew: what recovery made of the past is in no row.
  bool BeginsLife(int64_t event_id) const {
    return next_ < journal_.snapshots().size() && journal_.snapshots()[next_].first_event_id == event_id;
  }

  bool Take(const JournalFile::EventRow& row) {
    if (row.id != last_row_ + 1 && last_row_ != 0) Lose(absl::StrCat("rows of events before ", row.id, " are gone"));
    last_row_ = row.id;
    if (BeginsLife(row.id)) {
      ++result_.restarts;
      core_.reset(), other_.reset();
    }
    if (!row.whole) Damaged(row.id, "damaged");
    if (!row.complete) Lose(absl::StrCat("of events ", row.id, " reports were left out"));
    for (const Recorded& record : row.records) {
      if (core_.has_value() && record.at < last_at_) Damaged(row.id, "out of order");
      if (!core_.has_value()) break;
      if (!Take(record)) return false;
    }
    Begin(row.id);
    const int64_t rows = journal_.last_event_id() - journal_.snapshots().front().event_id;
    if (options_.progress && rows > 0) {
      options_.progress(1 - static_cast<double>(journal_.last_event_id() - row.id) / static_cast<double>(rows));
    }
    return true;
  }

  void Damaged(int64_t row, absl::string_view how) {
    ++result_.damaged;
    Lose(absl::StrCat("events ", row, " are ", how));
  }

  void Lose(const std::string& what) {
    if (core_.has_value()) result_.notes.push_back(absl::StrCat(what, ": nothing is compared until the next snapshot"));
    core_.reset(), other_.reset();
  }

  bool Take(const Recorded& record) {
    last_at_ = record.at;
    result_.to = std::max(result_.to, record.at);
    if (!record.event) return Tick(record.at);
    ++result_.events;
    if (options_.on_event) options_.on_event(record.at, *record.event);
    core_->Observe(record.at, *record.event);
    if (other_ && !std::holds_alternative<PolicyChanged>(*record.event)) other_->Observe(record.at, *record.event);
    return true;
  }

  bool Tick(absl::Time at) {
    ++result_.ticks;
    const Decision decision = core_->Tick(at);
    if (options_.on_decision) options_.on_decision(decision);
    if (other_) Diverge(decision, other_->Tick(at));
    return Compare(decision);
  }

  bool Compare(const Decision& decision) {
    if (!entry_ || decision.sequence > entry_->sequence_last || decision.sequence < entry_->decision.sequence) {
      absl::StatusOr<JournalEntry> found = journal_.FindDecision(decision.sequence);
      if (!found.ok()) {
        entry_.reset();
        ++result_.not_kept;
        if (absl::IsDataLoss(found.status())) {
          ++result_.damaged;
          result_.notes.push_back(std::string(found.status().message()));
        }
        return true;
      }
      entry_ = *std::move(found);
      content_ = ContentBytes(entry_->decision);
    }
    const bool is_first = decision.sequence == entry_->decision.sequence;
    const bool same =
        is_first ? EncodeDecision(decision) == EncodeDecision(entry_->decision) : ContentBytes(decision) == content_;
    if (same) {
      ++result_.compared;
      return true;
    }
    Decision recorded = entry_->decision, now = decision;
    std::erase_if(now.actions, IsRenewal);
    if (!is_first) {
      recorded.sequence = now.sequence;
      recorded.at = now.at, recorded.next_tick = now.next_tick;
    }
    if (result_.first) return true;
    result_.first = {decision.sequence, decision.at, Differences(recorded, now)};
    return other_.has_value();
  }

  void Diverge(const Decision& decision, const Decision& other) {
    const bool nodes = decision.desired_count != other.desired_count, limits = !GrantsTheSame(decision, other);
    result_.ticks_nodes_differ += nodes ? 1 : 0;
    result_.ticks_limits_differ += limits ? 1 : 0;
    const bool apart = nodes || limits;
    if (apart && !apart_ && result_.divergences.size() < JournalReplay::kDivergencesMax) {
      result_.divergences.push_back({decision.sequence, decision.at, decision, other});
    }
    apart_ = apart;
  }

  JournalFile& journal_;
  const ReplayOptions& options_;
  JournalReplay result_;
  std::optional<Autoscaler> core_, other_;
  std::optional<JournalEntry> entry_;  // the newest that was compared with
  std::string content_;
  size_t next_ = 0;  // of the snapshots
  int64_t last_row_ = 0;
  absl::Time last_at_;  // of the last record that the core was given
  bool began_ = false, apart_ = false;
};

}  // namespace

absl::StatusOr<JournalReplay> ReplayJournal(JournalFile& journal, const ReplayOptions& options) {
  return Player(journal, options).Play();
}

}  // namespace headroom
