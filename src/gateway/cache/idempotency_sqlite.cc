// Idempotency records in a file of SQLite.
#include <optional>

#include "gateway/cache/idempotency_room.h"
#include "gateway/state/sqlite.h"

namespace weir::gateway {
namespace {

// While another process writes to the file: for no longer than requests can wait for it.
constexpr int kBusyAtWorkMs = 10;
constexpr size_t kOtherBytes = 64 * 1024;  // of a row, beside the body
constexpr int kExpiredAtOnce = 16;         // looked for at each insert
constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS idempotency (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name "
    "TEXT NOT NULL, fingerprint BLOB NOT NULL, begun_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "status INTEGER, content_type TEXT, body BLOB, UNIQUE (tenant, name));"
    "CREATE INDEX IF NOT EXISTS idempotency_old ON idempotency (begun_ms);"
    "CREATE INDEX IF NOT EXISTS idempotency_tenant ON idempotency (tenant, begun_ms);"
    "DELETE FROM idempotency WHERE status IS NULL;";

// A prepared statement in use: bound in order, reset at the end.
class Run {
 public:
  explicit Run(std::optional<SqliteStatement>& s) : s_(*s) {}
  ~Run() { s_.reset(); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Run& text(const std::string& v) {
    s_.bind(++at_, std::string_view(v));
    return *this;
  }
  Run& blob(const std::string& v) {
    s_.bind_blob(++at_, v);
    return *this;
  }
  Run& number(int64_t v) {
    s_.bind(++at_, v);
    return *this;
  }
  // True: there is a row.
  Result<bool> step() { return s_.step(); }
  int64_t number_at(int column) const { return s_.integer(column); }
  bool is_null(int column) const { return s_.is_null(column); }
  std::string bytes_at(int column) const { return s_.text(column); }

 private:
  SqliteStatement& s_;
  int at_ = 0;
};

class SqliteStore final : public IdempotencyStore {
 public:
  SqliteStore(const IdempotencyConfig& config, Sqlite db)
      : config_(config), room_(config), db_(std::move(db)) {}

  Status start() {
    WEIR_TRY(db_.execute("PRAGMA synchronous=NORMAL"));
    WEIR_TRY(db_.execute(kTable));
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
    std::optional<SqliteStatement> sums;
    WEIR_TRY(prepare(sums, "SELECT tenant, COUNT(*), SUM(bytes) FROM idempotency GROUP BY tenant"));
    Run run(sums);
    while (true) {
      WEIR_ASSIGN(const bool row, run.step());
      if (!row) break;
      room_.add(run.bytes_at(0), static_cast<size_t>(run.number_at(1)),
                static_cast<size_t>(run.number_at(2)));
    }
    db_.set_busy_ms(kBusyAtWorkMs);
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
    Run run(insert_);
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
    Run run(reply_);
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

  Status prepare(std::optional<SqliteStatement>& into, const char* sql) {
    WEIR_ASSIGN(SqliteStatement made, db_.prepare(sql));
    into.emplace(std::move(made));
    return {};
  }

  Result<std::optional<Found>> find(const IdempotencyName& name) {
    Run run(find_);
    WEIR_ASSIGN(const bool row, run.text(name.tenant).text(name.key).step());
    if (!row) return std::optional<Found>();
    Found f{run.number_at(0), static_cast<size_t>(run.number_at(3)), {}};
    f.record = {run.bytes_at(1), run.number_at(2), std::nullopt};
    if (!run.is_null(4))
      f.record.reply = {static_cast<int>(run.number_at(4)), run.bytes_at(5), run.bytes_at(6)};
    return std::optional(std::move(f));
  }

  Status drop(int64_t id, const std::string& tenant, size_t bytes) {
    Run run(delete_);
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
    Run run(old_);
    return drop_first(run.number(begun_ms));
  }
  Result<bool> drop_old_of(const std::string& tenant) {
    Run run(old_of_);
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
  Sqlite db_;  // goes after its statements
  std::optional<SqliteStatement> find_, insert_, reply_, delete_, old_, old_of_;
  uint64_t dropped_early_ = 0;
};

}  // namespace

Result<std::unique_ptr<IdempotencyStore>> sqlite_idempotency_store(const IdempotencyConfig& config,
                                                                   const std::string& path) {
  const size_t row_bytes = config.max_reply_bytes + kOtherBytes;
  WEIR_ASSIGN(Sqlite db, Sqlite::open(path, SqliteMode::kWrite, row_bytes));
  auto store = std::make_unique<SqliteStore>(config, std::move(db));
  WEIR_TRY(store->start());
  return std::unique_ptr<IdempotencyStore>(std::move(store));
}

}  // namespace weir::gateway
