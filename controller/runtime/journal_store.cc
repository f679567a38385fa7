#include "controller/runtime/journal_store.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <initializer_list>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/runtime/records.h"

namespace headroom {
namespace {

constexpr int64_t kApplicationId = 0x48524a31;  // "HRJ1"
constexpr int64_t kSchemaVersion = 1;
constexpr int kPageBytes = 4096;
constexpr size_t kRecordsMeasured = 32;  // fewer tell nothing of the size of a report
constexpr int kTrimMax = 1000;           // rows that one commit removes at most

constexpr char kSchema[] = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE events(
  id INTEGER PRIMARY KEY AUTOINCREMENT, complete INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE snapshots(
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_nanos INTEGER NOT NULL, event_id INTEGER NOT NULL,
  policy BLOB NOT NULL, state BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE decisions(
  sequence INTEGER PRIMARY KEY, sequence_last INTEGER NOT NULL, at_nanos INTEGER NOT NULL, until_nanos INTEGER NOT NULL,
  acting INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE INDEX decisions_by_acting ON decisions(acting, sequence);
CREATE TABLE intents(
  id TEXT PRIMARY KEY, at_nanos INTEGER NOT NULL, open INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE INDEX intents_open ON intents(open, at_nanos);
)sql";

// FNV-1a: tells a torn row from a whole one; no defence against a forger.
uint64_t Hash(absl::string_view bytes, uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

int64_t Checksum(uint64_t body_hash, std::initializer_list<int64_t> columns) {
  for (const int64_t column : columns) {
    body_hash = Hash({reinterpret_cast<const char*>(&column), sizeof(column)}, body_hash);
  }
  return static_cast<int64_t>(body_hash);
}

int64_t DecisionChecksum(uint64_t body_hash, int64_t sequence, int64_t sequence_last, int64_t until_nanos) {
  return Checksum(body_hash, {sequence, sequence_last, until_nanos});
}

absl::Status SystemError(absl::string_view what, const std::string& path) {
  return absl::Status(errno == EACCES || errno == EROFS || errno == EPERM ? absl::StatusCode::kPermissionDenied
                                                                          : absl::ErrnoToStatusCode(errno),
                      absl::StrCat(what, " ", path, ": ", std::generic_category().message(errno)));
}

absl::Status SyncDirectory(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return SystemError("cannot open", path);
  const int result = fsync(directory);
  const int error = errno;
  close(directory);
  errno = error;
  return result == 0 ? absl::OkStatus() : SystemError("cannot sync", path);
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  const bool created = std::filesystem::create_directories(path, error);
  if (error) {
    errno = error.value();
    return SystemError("cannot create the state directory", path);
  }
  const std::string parent = std::filesystem::absolute(path).parent_path();
  return created ? SyncDirectory(parent) : absl::OkStatus();
}

// The lock lives as long as the descriptor: a process that is killed leaves none behind.
absl::StatusOr<int> LockDirectory(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return SystemError("cannot open", path);
  if (flock(file, LOCK_EX | LOCK_NB) == 0) {
    const std::string pid = absl::StrCat(getpid(), "\n");
    if (ftruncate(file, 0) == 0 && pwrite(file, pid.data(), pid.size(), 0) < 0) errno = 0;  // only for people
    return file;
  }
  char pid[32] = "";
  const ssize_t size = pread(file, pid, sizeof(pid) - 1, 0);
  close(file);
  const std::string owner(pid, static_cast<size_t>(std::max<ssize_t>(size - 1, 0)));
  return absl::FailedPreconditionError(absl::StrCat("state directory ", directory, " is in use by another headroomd",
                                                    owner.empty() ? "" : " (process " + owner + ")",
                                                    ": stop it, or give this one its own --state-dir"));
}

}  // namespace

bool JournalWrite::Empty() const {
  return term == 0 && before.Empty() && !snapshot && after.Empty() && decisions.empty() && intents.empty();
}

absl::StatusOr<std::unique_ptr<JournalStore>> JournalStore::Open(const std::string& state_dir, const Bounds& bounds) {
  HR_RETURN_IF_ERROR(MakeDirectory(state_dir));
  HR_ASSIGN_OR_RETURN(const int lock_file, LockDirectory(state_dir));
  std::unique_ptr<JournalStore> store(new JournalStore(state_dir + "/journal.db", lock_file));
  HR_RETURN_IF_ERROR(Annotate(store->Prepare(bounds), store->path_));
  HR_RETURN_IF_ERROR(SyncDirectory(state_dir));
  return store;
}

JournalStore::~JournalStore() {
  connection_.reset();
  close(lock_file_);
}

absl::Status JournalStore::Prepare(const Bounds& bounds) {
  bounds_ = bounds;
  HR_ASSIGN_OR_RETURN(connection_, SqliteConnection::Open(path_, SqliteConnection::Access::kWrite));
  HR_RETURN_IF_ERROR(connection_->Execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=16777216"));
  HR_RETURN_IF_ERROR(Migrate());
  if (bounds.file_bytes_max > 0) {
    HR_RETURN_IF_ERROR(
        connection_->Execute(absl::StrCat("PRAGMA max_page_count=", bounds.file_bytes_max / kPageBytes)));
  }
  HR_ASSIGN_OR_RETURN(events_bytes_, connection_->Number("SELECT SUM(LENGTH(body)) FROM events"));
  HR_ASSIGN_OR_RETURN(decisions_bytes_, connection_->Number("SELECT SUM(LENGTH(body)) FROM decisions"));
  return absl::OkStatus();
}

absl::Status JournalStore::Migrate() {
  HR_ASSIGN_OR_RETURN(const int64_t application, connection_->Number("PRAGMA application_id"));
  HR_ASSIGN_OR_RETURN(const int64_t version, connection_->Number("PRAGMA user_version"));
  HR_ASSIGN_OR_RETURN(const int64_t tables, connection_->Number("SELECT COUNT(*) FROM sqlite_schema"));
  if (tables == 0) {
    return connection_->Execute(absl::StrCat("BEGIN IMMEDIATE;", kSchema, "PRAGMA application_id=", kApplicationId,
                                             "; PRAGMA user_version=", kSchemaVersion, "; COMMIT"));
  }
  if (application != kApplicationId) return absl::FailedPreconditionError("is not a journal of Headroom");
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("was written by a newer release (schema ", version, ")"));
  }
  HR_ASSIGN_OR_RETURN(SqliteStatement check, connection_->Prepare("PRAGMA quick_check(1)"));
  HR_RETURN_IF_ERROR(check.Step().status());
  if (check.Bytes(0) == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("is broken (", check.Bytes(0),
                                          "): restore it, or move it away to start without "
                                          "memory; limits and terms are then learned from the nodes"));
}

absl::Status JournalStore::Write(const JournalWrite& write) {
  const auto events_bytes = events_bytes_, decisions_bytes = decisions_bytes_;
  LastDecision last = last_;
  const Cause last_cause = last_cause_;
  HR_RETURN_IF_ERROR(connection_->Execute("BEGIN IMMEDIATE"));
  absl::Status status = WriteAll(write);
  if (status.ok()) status = connection_->Execute("COMMIT");
  if (status.ok()) return status;
  // SQLite itself has rolled back after some errors: then this finds no transaction, which is as good.
  connection_->Execute("ROLLBACK").IgnoreError();
  events_bytes_ = events_bytes;
  decisions_bytes_ = decisions_bytes;
  last_ = std::move(last);
  last_cause_ = last_cause;
  return status;
}

absl::Status JournalStore::WriteAll(const JournalWrite& write) {
  if (write.term > 0) HR_RETURN_IF_ERROR(WriteTerm(write.term));
  HR_RETURN_IF_ERROR(WriteBatch(write.before));
  if (write.snapshot) HR_RETURN_IF_ERROR(WriteSnapshot(*write.snapshot));
  HR_RETURN_IF_ERROR(WriteBatch(write.after));
  for (const auto& decision : write.decisions) HR_RETURN_IF_ERROR(WriteDecision(*decision));
  for (const auto& intent : write.intents) HR_RETURN_IF_ERROR(WriteIntent(intent));
  return Trim();
}

absl::Status JournalStore::WriteTerm(int64_t term) {
  HR_ASSIGN_OR_RETURN(SqliteStatement insert,
                      connection_->Prepare("INSERT INTO meta VALUES('term', ?1) "
                                           "ON CONFLICT(key) DO UPDATE SET value=MAX(value, excluded.value)"));
  return insert.Bind(1, term).Run();
}

absl::Status JournalStore::WriteBatch(const RecordBatch& batch) {
  if (batch.Empty()) return absl::OkStatus();
  const std::string body = EncodeRecords(batch.records);
  HR_ASSIGN_OR_RETURN(SqliteStatement insert,
                      connection_->Prepare("INSERT INTO events(complete, body, checksum) VALUES(?1, ?2, ?3)"));
  const int64_t complete = batch.complete ? 1 : 0;
  HR_RETURN_IF_ERROR(insert.Bind(1, complete).BindBytes(2, body).Bind(3, Checksum(Hash(body), {complete})).Run());
  events_bytes_ += static_cast<int64_t>(body.size());
  if (batch.records.size() >= kRecordsMeasured) {
    record_bytes_ = static_cast<int64_t>((body.size() - EncodeRecords({}).size()) / batch.records.size());
  }
  return absl::OkStatus();
}

absl::Status JournalStore::WriteSnapshot(const EncodedSnapshot& snapshot) {
  HR_ASSIGN_OR_RETURN(const int64_t event_id,
                      connection_->Number("SELECT seq FROM sqlite_sequence WHERE name='events'"));
  HR_ASSIGN_OR_RETURN(SqliteStatement insert,
                      connection_->Prepare("INSERT INTO snapshots(at_nanos, event_id, policy, state, checksum) "
                                           "VALUES(?1, ?2, ?3, ?4, ?5)"));
  const int64_t at = absl::ToUnixNanos(snapshot.at);
  const uint64_t hash = Hash(snapshot.state, Hash(snapshot.policy));
  insert.Bind(1, at).Bind(2, event_id).BindBytes(3, snapshot.policy).BindBytes(4, snapshot.state);
  HR_RETURN_IF_ERROR(insert.Bind(5, Checksum(hash, {at, event_id})).Run());
  HR_ASSIGN_OR_RETURN(SqliteStatement trim, connection_->Prepare("DELETE FROM snapshots WHERE id <= ?1"));
  return trim.Bind(1, connection_->LastRowId() - kSnapshotsKept).Run();
}

absl::Status JournalStore::WriteDecision(const Decision& decision) {
  std::string content = ContentBytes(decision);
  if (content == last_.content) return ExtendDecision(decision);
  const bool noteworthy = Acts(decision) || decision.diagnosis.cause != last_cause_;
  last_cause_ = decision.diagnosis.cause;
  const std::string body = EncodeDecision(decision);
  const auto sequence = static_cast<int64_t>(decision.sequence);
  const int64_t at = absl::ToUnixNanos(decision.at);
  HR_ASSIGN_OR_RETURN(SqliteStatement insert,
                      connection_->Prepare("INSERT OR REPLACE INTO decisions VALUES(?1, ?1, ?2, ?2, ?3, ?4, ?5)"));
  insert.Bind(1, sequence).Bind(2, at).Bind(3, noteworthy ? 1 : 0).BindBytes(4, body);
  last_ = {decision.sequence, std::move(content), Hash(body)};
  HR_RETURN_IF_ERROR(insert.Bind(5, DecisionChecksum(last_.body_hash, sequence, sequence, at)).Run());
  decisions_bytes_ += static_cast<int64_t>(body.size());
  return absl::OkStatus();
}

absl::Status JournalStore::ExtendDecision(const Decision& decision) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement update,
      connection_->Prepare("UPDATE decisions SET sequence_last=?2, until_nanos=?3, checksum=?4 WHERE sequence=?1"));
  const auto first = static_cast<int64_t>(last_.sequence), last = static_cast<int64_t>(decision.sequence);
  const int64_t until = absl::ToUnixNanos(decision.at);
  const int64_t checksum = DecisionChecksum(last_.body_hash, first, last, until);
  return update.Bind(1, first).Bind(2, last).Bind(3, until).Bind(4, checksum).Run();
}

absl::Status JournalStore::WriteIntent(const JournalWrite::Intent& intent) {
  if (!intent.begun) {
    HR_ASSIGN_OR_RETURN(SqliteStatement end, connection_->Prepare("UPDATE intents SET open=0 WHERE id=?1"));
    return end.BindText(1, intent.ended).Run();
  }
  const std::string body = EncodeAction(*intent.begun);
  const int64_t at = absl::ToUnixNanos(intent.at);
  HR_ASSIGN_OR_RETURN(SqliteStatement begin,
                      connection_->Prepare("INSERT OR REPLACE INTO intents VALUES(?1, ?2, 1, ?3, ?4)"));
  begin.BindText(1, intent.begun->id).Bind(2, at).BindBytes(3, body);
  return begin.Bind(4, Checksum(Hash(body), {at})).Run();
}

absl::Status JournalStore::Trim() {
  HR_RETURN_IF_ERROR(TrimEvents());
  HR_RETURN_IF_ERROR(TrimDecisions());
  HR_ASSIGN_OR_RETURN(SqliteStatement intents,
                      connection_->Prepare("DELETE FROM intents WHERE open=0 AND id IN (SELECT id FROM intents WHERE "
                                           "open=0 ORDER BY at_nanos DESC LIMIT -1 OFFSET ?1)"));
  return intents.Bind(1, kIntentsMax).Run();
}

absl::Status JournalStore::TrimEvents() {
  for (int i = 0; i < kTrimMax && events_bytes_ > bounds_.events_bytes_max; ++i) {
    HR_ASSIGN_OR_RETURN(
        SqliteStatement oldest,
        connection_->Prepare("DELETE FROM events WHERE id=(SELECT MIN(id) FROM events) RETURNING LENGTH(body)"));
    HR_ASSIGN_OR_RETURN(const bool found, oldest.Step());
    if (!found) break;
    events_bytes_ -= oldest.Whole(0);
    HR_RETURN_IF_ERROR(oldest.Step().status());
  }
  return absl::OkStatus();
}

absl::Status JournalStore::TrimDecisions() {
  for (int i = 0; i < kTrimMax && decisions_bytes_ > bounds_.decisions_bytes_max; ++i) {
    HR_ASSIGN_OR_RETURN(
        SqliteStatement oldest,
        connection_->Prepare("DELETE FROM decisions WHERE sequence=(SELECT sequence FROM decisions ORDER BY "
                             "acting, sequence LIMIT 1) RETURNING LENGTH(body), sequence"));
    HR_ASSIGN_OR_RETURN(const bool found, oldest.Step());
    if (!found) break;
    decisions_bytes_ -= oldest.Whole(0);
    if (oldest.Whole(1) == static_cast<int64_t>(last_.sequence)) last_ = {};
    HR_RETURN_IF_ERROR(oldest.Step().status());
  }
  return absl::OkStatus();
}

absl::StatusOr<Recovered> JournalStore::Recover() {
  Recovered recovered;
  HR_ASSIGN_OR_RETURN(recovered.term_max, connection_->Number("SELECT value FROM meta WHERE key='term'"));
  HR_ASSIGN_OR_RETURN(const int64_t sequence, connection_->Number("SELECT MAX(sequence_last) FROM decisions"));
  recovered.sequence_max = static_cast<uint64_t>(std::max<int64_t>(sequence, 0));
  HR_ASSIGN_OR_RETURN(const int64_t event_id, RecoverSnapshot(recovered));
  HR_RETURN_IF_ERROR(RecoverEvents(event_id, recovered));
  HR_RETURN_IF_ERROR(RecoverIntents(recovered));
  if (recovered.snapshot) recovered.term_max = std::max(recovered.term_max, recovered.snapshot->state.term);
  for (const Action& intent : recovered.open_intents) recovered.term_max = std::max(recovered.term_max, intent.term);
  return recovered;
}

namespace {

absl::StatusOr<FoundSnapshot> FindSnapshot(SqliteConnection& connection) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection.Prepare("SELECT id, at_nanos, event_id, policy, state, checksum FROM snapshots ORDER BY id DESC"));
  FoundSnapshot found;
  while (true) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return found;
    const uint64_t hash = Hash(rows.Bytes(4), Hash(rows.Bytes(3)));
    const bool whole = rows.Whole(5) == Checksum(hash, {rows.Whole(1), rows.Whole(2)});
    absl::StatusOr<Policy> policy = DecodePolicy(rows.Bytes(3));
    absl::StatusOr<State> state = DecodeState(rows.Bytes(4));
    if (whole && policy.ok() && state.ok()) {
      found.snapshot = Snapshot{absl::FromUnixNanos(rows.Whole(1)), *std::move(policy), *std::move(state)};
      found.event_id = rows.Whole(2);
      return found;
    }
    found.notes.push_back(absl::StrCat("snapshot ", rows.Whole(0), " is damaged: the one before it is used"));
  }
}

}  // namespace

// The id of the last row of events that the snapshot includes.
absl::StatusOr<int64_t> JournalStore::RecoverSnapshot(Recovered& recovered) {
  HR_ASSIGN_OR_RETURN(FoundSnapshot found, FindSnapshot(*connection_));
  recovered.snapshot = std::move(found.snapshot);
  for (const std::string& note : found.notes) recovered.notes.push_back(absl::StrCat(path_, ": ", note));
  return found.event_id;
}

absl::Status JournalStore::RecoverEvents(int64_t after_id, Recovered& recovered) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection_->Prepare("SELECT id, complete, body, checksum FROM events WHERE id > ?1 ORDER BY id"));
  rows.Bind(1, after_id);
  for (int64_t expected = after_id + 1;; ++expected) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return absl::OkStatus();
    const int64_t id = rows.Whole(0);
    if (id != expected) recovered.complete = false;
    expected = id;
    absl::StatusOr<std::vector<Recorded>> records = DecodeRecords(rows.Bytes(2));
    if (rows.Whole(3) != Checksum(Hash(rows.Bytes(2)), {rows.Whole(1)}) || !records.ok()) {
      recovered.complete = false;
      recovered.notes.push_back(absl::StrCat(path_, ": events ", id, " are damaged and left out"));
      continue;
    }
    if (rows.Whole(1) == 0) recovered.complete = false;
    std::move(records->begin(), records->end(), std::back_inserter(recovered.since));
  }
}

absl::Status JournalStore::RecoverIntents(Recovered& recovered) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection_->Prepare("SELECT id, at_nanos, body, checksum FROM intents WHERE open=1 ORDER BY at_nanos, id"));
  while (true) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return absl::OkStatus();
    absl::StatusOr<Action> action = DecodeAction(rows.Bytes(2));
    if (rows.Whole(3) == Checksum(Hash(rows.Bytes(2)), {rows.Whole(1)}) && action.ok()) {
      recovered.open_intents.push_back(*std::move(action));
    } else {
      recovered.notes.push_back(absl::StrCat(path_, ": intent ", rows.Bytes(0),
                                             " is damaged: only a look at the machines "
                                             "tells what became of it"));
    }
  }
}

namespace {

constexpr char kDecisionColumns[] = "SELECT sequence, sequence_last, until_nanos, body, checksum FROM decisions ";

absl::StatusOr<JournalEntry> EntryOf(const SqliteStatement& row) {
  const int64_t checksum = DecisionChecksum(Hash(row.Bytes(3)), row.Whole(0), row.Whole(1), row.Whole(2));
  absl::StatusOr<Decision> decision = DecodeDecision(row.Bytes(3));
  if (checksum != row.Whole(4) || !decision.ok()) {
    return absl::DataLossError(absl::StrCat("decision ", row.Whole(0), " is damaged in the journal"));
  }
  return JournalEntry{*std::move(decision), static_cast<uint64_t>(row.Whole(1)), absl::FromUnixNanos(row.Whole(2))};
}

}  // namespace

absl::StatusOr<std::unique_ptr<JournalReader>> JournalReader::Open(const std::string& path) {
  HR_ASSIGN_OR_RETURN(auto connection, SqliteConnection::Open(path, SqliteConnection::Access::kRead));
  return std::unique_ptr<JournalReader>(new JournalReader(std::move(connection)));
}

absl::StatusOr<FoundSnapshot> JournalReader::NewestSnapshot() {
  return FindSnapshot(*connection_);
}

absl::StatusOr<std::vector<JournalEntry>> JournalReader::Decisions(const Journal::Page& page) {
  HR_ASSIGN_OR_RETURN(SqliteStatement rows,
                      connection_->Prepare(absl::StrCat(kDecisionColumns,
                                                        "WHERE sequence < ?1 AND acting >= ?2 AND until_nanos >= ?3 "
                                                        "ORDER BY sequence DESC")));
  const bool from_newest = page.before_sequence == 0 || page.before_sequence > INT64_MAX;
  rows.Bind(1, from_newest ? INT64_MAX : static_cast<int64_t>(page.before_sequence)).Bind(2, page.only_acting ? 1 : 0);
  rows.Bind(3, absl::ToUnixNanos(page.since));
  std::vector<JournalEntry> entries;
  while (std::ssize(entries) < page.count) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    // A damaged row hides itself, not the others: a page that is not full is the last one.
    if (absl::StatusOr<JournalEntry> entry = EntryOf(rows); entry.ok()) entries.push_back(*std::move(entry));
  }
  return entries;
}

absl::StatusOr<JournalEntry> JournalReader::Find(uint64_t sequence) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection_->Prepare(absl::StrCat(kDecisionColumns, "WHERE sequence <= ?1 ORDER BY sequence DESC LIMIT 1")));
  rows.Bind(1, static_cast<int64_t>(std::min<uint64_t>(sequence, INT64_MAX)));
  HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
  if (!row || static_cast<uint64_t>(rows.Whole(1)) < sequence) {
    return absl::NotFoundError(absl::StrCat("the journal has no decision ", sequence, " (any more)"));
  }
  return EntryOf(rows);
}

}  // namespace headroom
