#include "gateway/state/ledger_schema.h"

#include <fmt/format.h>

namespace weir::gateway {
namespace {

constexpr const char* kTables = R"(
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL, attempt INTEGER NOT NULL, final INTEGER NOT NULL,
  tenant TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL, upstream TEXT NOT NULL,
  endpoint TEXT NOT NULL, upstream_model TEXT NOT NULL, release TEXT NOT NULL,
  started_unix_ms INTEGER NOT NULL, status INTEGER NOT NULL, outcome TEXT NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  ttft_ms REAL, total_ms REAL NOT NULL, cost_nanos INTEGER, cache TEXT NOT NULL,
  hedged INTEGER NOT NULL, retried INTEGER NOT NULL, estimated INTEGER NOT NULL DEFAULT 0);
CREATE INDEX attempts_request ON attempts (request_id, tenant);
CREATE TABLE outcomes (
  request_id TEXT NOT NULL, tenant TEXT NOT NULL, accepted INTEGER NOT NULL, score REAL,
  note TEXT NOT NULL, unix_ms INTEGER NOT NULL, PRIMARY KEY (request_id, tenant)) WITHOUT ROWID;
PRAGMA application_id=1463112018;
)";

// It has the columns that `weir cost --outcomes` and `weir intake --trace` read. Where a request's
// id was used again, what its requests cost together is shared among them.
constexpr const char* kView = R"(
CREATE VIEW requests AS
  SELECT a.request_id, a.tenant, a.model, a.started_unix_ms AS timestamp,
         a.input_tokens AS input_length, a.output_tokens AS output_length,
         (SELECT total(b.cost_nanos) / sum(b.final) FROM attempts b
           WHERE b.request_id = a.request_id AND b.tenant = a.tenant) / 1e9 AS cost,
         o.accepted, o.score, a.upstream_model, a.upstream, a.release, a.outcome, a.ttft_ms,
         a.total_ms
    FROM attempts a
    LEFT JOIN outcomes o ON o.request_id = a.request_id AND o.tenant = a.tenant
   WHERE a.final = 1;
)";

constexpr const char* kFromFirst = R"(
DROP VIEW requests;
ALTER TABLE attempts RENAME COLUMN model TO upstream_model;
ALTER TABLE attempts RENAME COLUMN route TO model;
)";
constexpr const char* kFromSecond =
    "ALTER TABLE attempts ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0";

Status set_version(Sqlite& db) {
  return db.execute(fmt::format("PRAGMA user_version={}", kLedgerSchema).c_str());
}

Result<bool> has_tables(Sqlite& db) {
  WEIR_ASSIGN(SqliteStatement s, db.prepare("SELECT 1 FROM sqlite_master LIMIT 1"));
  return s.step();
}

Error no_ledger(const std::string& path) {
  return make_error(ErrorCode::kCorrupt, "{} is a database, but no ledger of a gateway", path);
}

}  // namespace

Result<LedgerKind> check_ledger_schema(Sqlite& db, const std::string& path) {
  WEIR_ASSIGN(const int64_t version, db.version());
  if (version > kLedgerSchema) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: schema {} is of a newer weir; this one knows up to {}", path, version,
                      kLedgerSchema);
  }
  if (version == 0) return no_ledger(path);
  auto s = db.prepare("SELECT value FROM meta WHERE name = 'currency'");
  if (!s.ok()) return no_ledger(path);
  WEIR_ASSIGN(const bool row, s->step());
  if (!row) return no_ledger(path);
  return LedgerKind{version, s->text(0)};
}

Status migrate_ledger(Sqlite& db, const std::string& path, const std::string& currency) {
  WEIR_ASSIGN(const bool there, has_tables(db));
  if (!there) {
    WEIR_TRY(db.execute("BEGIN IMMEDIATE"));
    WEIR_TRY(db.execute(kTables));
    WEIR_TRY(db.execute(kView));
    WEIR_ASSIGN(SqliteStatement s, db.prepare("INSERT INTO meta VALUES ('currency', ?)"));
    s.bind(1, std::string_view(currency));
    WEIR_TRY(s.run());
    WEIR_TRY(set_version(db));
    return db.execute("COMMIT");
  }
  WEIR_ASSIGN(const LedgerKind known, check_ledger_schema(db, path));
  if (known.currency != currency)
    return make_error(ErrorCode::kUsage, "{} is in {}, and the prices are in {}: use another file",
                      path, known.currency, currency);
  if (known.schema == kLedgerSchema) return {};
  WEIR_TRY(db.execute("BEGIN IMMEDIATE"));
  if (known.schema == 1) {
    WEIR_TRY(db.execute(kFromFirst));
    WEIR_TRY(db.execute(kView));
  }
  WEIR_TRY(db.execute(kFromSecond));
  WEIR_TRY(set_version(db));
  return db.execute("COMMIT");
}

}  // namespace weir::gateway
