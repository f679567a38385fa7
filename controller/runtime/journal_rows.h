#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/status.h"
#include "controller/runtime/journal.h"
#include "controller/runtime/journal_store.h"
#include "controller/runtime/records.h"
#include "controller/runtime/sqlite.h"

// What those who write the journal's rows and those who read them agree on.

namespace headroom::journal_rows {

constexpr int64_t kApplicationId = 0x48524a31;  // "HRJ1"
constexpr int64_t kSchemaVersion = 1;

// FNV-1a: tells a torn row from a whole one; no defence against a forger.
inline uint64_t Hash(absl::string_view bytes, uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

inline int64_t Checksum(uint64_t body_hash, std::initializer_list<int64_t> columns) {
  for (const int64_t column : columns) {
    body_hash = Hash({reinterpret_cast<const char*>(&column), sizeof(column)}, body_hash);
  }
  return static_cast<int64_t>(body_hash);
}

inline int64_t DecisionChecksum(uint64_t body_hash, int64_t sequence, int64_t sequence_last, int64_t until_nanos) {
  return Checksum(body_hash, {sequence, sequence_last, until_nanos});
}

// A row of snapshots: policy, state, checksum, at_nanos, event_id, from this column on.
inline absl::StatusOr<Snapshot> SnapshotOf(const SqliteStatement& row, int first) {
  const uint64_t hash = Hash(row.Bytes(first + 1), Hash(row.Bytes(first)));
  const bool whole = row.Whole(first + 2) == Checksum(hash, {row.Whole(first + 3), row.Whole(first + 4)});
  HR_ASSIGN_OR_RETURN(Policy policy, DecodePolicy(row.Bytes(first)));
  HR_ASSIGN_OR_RETURN(State state, DecodeState(row.Bytes(first + 1)));
  if (!whole) return absl::DataLossError("a snapshot is damaged in the journal");
  return Snapshot{absl::FromUnixNanos(row.Whole(first + 3)), std::move(policy), std::move(state)};
}

// The newest good one, and what was damaged.
absl::StatusOr<FoundSnapshot> FindSnapshot(SqliteConnection& connection);

}  // namespace headroom::journal_rows
