#include "controller/runtime/journal_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/runtime/journal_rows.h"
#include "controller/runtime/records.h"

namespace headroom {

using journal_rows::Checksum;
using journal_rows::DecisionChecksum;
using journal_rows::Hash;
using journal_rows::kApplicationId;
using journal_rows::kSchemaVersion;
using journal_rows::SnapshotOf;

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

absl::StatusOr<JournalEntry> FindEntry(SqliteConnection& connection, uint64_t sequence) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection.Prepare(absl::StrCat(kDecisionColumns, "WHERE sequence <= ?1 ORDER BY sequence DESC LIMIT 1")));
  rows.Bind(1, static_cast<int64_t>(std::min<uint64_t>(sequence, INT64_MAX)));
  HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
  if (!row || static_cast<uint64_t>(rows.Whole(1)) < sequence) {
    return absl::NotFoundError(absl::StrCat("the journal has no decision ", sequence, " (any more)"));
  }
  return EntryOf(rows);
}

absl::StatusOr<std::vector<JournalEntry>> ReadPage(SqliteConnection& connection, const Journal::Page& page) {
  HR_ASSIGN_OR_RETURN(SqliteStatement rows,
                      connection.Prepare(absl::StrCat(kDecisionColumns,
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

// In words that say what to think of.
absl::Status Told(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(absl::StrCat("is broken or cut short (", status.message(), ")"));
}

}  // namespace

absl::StatusOr<FoundSnapshot> journal_rows::FindSnapshot(SqliteConnection& connection) {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection.Prepare("SELECT id, policy, state, checksum, at_nanos, event_id FROM snapshots ORDER BY id DESC"));
  FoundSnapshot found;
  while (true) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return found;
    if (absl::StatusOr<Snapshot> snapshot = SnapshotOf(rows, 1); snapshot.ok()) {
      found.snapshot = *std::move(snapshot);
      found.event_id = rows.Whole(5);
      return found;
    }
    found.notes.push_back(absl::StrCat("snapshot ", rows.Whole(0), " is damaged: the one before it is used"));
  }
}

absl::StatusOr<std::unique_ptr<JournalFile>> JournalFile::Open(const std::string& path) {
  std::error_code ignored;
  const std::string file = std::filesystem::is_directory(path, ignored) ? path + "/journal.db" : path;
  if (!std::filesystem::exists(file, ignored))
    return absl::NotFoundError(absl::StrCat(file, ": there is no such file"));
  if (std::filesystem::file_size(file, ignored) == 0) return absl::DataLossError(absl::StrCat(file, ": is empty"));
  // What a process writes, or was killed over, stands beside the file until it is taken in.
  const bool still = !std::filesystem::exists(file + "-wal", ignored);
  const auto access = still ? SqliteConnection::Access::kReadStill : SqliteConnection::Access::kRead;
  auto connection = SqliteConnection::Open(file, access);
  if (!connection.ok()) return Annotate(Told(connection.status()), file);
  std::unique_ptr<JournalFile> journal(new JournalFile(*std::move(connection)));
  HR_RETURN_IF_ERROR(Annotate(Told(journal->Check()), file));
  HR_RETURN_IF_ERROR(Annotate(Told(journal->ReadSnapshots()), file));
  return journal;
}

absl::Status JournalFile::Check() {
  HR_RETURN_IF_ERROR(connection_->Execute("BEGIN"));  // one moment for all that is read
  HR_ASSIGN_OR_RETURN(const int64_t application, connection_->Number("PRAGMA application_id"));
  HR_ASSIGN_OR_RETURN(const int64_t version, connection_->Number("PRAGMA user_version"));
  if (application != kApplicationId) return absl::FailedPreconditionError("is not a journal of Headroom");
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("was written by a newer release (schema ", version, ")"));
  }
  HR_ASSIGN_OR_RETURN(SqliteStatement check, connection_->Prepare("PRAGMA quick_check(1)"));
  HR_RETURN_IF_ERROR(check.Step().status());
  if (check.Bytes(0) == "ok") return absl::OkStatus();
  return absl::DataLossError(std::string(check.Bytes(0)));
}

absl::Status JournalFile::ReadSnapshots() {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection_->Prepare("SELECT id, at_nanos, event_id, COALESCE((SELECT value FROM meta WHERE key = "
                           "'life:' || snapshots.id), 0) FROM snapshots ORDER BY id"));
  while (true) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    snapshots_.push_back({rows.Whole(0), absl::FromUnixNanos(rows.Whole(1)), rows.Whole(2), rows.Whole(3)});
  }
  HR_ASSIGN_OR_RETURN(last_event_id_, connection_->Number("SELECT MAX(id) FROM events"));
  return absl::OkStatus();
}

absl::StatusOr<Snapshot> JournalFile::ReadSnapshot(int64_t id) const {
  HR_ASSIGN_OR_RETURN(SqliteStatement rows, connection_->Prepare("SELECT policy, state, checksum, at_nanos, event_id "
                                                                 "FROM snapshots WHERE id = ?1"));
  HR_ASSIGN_OR_RETURN(const bool row, rows.Bind(1, id).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("the journal has no snapshot ", id));
  return SnapshotOf(rows, 0);
}

absl::Status JournalFile::VisitEvents(int64_t after_id, const std::function<bool(const EventRow&)>& visit) const {
  HR_ASSIGN_OR_RETURN(
      SqliteStatement rows,
      connection_->Prepare("SELECT id, complete, body, checksum FROM events WHERE id > ?1 ORDER BY id"));
  rows.Bind(1, after_id);
  while (true) {
    HR_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return absl::OkStatus();
    EventRow events{.id = rows.Whole(0), .complete = rows.Whole(1) != 0};
    absl::StatusOr<std::vector<Recorded>> records = DecodeRecords(rows.Bytes(2));
    events.whole = records.ok() && rows.Whole(3) == Checksum(Hash(rows.Bytes(2)), {rows.Whole(1)});
    if (events.whole) events.records = *std::move(records);
    if (!visit(events)) return absl::OkStatus();
  }
}

absl::StatusOr<JournalEntry> JournalFile::FindDecision(uint64_t sequence) const {
  return FindEntry(*connection_, sequence);
}

absl::StatusOr<std::vector<JournalEntry>> JournalFile::Decisions(const Journal::Page& page) const {
  return ReadPage(*connection_, page);
}

absl::StatusOr<FoundSnapshot> JournalFile::NewestSnapshot() const {
  return journal_rows::FindSnapshot(*connection_);
}

absl::StatusOr<std::unique_ptr<JournalReader>> JournalReader::Open(const std::string& path,
                                                                   SqliteConnection::Access access) {
  HR_ASSIGN_OR_RETURN(auto connection, SqliteConnection::Open(path, access));
  return std::unique_ptr<JournalReader>(new JournalReader(std::move(connection)));
}

absl::StatusOr<FoundSnapshot> JournalReader::NewestSnapshot() {
  return journal_rows::FindSnapshot(*connection_);
}

absl::StatusOr<std::vector<JournalEntry>> JournalReader::Decisions(const Journal::Page& page) {
  return ReadPage(*connection_, page);
}

absl::StatusOr<JournalEntry> JournalReader::Find(uint64_t sequence) {
  return FindEntry(*connection_, sequence);
}

}  // namespace headroom
