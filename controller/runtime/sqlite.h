#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct sqlite3;
struct sqlite3_stmt;

// SQLite behind absl::Status: a connection and its statements. Codes are remedies: RESOURCE_EXHAUSTED the disk is full,
// UNAVAILABLE the disk or a lock failed and a later try may do, PERMISSION_DENIED the file may not be written,
// DATA_LOSS it is no database or a broken one.

namespace headroom {

// A prepared statement: bind from 1, step, read columns from 0. One thread at a time. Moves; ends with its connection.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* connection, sqlite3_stmt* statement) : connection_(connection), statement_(statement) {}
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  SqliteStatement& Bind(int index, int64_t value);
  // The bytes must live until the statement has run.
  SqliteStatement& BindBytes(int index, absl::string_view value);
  SqliteStatement& BindText(int index, absl::string_view value);
  // True: a row stands ready.
  absl::StatusOr<bool> Step();
  // Runs it to its end and makes it ready to be bound again.
  absl::Status Run();

  int64_t Whole(int column) const;
  absl::string_view Bytes(int column) const;  // until the next Step()

 private:
  sqlite3* connection_;
  sqlite3_stmt* statement_;
};

class SqliteConnection {
 public:
  // kReadStill: nobody writes, so that not even the files of a lock are made beside it.
  enum class Access { kWrite, kRead, kReadStill };
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path, Access access);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  // One or more statements without results.
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<SqliteStatement> Prepare(absl::string_view sql);
  // The first column of the first row, 0 when there is none.
  absl::StatusOr<int64_t> Number(absl::string_view sql);
  int64_t LastRowId() const;

 private:
  explicit SqliteConnection(sqlite3* connection) : connection_(connection) {}

  sqlite3* connection_;
};

}  // namespace headroom
