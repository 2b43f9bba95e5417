#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

#include "gateway/cache/idempotency_room.h"
#include "os/file.h"

namespace weir::gateway {
namespace {

using Statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;

// While another process writes to the file: at the start, and for what every request would wait
// for.
constexpr int kBusyMs = 2000;
constexpr int kBusyAtWorkMs = 10;
constexpr int kExpiredAtOnce = 16;  // looked for at each insert
constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS idempotency (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name "
    "TEXT NOT NULL, fingerprint BLOB NOT NULL, begun_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "status INTEGER, content_type TEXT, body BLOB, UNIQUE (tenant, name));"
    "CREATE INDEX IF NOT EXISTS idempotency_old ON idempotency (begun_ms);"
    "CREATE INDEX IF NOT EXISTS idempotency_tenant ON idempotency (tenant, begun_ms);"
    "DELETE FROM idempotency WHERE status IS NULL;";

Error db_error(sqlite3* db) {
  const int code = sqlite3_errcode(db);
  const bool corrupt = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
  return make_error(corrupt ? ErrorCode::kCorrupt : ErrorCode::kIo, "the idempotency file: {}",
                    sqlite3_errmsg(db));
}

// A prepared statement in use: texts bound in order, reset at the end.
class Run {
 public:
  Run(sqlite3* db, sqlite3_stmt* s) : db_(db), s_(s) {}
  ~Run() {
    sqlite3_reset(s_);
    sqlite3_clear_bindings(s_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Run& text(const std::string& v) {
    sqlite3_bind_text(s_, ++at_, v.data(), static_cast<int>(v.size()), SQLITE_STATIC);
    return *this;
  }
  Run& blob(const std::string& v) {
    sqlite3_bind_blob(s_, ++at_, v.data(), static_cast<int>(v.size()), SQLITE_STATIC);
    return *this;
  }
  Run& number(int64_t v) {
    sqlite3_bind_int64(s_, ++at_, v);
    return *this;
  }
  // True: there is a row.
  Result<bool> step() {
    const int code = sqlite3_step(s_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return db_error(db_);
  }
  int64_t number_at(int column) const { return sqlite3_column_int64(s_, column); }
  bool is_null(int column) const { return sqlite3_column_type(s_, column) == SQLITE_NULL; }
  std::string bytes_at(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(s_, column));
    return bytes == nullptr
               ? std::string()
               : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(s_, column)));
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* s_;
  int at_ = 0;
};

class SqliteStore final : public IdempotencyStore {
 public:
  SqliteStore(const IdempotencyConfig& config, sqlite3* db)
      : config_(config), room_(config), db_(db, &sqlite3_close_v2) {}

  Status start() {
    sqlite3_busy_timeout(db_.get(), kBusyMs);
    sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", kTable}) {
      if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        return db_error(db_.get());
    }
    WEIR_TRY(prepare(find_,
                     "SELECT id, fingerprint, begun_ms, bytes, status, content_type, body "
                     "FROM idempotency WHERE tenant = ? AND name = ?"));
    WEIR_TRY(prepare(insert_,
                     "INSERT INTO idempotency (tenant, name, fingerprint, begun_ms, bytes) "
                     "VALUES (?, ?, ?, ?, ?)"));
    WEIR_TRY(prepare(reply_,
                     "UPDATE idempotency SET status = ?, content_type = ?, body = ?, bytes "
                     "= bytes + ? WHERE tenant = ? AND name = ? AND status IS NULL"));
    WEIR_TRY(prepare(delete_, "DELETE FROM idempotency WHERE id = ?"));
    WEIR_TRY(prepare(old_,
                     "SELECT id, tenant, bytes FROM idempotency WHERE begun_ms <= ? AND "
                     "status IS NOT NULL ORDER BY begun_ms LIMIT 1"));
    WEIR_TRY(prepare(old_of_,
                     "SELECT id, tenant, bytes FROM idempotency WHERE tenant = ? AND "
                     "status IS NOT NULL ORDER BY begun_ms LIMIT 1"));
    Statement sums(nullptr, &sqlite3_finalize);
    WEIR_TRY(prepare(sums, "SELECT tenant, COUNT(*), SUM(bytes) FROM idempotency GROUP BY tenant"));
    Run run(db_.get(), sums.get());
    while (true) {
      WEIR_ASSIGN(const bool row, run.step());
      if (!row) break;
      room_.add(run.bytes_at(0), static_cast<size_t>(run.number_at(1)),
                static_cast<size_t>(run.number_at(2)));
    }
    sqlite3_busy_timeout(db_.get(), kBusyAtWorkMs);
    return {};
  }

  Result<std::optional<IdempotencyRecord>> insert(const IdempotencyName& name,
                                                  const std::string& fingerprint,
                                                  int64_t now_ms) override {
    const int64_t old_ms = now_ms - config_.keep_ms;
    for (int i = 0; i < kExpiredAtOnce; ++i) {
      WEIR_ASSIGN(const bool dropped, drop_old(old_ms));
      if (!dropped) break;
    }
    WEIR_ASSIGN(auto found, find(name));
    if (found && (!found->record.reply || found->record.begun_ms > old_ms))
      return std::optional(std::move(found->record));
    if (found) WEIR_TRY(drop(found->id, name.tenant, found->bytes));
    const size_t bytes = IdempotencyRoom::bytes_of(name, fingerprint);
    WEIR_TRY(make_room(name.tenant, 1, bytes));
    Run run(db_.get(), insert_.get());
    run.text(name.tenant).text(name.key).blob(fingerprint).number(now_ms);
    WEIR_ASSIGN([[maybe_unused]] const bool row, run.number(static_cast<int64_t>(bytes)).step());
    room_.add(name.tenant, 1, bytes);
    return std::optional<IdempotencyRecord>();
  }

  Status set_reply(const IdempotencyName& name, const StoredReply& reply) override {
    WEIR_ASSIGN(const auto found, find(name));
    if (!found || found->record.reply) return {};
    const size_t bytes = IdempotencyRoom::bytes_of(reply);
    if (!make_room(name.tenant, 0, bytes).ok()) return drop(found->id, name.tenant, found->bytes);
    Run run(db_.get(), reply_.get());
    run.number(reply.status).text(reply.content_type).blob(reply.body);
    run.number(static_cast<int64_t>(bytes)).text(name.tenant).text(name.key);
    WEIR_ASSIGN([[maybe_unused]] const bool row, run.step());
    room_.add(name.tenant, 0, bytes);
    return {};
  }

  Status erase(const IdempotencyName& name) override {
    WEIR_ASSIGN(const auto found, find(name));
    return found ? drop(found->id, name.tenant, found->bytes) : Status();
  }

  size_t records() const override { return room_.records(); }
  size_t bytes() const override { return room_.bytes(); }
  uint64_t dropped_early() const override { return dropped_early_; }

 private:
  struct Found {
    int64_t id = 0;
    size_t bytes = 0;
    IdempotencyRecord record;
  };

  Status prepare(Statement& into, const char* sql) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(db_.get(), sql, -1, &raw, nullptr) != SQLITE_OK)
      return db_error(db_.get());
    into.reset(raw);
    return {};
  }

  Result<std::optional<Found>> find(const IdempotencyName& name) {
    Run run(db_.get(), find_.get());
    WEIR_ASSIGN(const bool row, run.text(name.tenant).text(name.key).step());
    if (!row) return std::optional<Found>();
    Found f{run.number_at(0), static_cast<size_t>(run.number_at(3)), {}};
    f.record = {run.bytes_at(1), run.number_at(2), std::nullopt};
    if (!run.is_null(4))
      f.record.reply = {static_cast<int>(run.number_at(4)), run.bytes_at(5), run.bytes_at(6)};
    return std::optional(std::move(f));
  }

  Status drop(int64_t id, const std::string& tenant, size_t bytes) {
    Run run(db_.get(), delete_.get());
    WEIR_ASSIGN([[maybe_unused]] const bool row, run.number(id).step());
    room_.remove(tenant, 1, bytes);
    return {};
  }

  // Of the rows that `run` finds the first one. False: there is none.
  Result<bool> drop_first(Run& run) {
    WEIR_ASSIGN(const bool row, run.step());
    if (!row) return false;
    WEIR_TRY(drop(run.number_at(0), run.bytes_at(1), static_cast<size_t>(run.number_at(2))));
    return true;
  }
  Result<bool> drop_old(int64_t begun_ms) {
    Run run(db_.get(), old_.get());
    return drop_first(run.number(begun_ms));
  }
  Result<bool> drop_old_of(const std::string& tenant) {
    Run run(db_.get(), old_of_.get());
    return drop_first(run.text(tenant));
  }

  Status make_room(const std::string& tenant, size_t more, size_t bytes) {
    while (true) {
      const bool own = room_.tenant_full(tenant, more, bytes);
      if (!own && !room_.all_full(more, bytes)) return {};
      WEIR_ASSIGN(const bool dropped, own ? drop_old_of(tenant) : drop_old(INT64_MAX));
      if (!dropped) {
        Error e = make_error(ErrorCode::kServerOverloaded,
                             "too many requests with an Idempotency-Key are under way");
        e.bound = "idempotency_records";
        e.retry_after_s = 1;
        return e;
      }
      ++dropped_early_;
    }
  }

  const IdempotencyConfig config_;
  IdempotencyRoom room_;
  std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> db_;  // after its statements are gone
  Statement find_{nullptr, &sqlite3_finalize};
  Statement insert_{nullptr, &sqlite3_finalize};
  Statement reply_{nullptr, &sqlite3_finalize};
  Statement delete_{nullptr, &sqlite3_finalize};
  Statement old_{nullptr, &sqlite3_finalize};
  Statement old_of_{nullptr, &sqlite3_finalize};
  uint64_t dropped_early_ = 0;
};

}  // namespace

Result<std::unique_ptr<IdempotencyStore>> sqlite_idempotency_store(const IdempotencyConfig& config,
                                                                   const std::string& path) {
  // Answers of all tenants: for the owner alone.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return os::system_error("open", path, errno);
  ::close(fd);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  auto store = std::make_unique<SqliteStore>(config, db);
  if (code != SQLITE_OK) {
    return make_error(ErrorCode::kIo, "cannot open {}: {}", path,
                      db == nullptr ? "no memory" : sqlite3_errmsg(db));
  }
  if (const Status started = store->start(); !started.ok())
    return started.error().with_context(path);
  return std::unique_ptr<IdempotencyStore>(std::move(store));
}

}  // namespace weir::gateway
