#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/runtime/journal.h"
#include "controller/runtime/sqlite.h"

namespace headroom {

// Events and ticks that stand in one row.
struct RecordBatch {
  std::vector<Recorded> records;
  bool complete = true;  // nothing was left out

  bool Empty() const { return records.empty() && complete; }
};

// A snapshot as it is stored.
struct EncodedSnapshot {
  absl::Time at;
  std::string policy, state;
};

// What one transaction writes, in this order.
struct JournalWrite {
  int64_t term = 0;  // 0: unchanged
  RecordBatch before;
  std::optional<EncodedSnapshot> snapshot;  // taken after `before`
  RecordBatch after;
  std::vector<std::shared_ptr<const Decision>> decisions;
  struct Intent {
    absl::Time at;
    std::optional<Action> begun;  // nothing: `ended` is over
    ActionId ended;
  };
  std::vector<Intent> intents;

  bool Empty() const;
};

// JournalStore: the file journal.db of a state directory: its schema, its one writing connection, and what a restart
// reads. Every row carries a checksum, so that one torn by a bad disk is noticed, left out and reported. The file's
// rows are bounded: events and decisions in bytes (the oldest go first, decisions that did nothing before those that
// acted or changed the diagnosis), two snapshots, kIntentsMax ended intents. One thread at a time.
class JournalStore {
 public:
  struct Bounds {
    int64_t events_bytes_max = int64_t{64} << 20;
    int64_t decisions_bytes_max = int64_t{64} << 20;
    int64_t file_bytes_max = 0;  // 0: the disk's
  };
  static constexpr int kSnapshotsKept = 2;
  static constexpr int kIntentsMax = 10'000;

  // Creates the directory where it is missing. FAILED_PRECONDITION: another process has it; DATA_LOSS: the file is
  // broken; else as sqlite.h says, with the path.
  static absl::StatusOr<std::unique_ptr<JournalStore>> Open(const std::string& state_dir, const Bounds& bounds);
  ~JournalStore();
  JournalStore(const JournalStore&) = delete;
  JournalStore& operator=(const JournalStore&) = delete;

  // All of it is on disk, or nothing.
  absl::Status Write(const JournalWrite& write);
  absl::StatusOr<Recovered> Recover();

  const std::string& path() const { return path_; }
  // Bytes of one recorded event in the last large batch, on average; 0: not known yet.
  int64_t record_bytes() const { return record_bytes_; }

 private:
  // The decision row that an unchanged decision extends.
  struct LastDecision {
    uint64_t sequence = 0;
    std::string content;
    uint64_t body_hash = 0;
  };

  JournalStore(std::string path, int lock_file) : path_(std::move(path)), lock_file_(lock_file) {}
  absl::Status Prepare(const Bounds& bounds);
  absl::Status Migrate();
  absl::Status WriteAll(const JournalWrite& write);
  absl::Status WriteTerm(int64_t term);
  absl::Status WriteBatch(const RecordBatch& batch);
  absl::Status WriteSnapshot(const EncodedSnapshot& snapshot);
  absl::Status WriteDecision(const Decision& decision);
  absl::Status ExtendDecision(const Decision& decision);
  absl::Status WriteIntent(const JournalWrite::Intent& intent);
  absl::Status Trim();
  absl::Status TrimEvents();
  absl::Status TrimDecisions();

  absl::StatusOr<int64_t> RecoverSnapshot(Recovered& recovered);
  absl::Status RecoverEvents(int64_t after_id, Recovered& recovered);
  absl::Status RecoverIntents(Recovered& recovered);

  std::string path_;
  int lock_file_;
  Bounds bounds_;
  std::unique_ptr<SqliteConnection> connection_;
  int64_t events_bytes_ = 0, decisions_bytes_ = 0, record_bytes_ = 0;
  LastDecision last_;
  Cause last_cause_ = Cause::kNone;
};

// The newest good snapshot that the connection's journal has, and what was damaged; nothing: it has none.
struct FoundSnapshot {
  std::optional<Snapshot> snapshot;
  int64_t event_id = 0;  // of the last row of events that it includes
  std::vector<std::string> notes;
};

// Reads through a connection of its own that cannot write. Thread-compatible.
class JournalReader {
 public:
  // NOT_FOUND / DATA_LOSS: there is no such file, or it is no journal.
  static absl::StatusOr<std::unique_ptr<JournalReader>> Open(const std::string& path);
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Journal::Page& page);
  absl::StatusOr<JournalEntry> Find(uint64_t sequence);
  absl::StatusOr<FoundSnapshot> NewestSnapshot();

 private:
  explicit JournalReader(std::unique_ptr<SqliteConnection> connection) : connection_(std::move(connection)) {}
  std::unique_ptr<SqliteConnection> connection_;
};

}  // namespace headroom
