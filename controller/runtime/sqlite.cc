#include "controller/runtime/sqlite.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <sqlite3.h>

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr int kBusyMillis = 5000;

absl::StatusCode CodeOf(int result, int system_error) {
  if (system_error == ENOSPC || system_error == EDQUOT) return absl::StatusCode::kResourceExhausted;
  switch (result & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInternal;
  }
}

// A path as it stands in an URI.
std::string Escaped(const std::string& path) {
  return absl::StrReplaceAll(path, {{"%", "%25"}, {"?", "%3f"}, {"#", "%23"}});
}

absl::Status ErrorOf(sqlite3* connection, int result) {
  const bool io = (result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_FULL;
  const int system_error = io ? sqlite3_system_errno(connection) : 0;
  return absl::Status(CodeOf(result, system_error), absl::StrCat("sqlite: ", sqlite3_errmsg(connection)));
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}

SqliteStatement::~SqliteStatement() {
  sqlite3_finalize(statement_);
}

SqliteStatement& SqliteStatement::Bind(int index, int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
  return *this;
}

SqliteStatement& SqliteStatement::BindBytes(int index, absl::string_view value) {
  sqlite3_bind_blob64(statement_, index, value.data(), value.size(), SQLITE_STATIC);
  return *this;
}

SqliteStatement& SqliteStatement::BindText(int index, absl::string_view value) {
  sqlite3_bind_text64(statement_, index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return ErrorOf(connection_, result);
}

absl::Status SqliteStatement::Run() {
  absl::Status status = Step().status();
  sqlite3_reset(statement_);
  return status;
}

int64_t SqliteStatement::Whole(int column) const {
  return sqlite3_column_int64(statement_, column);
}

absl::string_view SqliteStatement::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? absl::string_view()
                          : absl::string_view(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path, Access access) {
  const int flags = access == Access::kWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const std::string name = access == Access::kReadStill ? absl::StrCat("file:", Escaped(path), "?immutable=1") : path;
  const int uri = access == Access::kReadStill ? SQLITE_OPEN_URI : 0;
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(name.c_str(), &raw, flags | uri | SQLITE_OPEN_FULLMUTEX, nullptr);
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(raw));
  if (result != SQLITE_OK) return Annotate(ErrorOf(raw, result), path);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyMillis);
  if (access != Access::kWrite) {
    sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    HR_RETURN_IF_ERROR(connection->Execute("PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0"));
  }
  return connection;
}

SqliteConnection::~SqliteConnection() {
  sqlite3_close_v2(connection_);
}

absl::Status SqliteConnection::Execute(const std::string& sql) {
  const int result = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : ErrorOf(connection_, result);
}

absl::StatusOr<SqliteStatement> SqliteConnection::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v2(connection_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (result != SQLITE_OK) return ErrorOf(connection_, result);
  return SqliteStatement(connection_, statement);
}

absl::StatusOr<int64_t> SqliteConnection::Number(absl::string_view sql) {
  HR_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  HR_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Whole(0) : 0;
}

int64_t SqliteConnection::LastRowId() const {
  return sqlite3_last_insert_rowid(connection_);
}

}  // namespace headroom
