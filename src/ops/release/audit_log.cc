#include "ops/release/audit_log.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "ops/release/sha256.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using Statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;

constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY, unix_s INTEGER NOT NULL, who TEXT "
    "NOT NULL, action TEXT NOT NULL, env TEXT NOT NULL, release TEXT NOT NULL, details TEXT NOT "
    "NULL, previous TEXT NOT NULL, hash TEXT NOT NULL, signature TEXT NOT NULL)";
constexpr const char* kColumns =
    "seq, unix_s, who, action, env, release, details, previous, hash, signature";
constexpr int kBusyMs = 5000;
constexpr int kMaxCell = 1 << 20;

Error db_error(sqlite3* db, std::string_view what) {
  const int code = sqlite3_errcode(db);
  const bool corrupt = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
  return make_error(corrupt ? ErrorCode::kCorrupt : ErrorCode::kIo, "the audit log: {}: {}", what,
                    sqlite3_errmsg(db));
}

Status execute(sqlite3* db, const char* sql) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return db_error(db, sql);
}

Result<Statement> prepare(sqlite3* db, const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db, sql.c_str(), -1, &raw, nullptr) != SQLITE_OK)
    return db_error(db, "a query");
  return Statement(raw, &sqlite3_finalize);
}

std::string text_at(sqlite3_stmt* s, int column) {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(s, column));
  return bytes == nullptr ? "" : std::string(bytes, sqlite3_column_bytes(s, column));
}

AuditRow row_at(sqlite3_stmt* s) {
  AuditRow row;
  row.seq = sqlite3_column_int64(s, 0);
  row.unix_s = sqlite3_column_int64(s, 1);
  std::string* const texts[] = {&row.who,     &row.action,   &row.env,  &row.release,
                                &row.details, &row.previous, &row.hash, &row.signature};
  for (int i = 0; i < 8; ++i) *texts[i] = text_at(s, i + 2);
  return row;
}

Result<std::vector<AuditRow>> select(sqlite3* db, const std::string& rest) {
  WEIR_ASSIGN(const Statement s,
              prepare(db, fmt::format("SELECT {} FROM audit {}", kColumns, rest)));
  std::vector<AuditRow> rows;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(s.get())) == SQLITE_ROW) {
    if (static_cast<int64_t>(rows.size()) >= AuditLog::kMaxRows)
      return make_error(ErrorCode::kLimit, "the audit log has over {} rows", AuditLog::kMaxRows);
    rows.push_back(row_at(s.get()));
  }
  if (code != SQLITE_DONE) return db_error(db, "reading it");
  return rows;
}

Status insert(sqlite3* db, const AuditRow& row) {
  WEIR_ASSIGN(
      const Statement s,
      prepare(db, fmt::format("INSERT INTO audit ({}) VALUES (?,?,?,?,?,?,?,?,?,?)", kColumns)));
  bool ok = sqlite3_bind_int64(s.get(), 1, row.seq) == SQLITE_OK &&
            sqlite3_bind_int64(s.get(), 2, row.unix_s) == SQLITE_OK;
  const std::string* const texts[] = {&row.who,     &row.action,   &row.env,  &row.release,
                                      &row.details, &row.previous, &row.hash, &row.signature};
  for (int i = 0; i < 8; ++i) {
    ok = ok && sqlite3_bind_text(s.get(), i + 3, texts[i]->data(),
                                 static_cast<int>(texts[i]->size()), SQLITE_STATIC) == SQLITE_OK;
  }
  if (!ok || sqlite3_step(s.get()) != SQLITE_DONE) return db_error(db, "writing a row");
  return {};
}

std::string head_problem(std::span<const AuditRow> rows, const std::optional<LogHead>& head) {
  const int64_t end = rows.empty() ? 0 : rows.back().seq;
  if (!head)
    return end == 0 ? ""
                    : fmt::format("row {}: the head, which says that it is the last, is gone", end);
  if (head->seq == 0) return "";
  const auto it =
      std::find_if(rows.begin(), rows.end(), [&](const AuditRow& r) { return r.seq == head->seq; });
  if (it == rows.end())
    return fmt::format(
        "row {}: missing: the head says that the log goes on to it, and it ends at row {}",
        head->seq, end);
  if (it->hash != head->hash)
    return fmt::format("row {}: another than the one of the head", head->seq);
  return "";
}

}  // namespace

std::string row_hash(const AuditRow& row) {
  using text::Json;
  Json j = Json::array();
  j.push_back(row.seq);
  j.push_back(row.unix_s);
  for (const std::string* t :
       {&row.who, &row.action, &row.env, &row.release, &row.details, &row.previous})
    j.push_back(*t);
  return sha256_hex("weir-log-row-1\n" + j.dump());
}

std::vector<std::string> check_log(std::span<const AuditRow> rows,
                                   const std::optional<LogHead>& head, const PublicKey& key) {
  std::vector<std::string> out;
  std::string previous(64, '0');
  int64_t seq = 0;
  for (const AuditRow& row : rows) {
    ++seq;
    if (row.seq != seq) {
      out.push_back(fmt::format("row {}: missing; the next one there is row {}", seq, row.seq));
      seq = row.seq;
    } else if (row.previous != previous) {
      out.push_back(fmt::format("row {}: does not follow from the row before it", seq));
    }
    if (row.hash != row_hash(row))
      out.push_back(fmt::format("row {}: changed: its hash is another", seq));
    else if (!key.verify(kSignLogRow, row.hash, row.signature))
      out.push_back(fmt::format("row {}: not signed by the project's key", seq));
    previous = row.hash;
  }
  if (std::string problem = head_problem(rows, head); !problem.empty())
    out.push_back(std::move(problem));
  return out;
}

std::vector<std::string> check_pointer(std::span<const AuditRow> rows, std::string_view env,
                                       const std::optional<Pointer>& pointer) {
  const AuditRow* open = nullptr;  // announced, and neither closed nor abandoned
  const AuditRow* last = nullptr;  // announced the last switch that took effect
  for (const AuditRow& row : rows) {
    if (row.env != env) continue;
    if (row.action == kActPromote || row.action == kActRollback) open = &row;
    if (row.action == kActInEffect && open != nullptr) last = open;
    if (row.action == kActInEffect || row.action == kActAbandoned) open = nullptr;
  }
  const auto names = [&](const AuditRow* row) {
    return row != nullptr && pointer->log_seq == row->seq && pointer->log_hash == row->hash &&
           pointer->release == row->release;
  };
  if (!pointer && last == nullptr) return {};
  if (!pointer) {
    return {fmt::format("row {}: release {} came into effect in {}, and its {} is gone", last->seq,
                        last->release.substr(0, 12), env, kPointerFile)};
  }
  if (names(last) || names(open)) return {};
  if (pointer->log_seq > (rows.empty() ? 0 : rows.back().seq)) {
    return {fmt::format(
        "row {}: missing, and so is what came after it: release {} of {} was "
        "announced there and the log ends at row {}",
        pointer->log_seq, pointer->release.substr(0, 12), env, rows.empty() ? 0 : rows.back().seq)};
  }
  return {fmt::format("row {}: {} of {} names it for release {}, but {}", pointer->log_seq,
                      kPointerFile, env, pointer->release.substr(0, 12),
                      last == nullptr ? std::string("no release of it ever came into effect")
                                      : fmt::format("the one in effect is {}, announced in row {}",
                                                    last->release.substr(0, 12), last->seq))};
}

Result<AuditLog> AuditLog::open(const std::string& path, bool make) {
  std::error_code error;
  const bool there = std::filesystem::exists(path, error);
  const std::string head = log_head_path(path);
  if (!there && std::filesystem::exists(head, error)) {
    return make_error(ErrorCode::kCorrupt,
                      "the audit log: {} is gone, and {} says how far it went: get it back from a "
                      "copy",
                      path, head);
  }
  if (!make && !there)
    return make_error(ErrorCode::kNotFound, "{} is not there: nothing was promoted yet", path);
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | (make ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  AuditLog log(db, head);
  if (code != SQLITE_OK) {
    return make_error(ErrorCode::kIo, "cannot open {}: {}", path,
                      db == nullptr ? "no memory" : sqlite3_errmsg(db));
  }
  sqlite3_busy_timeout(db, kBusyMs);
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, kMaxCell);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  WEIR_TRY(execute(db, "PRAGMA synchronous=EXTRA"));
  if (make) WEIR_TRY(execute(db, kTable));
  return log;
}

AuditLog::AuditLog(AuditLog&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), head_(std::move(other.head_)) {}
AuditLog::~AuditLog() { sqlite3_close_v2(db_); }

Result<std::vector<AuditRow>> AuditLog::rows() const { return select(db_, "ORDER BY seq"); }

// last: the last row, or none.
Status AuditLog::check_head(std::span<const AuditRow> last, const SigningKey& key) const {
  WEIR_ASSIGN(const std::optional<LogHead> head, read_log_head(head_, key.public_key()));
  std::vector<AuditRow> known;
  if (head && head->seq > 0) {
    WEIR_ASSIGN(known, select(db_, fmt::format("WHERE seq = {}", head->seq)));
  }
  if (known.empty()) known.assign(last.begin(), last.end());
  const std::string problem = head_problem(known, head);
  if (problem.empty()) return {};
  return make_error(ErrorCode::kCorrupt, "the audit log: {}; weir log verify tells more", problem);
}

Result<AuditRow> AuditLog::append_locked(AuditRow row, const SigningKey& key) {
  WEIR_ASSIGN(const std::vector<AuditRow> last, select(db_, "ORDER BY seq DESC LIMIT 1"));
  WEIR_TRY(check_head(last, key));
  row.seq = 1;
  row.previous = std::string(64, '0');
  // From the first row on there is a head.
  if (last.empty()) WEIR_TRY(os::write_file_atomic(head_, log_head_text({}, key)));
  if (!last.empty()) {
    const AuditRow& before = last.front();
    if (before.hash != row_hash(before) ||
        !key.public_key().verify(kSignLogRow, before.hash, before.signature)) {
      return make_error(ErrorCode::kCorrupt,
                        "the audit log: row {} was changed, or is signed by another key; weir log "
                        "verify tells more",
                        before.seq);
    }
    row.seq = before.seq + 1;
    row.previous = before.hash;
  }
  row.hash = row_hash(row);
  row.signature = key.sign(kSignLogRow, row.hash);
  WEIR_TRY(insert(db_, row));
  return row;
}

Result<AuditRow> AuditLog::append(AuditRow row, const SigningKey& key) {
  WEIR_TRY(execute(db_, "BEGIN IMMEDIATE"));
  auto written = append_locked(std::move(row), key);
  const Status ended = execute(db_, written.ok() ? "COMMIT" : "ROLLBACK");
  if (!written.ok()) return written;
  WEIR_TRY(ended);
  WEIR_TRY(os::write_file_atomic(head_, log_head_text({written->seq, written->hash}, key)));
  return written;
}

}  // namespace weir::ops
