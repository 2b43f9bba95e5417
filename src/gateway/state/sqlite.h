// The little that the gateway's state needs of SQLite: a file opened with care, statements that
// check what they bind. Internal to gateway/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weir::gateway {

class Sqlite;

// A prepared statement. One thread at a time, that of its connection; not beyond its connection.
class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  // Parameters from 1 on. A bind that fails shows in the next step().
  void bind(int at, int64_t value);
  void bind(int at, double value);
  void bind(int at, std::string_view value);
  void bind_blob(int at, std::string_view bytes);
  void bind_null(int at);
  // True: a row is there; false: done, and the statement can be bound anew. Errors as Sqlite's.
  Result<bool> step();
  // For what gives no rows.
  Status run();
  void reset();

  // Columns of the row from 0 on.
  int64_t integer(int at) const;
  double number(int at) const;
  std::string text(int at) const;  // or the bytes of a blob
  bool is_null(int at) const;

 private:
  friend class Sqlite;
  SqliteStatement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  sqlite3* db_;
  sqlite3_stmt* statement_;
  bool bound_ = true;
};

enum class SqliteMode : uint8_t {
  kRead,       // must be there, nothing is written; others may write meanwhile
  kWrite,      // made where it is missing, with mode 0600; others may read
  kExclusive,  // as kWrite, and this process alone has it
};

// One connection; one thread at a time. Errors: kNotFound; kIo; kCorrupt for what is no database
// or broken; kLimit when the disk is full; kServerOverloaded while another process has it.
class Sqlite {
 public:
  // max_row_bytes: of a row, or of a value; a bigger one is an error.
  static constexpr size_t kMaxRowBytes = size_t{1} << 20;
  static Result<Sqlite> open(const std::string& path, SqliteMode mode,
                             size_t max_row_bytes = kMaxRowBytes);
  Sqlite(Sqlite&& other) noexcept;
  Sqlite& operator=(Sqlite&&) = delete;
  ~Sqlite();

  // One or more statements without parameters and rows.
  Status execute(const std::string& sql);
  Result<SqliteStatement> prepare(const std::string& sql);
  // PRAGMA user_version.
  Result<int64_t> version();
  // How long a statement waits while another process writes; at first 2000.
  void set_busy_ms(int ms);
  // The rows that the last statement has changed.
  int64_t changes() const;

 private:
  Sqlite(sqlite3* db, std::string path) : db_(db), path_(std::move(path)) {}
  sqlite3* db_;
  std::string path_;
};

}  // namespace weir::gateway
