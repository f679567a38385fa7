#include "controller/runtime/sqlite_journal.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/runtime/records.h"

namespace headroom {
namespace {

// For measuring how long the disk takes: no time of day.
absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

bool IsReport(const std::optional<Event>& event) {
  return event && (std::holds_alternative<NodeReported>(*event) || std::holds_alternative<BalancerReported>(*event));
}

absl::Status DiskSilent(absl::string_view state_dir) {
  return absl::UnavailableError(
      absl::StrCat("the disk of state directory ", state_dir, " does not answer; shrinking is stopped until it does"));
}

// `later` happened after `batch`.
void Append(RecordBatch& batch, RecordBatch later) {
  batch.complete = batch.complete && later.complete;
  std::move(later.records.begin(), later.records.end(), std::back_inserter(batch.records));
}

template <typename T>
void KeepNewest(std::vector<T>& list, size_t count_max) {
  if (list.size() > count_max) list.erase(list.begin(), list.end() - static_cast<std::ptrdiff_t>(count_max));
}

// What grows with the cluster; the texts of reasons are short and few beside it.
size_t ApproximateBytes(const Decision& decision) {
  size_t bytes = sizeof(decision) + decision.limits.size() * sizeof(LimitDecision);
  for (const Action& action : decision.actions) {
    bytes += sizeof(action) + action.id.size();
    if (const auto* set = std::get_if<SetServers>(&action.body)) bytes += set->servers.size() * sizeof(ServerTarget);
  }
  return bytes;
}

// How many of the newest fit.
size_t NewestWithin(const std::vector<std::shared_ptr<const Decision>>& decisions, size_t bytes_max) {
  size_t count = 0;
  for (size_t bytes = 0; count < decisions.size(); ++count) {
    bytes += ApproximateBytes(*decisions[decisions.size() - 1 - count]);
    if (bytes > bytes_max) break;
  }
  return count;
}

// What a restart can do without: reports are replaced by the next ones, and ticks need reports.
void LeaveOutReplaceable(RecordBatch& batch, size_t facts_max) {
  std::erase_if(batch.records, [](const Recorded& record) { return !record.event || IsReport(record.event); });
  KeepNewest(batch.records, facts_max);
  batch.complete = false;
}

template <typename T>
void Prepend(std::vector<T>& to, std::vector<T> from) {
  std::move(to.begin(), to.end(), std::back_inserter(from));
  to = std::move(from);
}

}  // namespace

bool SqliteJournal::ReportGate::Admit(absl::Time at, int64_t bytes, int64_t bytes_per_second_max) {
  if (at >= second_began_at_ + absl::Seconds(1)) {
    closed_ = closed_ ? bytes_ > bytes_per_second_max / 2 : bytes_ > bytes_per_second_max;
    bytes_ = 0;
    second_began_at_ = at;
  }
  bytes_ += bytes;
  closed_ = closed_ || bytes_ > bytes_per_second_max;
  return !closed_;
}

absl::StatusOr<std::unique_ptr<SqliteJournal>> SqliteJournal::Open(Options options) {
  HR_ASSIGN_OR_RETURN(auto store, JournalStore::Open(options.state_dir, options.bounds));
  HR_ASSIGN_OR_RETURN(auto reader, JournalReader::Open(store->path()));
  return std::unique_ptr<SqliteJournal>(new SqliteJournal(std::move(options), std::move(store), std::move(reader)));
}

SqliteJournal::SqliteJournal(Options options, std::unique_ptr<JournalStore> store,
                             std::unique_ptr<JournalReader> reader)
    : options_(std::move(options)),
      store_(std::move(store)),
      reader_(std::move(reader)),
      writer_([this] { Write(); }) {}

SqliteJournal::~SqliteJournal() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  writer_.join();
}

absl::StatusOr<Recovered> SqliteJournal::Recover() {
  absl::StatusOr<Recovered> recovered;
  {
    absl::MutexLock lock(&store_mutex_);
    recovered = store_->Recover();
  }
  if (!recovered.ok()) return Explain(recovered.status());
  for (const std::string& note : recovered->notes) {
    if (options_.say) options_.say(note);
  }
  absl::MutexLock lock(&mutex_);
  for (const Action& intent : recovered->open_intents) open_intents_.insert(intent.id);
  return recovered;
}

absl::Status SqliteJournal::WriteTerm(int64_t term, absl::Duration longest) {
  int64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    queued_.term = std::max(queued_.term, term);
    ticket = Request();
    if (Silent(longest)) return DiskSilent(options_.state_dir);
  }
  return WaitFor(ticket, longest);
}

void SqliteJournal::RecordEvent(absl::Time at, Event&& event) {
  absl::MutexLock lock(&mutex_);
  if (const auto* finished = std::get_if<ActionFinished>(&event); finished && open_intents_.erase(finished->id) > 0) {
    queued_.intents.push_back({at, std::nullopt, finished->id});
  }
  Record(at, std::move(event));
}

void SqliteJournal::RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) {
  decision = LeaveOutRenewals(std::move(decision));
  absl::MutexLock lock(&mutex_);
  Record(at, std::nullopt);
  queued_.decisions.push_back(std::move(decision));
  Bound();
}

void SqliteJournal::Record(absl::Time at, std::optional<Event> event) {
  if (IsReport(event)) {
    const bool was_closed = gate_.closed();
    const bool admitted = gate_.Admit(at, record_bytes_, options_.report_bytes_per_second_max);
    if (gate_.closed() && !was_closed && options_.say) {
      options_.say(absl::StrCat("journal: reports exceed ", options_.report_bytes_per_second_max,
                                " bytes a second and are not recorded; snapshots and all other facts are"));
    }
    if (!admitted) {
      Open().complete = false;
      return;
    }
  }
  Open().records.push_back({at, std::move(event)});
  BoundRecords();
}

void SqliteJournal::RecordSnapshot(absl::Time at, const Autoscaler& core) {
  EncodedSnapshot snapshot{at, EncodePolicy(core.policy()), EncodeState(core.Save())};
  absl::MutexLock lock(&mutex_);
  // While nothing can be written, the events before a snapshot need not wait for the disk: it includes them.
  if (health_.ok())
    Append(queued_.before, std::exchange(queued_.after, {}));
  else
    queued_.before = queued_.after = {};
  queued_.snapshot = std::move(snapshot);
}

absl::Status SqliteJournal::CommitIntents(absl::Time at, const std::vector<Action>& intents) {
  int64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (const Action& intent : intents) {
      open_intents_.insert(intent.id);
      queued_.intents.push_back({at, intent, {}});
    }
    ticket = Request();
    // The disk has hung for longer than an intent may wait: waiting once more would only delay limits.
    if (Silent(kIntentWaitMax)) return DiskSilent(options_.state_dir);
  }
  return WaitFor(ticket, kIntentWaitMax);
}

absl::Status SqliteJournal::Commit() {
  absl::MutexLock lock(&mutex_);
  // One that is under way took the queue earlier: what was recorded since needs another.
  if (begun_ == requested_) Request();
  return Silent(kStuckAfter) ? DiskSilent(options_.state_dir) : health_;
}

absl::Status SqliteJournal::Sync(absl::Duration longest) {
  int64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    ticket = Request();
  }
  return WaitFor(ticket, longest);
}

int64_t SqliteJournal::Request() {
  return ++requested_;
}

bool SqliteJournal::Silent(absl::Duration longest) const {
  return SteadyNow() - writing_since_ > longest;
}

absl::Status SqliteJournal::WaitFor(int64_t ticket, absl::Duration longest) {
  absl::MutexLock lock(&mutex_);
  const auto ended = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_ >= ticket; };
  if (mutex_.AwaitWithTimeout(absl::Condition(&ended), longest)) return health_;
  return DiskSilent(options_.state_dir);
}

void SqliteJournal::Write() {
  absl::MutexLock lock(&mutex_);
  const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_ < requested_ || stopping_; };
  while (!stopping_) {
    mutex_.Await(absl::Condition(&due));
    WriteOnce(requested_);
  }
  WriteOnce(requested_);
}

void SqliteJournal::WriteOnce(int64_t ticket) {
  JournalWrite write = std::exchange(queued_, {});
  begun_ = std::max(begun_, ticket);
  writing_since_ = SteadyNow();
  mutex_.Unlock();
  if (options_.before_write) options_.before_write();
  absl::Status status;
  int64_t record_bytes = 0;
  {
    absl::MutexLock lock(&store_mutex_);
    if (!write.Empty()) status = Explain(store_->Write(write));
    record_bytes = store_->record_bytes();
  }
  mutex_.Lock();
  writing_since_ = absl::InfiniteFuture();
  if (!status.ok()) TakeBack(std::move(write));
  if (record_bytes > 0) record_bytes_ = record_bytes;
  health_ = status;
  ended_ = std::max(ended_, ticket);
}

void SqliteJournal::TakeBack(JournalWrite failed) {
  queued_.term = std::max(queued_.term, failed.term);
  Prepend(queued_.decisions, std::move(failed.decisions));
  Prepend(queued_.intents, std::move(failed.intents));
  if (queued_.snapshot) return Bound();  // it includes the events that could not be written
  Append(failed.snapshot ? failed.after : failed.before, std::move(queued_.before));
  queued_.before = std::move(failed.before);
  queued_.snapshot = std::move(failed.snapshot);
  queued_.after = std::move(failed.after);
  Bound();
}

void SqliteJournal::BoundRecords() {
  for (RecordBatch* batch : {&queued_.before, &queued_.after}) {
    if (batch->records.size() > kRecordsMax) LeaveOutReplaceable(*batch, kRecordsMax / 2);
  }
}

void SqliteJournal::Bound() {
  BoundRecords();
  KeepNewest(queued_.decisions, std::min(kDecisionsMax, NewestWithin(queued_.decisions, kDecisionsBytesMax)));
  KeepNewest(queued_.intents, kIntentsMax);
}

absl::Status SqliteJournal::Explain(const absl::Status& status) const {
  if (status.ok()) return status;
  const std::string dir = absl::StrCat("state directory ", options_.state_dir);
  if (absl::IsResourceExhausted(status)) {
    return absl::ResourceExhaustedError(absl::StrCat(dir, " is full: free space; shrinking is stopped until then"));
  }
  return Annotate(status, absl::StrCat(dir, " cannot be written; shrinking is stopped until it can"));
}

absl::StatusOr<std::vector<JournalEntry>> SqliteJournal::Decisions(const Page& page) const {
  absl::MutexLock lock(&reader_mutex_);
  return reader_->Decisions(page);
}

absl::StatusOr<JournalEntry> SqliteJournal::FindDecision(uint64_t sequence) const {
  absl::MutexLock lock(&reader_mutex_);
  return reader_->Find(sequence);
}

}  // namespace headroom
