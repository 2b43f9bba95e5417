#include "gateway/state/sqlite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "os/file.h"

namespace weir::gateway {
namespace {

constexpr int kBusyMs = 2000;
constexpr mode_t kFileMode = 0600;

ErrorCode code_of(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
      return ErrorCode::kCorrupt;
    case SQLITE_FULL:
      return ErrorCode::kLimit;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kServerOverloaded;
    default:
      return ErrorCode::kIo;
  }
}

Error db_error(sqlite3* db) {
  const char* file = sqlite3_db_filename(db, "main");
  return make_error(code_of(sqlite3_errcode(db)), "{}: {}", file == nullptr ? "" : file,
                    sqlite3_errmsg(db));
}

// The file with its mode before SQLite makes it with another; an older one loses what others may.
Status make_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) return os::system_error("open", path, errno);
  const bool changed = ::fchmod(fd, kFileMode) == 0;
  const int error = errno;
  ::close(fd);
  if (!changed) return os::system_error("restrict the mode of", path, error);
  return {};
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)), bound_(other.bound_) {}
SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

void SqliteStatement::bind(int at, int64_t value) {
  bound_ = sqlite3_bind_int64(statement_, at, value) == SQLITE_OK && bound_;
}
void SqliteStatement::bind(int at, double value) {
  bound_ = sqlite3_bind_double(statement_, at, value) == SQLITE_OK && bound_;
}
void SqliteStatement::bind(int at, std::string_view value) {
  bound_ = sqlite3_bind_text(statement_, at, value.data(), static_cast<int>(value.size()),
                             SQLITE_TRANSIENT) == SQLITE_OK &&
           bound_;
}
void SqliteStatement::bind_blob(int at, std::string_view bytes) {
  bound_ = sqlite3_bind_blob(statement_, at, bytes.data(), static_cast<int>(bytes.size()),
                             SQLITE_TRANSIENT) == SQLITE_OK &&
           bound_;
}
void SqliteStatement::bind_null(int at) {
  bound_ = sqlite3_bind_null(statement_, at) == SQLITE_OK && bound_;
}

Result<bool> SqliteStatement::step() {
  const bool bound = std::exchange(bound_, true);
  const int code = bound ? sqlite3_step(statement_) : sqlite3_errcode(db_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  Error e = db_error(db_);
  sqlite3_reset(statement_);
  return e;
}

Status SqliteStatement::run() {
  WEIR_ASSIGN(const bool row, step());
  if (row) reset();
  return {};
}

void SqliteStatement::reset() { sqlite3_reset(statement_); }

int64_t SqliteStatement::integer(int at) const { return sqlite3_column_int64(statement_, at); }
double SqliteStatement::number(int at) const { return sqlite3_column_double(statement_, at); }
std::string SqliteStatement::text(int at) const {
  const void* bytes = sqlite3_column_blob(statement_, at);
  return bytes == nullptr ? ""
                          : std::string(static_cast<const char*>(bytes),
                                        static_cast<size_t>(sqlite3_column_bytes(statement_, at)));
}
bool SqliteStatement::is_null(int at) const {
  return sqlite3_column_type(statement_, at) == SQLITE_NULL;
}

Result<Sqlite> Sqlite::open(const std::string& path, SqliteMode mode, size_t max_row_bytes) {
  std::error_code error;
  if (mode != SqliteMode::kRead) {
    WEIR_TRY(make_private(path));
  } else if (!std::filesystem::exists(path, error)) {
    return make_error(ErrorCode::kNotFound, "{} is not there", path);
  }
  sqlite3* raw = nullptr;
  const int flags = mode == SqliteMode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Sqlite db(raw, path);
  if (code != SQLITE_OK) {
    return make_error(code_of(code), "cannot open {}: {}", path,
                      raw == nullptr ? "no memory" : sqlite3_errmsg(raw));
  }
  sqlite3_busy_timeout(raw, kBusyMs);
  sqlite3_limit(raw, SQLITE_LIMIT_LENGTH, static_cast<int>(max_row_bytes));
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  if (mode == SqliteMode::kExclusive) WEIR_TRY(db.execute("PRAGMA locking_mode=EXCLUSIVE"));
  if (mode != SqliteMode::kRead) WEIR_TRY(db.execute("PRAGMA journal_mode=WAL"));
  // Reading says whether it is a database at all, and takes the lock of kExclusive.
  WEIR_ASSIGN(const int64_t version, db.version());
  if (mode == SqliteMode::kExclusive)
    WEIR_TRY(db.execute(fmt::format("PRAGMA user_version={}", version)));
  return db;
}

Sqlite::Sqlite(Sqlite&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), path_(std::move(other.path_)) {}
Sqlite::~Sqlite() { sqlite3_close_v2(db_); }

Status Sqlite::execute(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return db_error(db_);
}

Result<SqliteStatement> Sqlite::prepare(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) return db_error(db_);
  return SqliteStatement(db_, raw);
}

Result<int64_t> Sqlite::version() {
  WEIR_ASSIGN(SqliteStatement s, prepare("PRAGMA user_version"));
  WEIR_ASSIGN(const bool row, s.step());
  return row ? s.integer(0) : 0;
}

void Sqlite::set_busy_ms(int ms) { sqlite3_busy_timeout(db_, ms); }

int64_t Sqlite::changes() const { return sqlite3_changes(db_); }

}  // namespace weir::gateway
