#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "controller/runtime/journal.h"
#include "controller/runtime/journal_store.h"
#include "controller/runtime/sqlite.h"

namespace headroom {

// JournalFile: a journal as it stands on disk, for those who look at the past. Opened read only: nothing is written,
// and one moment is seen throughout, whatever is written meanwhile. A living daemon writes on; until this is closed it
// cannot take its write-ahead log (journal.db-wal) into the file, which grows by all that it writes. Rows that are
// damaged are told, never guessed at. One thread.
class JournalFile {
 public:
  // The file, or the state directory that has it. NOT_FOUND: there is none; FAILED_PRECONDITION: no journal of
  // Headroom, or of a newer release; DATA_LOSS: cut short or broken; PERMISSION_DENIED.
  static absl::StatusOr<std::unique_ptr<JournalFile>> Open(const std::string& path);

  struct SnapshotRow {
    int64_t id = 0;
    absl::Time at;
    int64_t event_id = 0;        // of the last row of events that it includes
    int64_t first_event_id = 0;  // of the process that wrote it, where it is that process's first; 0: it is not
  };
  // Oldest first.
  const std::vector<SnapshotRow>& snapshots() const { return snapshots_; }
  // DATA_LOSS: it is damaged.
  absl::StatusOr<Snapshot> ReadSnapshot(int64_t id) const;

  struct EventRow {
    int64_t id = 0;
    bool complete = true;  // nothing was left out of it
    bool whole = true;     // it is not damaged
    std::vector<Recorded> records;
  };
  // Every row after this one, in order, until the visitor says false.
  absl::Status VisitEvents(int64_t after_id, const std::function<bool(const EventRow&)>& visit) const;
  // Of the last row.
  int64_t last_event_id() const { return last_event_id_; }

  // The decision with this number. NOT_FOUND, DATA_LOSS.
  absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const;

  // As JournalReader's.
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Journal::Page& page) const;
  absl::StatusOr<FoundSnapshot> NewestSnapshot() const;

 private:
  explicit JournalFile(std::unique_ptr<SqliteConnection> connection) : connection_(std::move(connection)) {}
  absl::Status Check();
  absl::Status ReadSnapshots();

  std::unique_ptr<SqliteConnection> connection_;
  std::vector<SnapshotRow> snapshots_;
  int64_t last_event_id_ = 0;
};

}  // namespace headroom
