#include "gateway/state/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>

#include "gateway/state/ledger_schema.h"
#include "os/thread.h"

namespace weir::gateway {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int kRemoveEvery = 50;           // batches
constexpr int64_t kRemoveAtOnce = 20'000;  // rows of one transaction

std::string_view cut(std::string_view text) { return text.substr(0, kMaxLedgerText); }

Result<std::unique_ptr<SqliteStatement>> prepared(Sqlite& db, const char* sql) {
  WEIR_ASSIGN(SqliteStatement s, db.prepare(sql));
  return std::make_unique<SqliteStatement>(std::move(s));
}

}  // namespace

std::string_view ledger_end_name(LedgerEnd end) {
  static constexpr std::string_view kNames[kLedgerEnds] = {
      "ok",      "refused", "client_error", "server_error", "connect",
      "timeout", "broken",  "cancelled",    "superseded"};
  return kNames[static_cast<size_t>(end)];
}

LedgerMetrics::LedgerMetrics(telemetry::Registry& r)
    : rows(r.counter("weir_gateway_ledger_rows_total", "Attempts written to the ledger.")),
      dropped(r.counter_family("weir_gateway_ledger_dropped_total",
                               "Attempts that are missing in the ledger.", "reason")),
      outcomes(r.counter_family("weir_gateway_ledger_outcomes_total", "What users said of answers.",
                                "result")),
      removed(r.counter("weir_gateway_ledger_removed_total",
                        "Rows that went by max_rows or max_age_days.")),
      queued(r.gauge("weir_gateway_ledger_queued", "What waits for the ledger's writer.")) {
  for (const char* reason : {"queue_full", "write_failed"}) dropped.with(reason);
  for (const char* result : {"accepted", "rejected", "unknown", "failed"}) outcomes.with(result);
}

Result<std::unique_ptr<Ledger>> Ledger::open(const LedgerOptions& options,
                                             const LedgerMetrics& metrics, const Clock& clock,
                                             WriteNews told) {
  WEIR_ASSIGN(Sqlite db, Sqlite::open(options.path, SqliteMode::kWrite));
  WEIR_TRY(db.execute("PRAGMA synchronous=NORMAL"));
  WEIR_TRY(migrate_ledger(db, options.path, options.currency));
  std::unique_ptr<Ledger> ledger(
      new Ledger(options, metrics, clock, std::move(told), std::move(db)));
  WEIR_ASSIGN(ledger->insert_, prepared(ledger->db_, kInsertAttempt));
  WEIR_ASSIGN(ledger->owner_, prepared(ledger->db_, kSelectOwner));
  WEIR_ASSIGN(ledger->outcome_, prepared(ledger->db_, kInsertOutcome));
  ledger->thread_ = std::thread([l = ledger.get()] { l->loop(); });
  return ledger;
}

Ledger::~Ledger() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

// False: there is no room, and the entry is as it was.
bool Ledger::push(Entry& entry) {
  MutexLock lock(mutex_);
  if (queue_.size() >= options_.max_queued) return false;
  queue_.push_back(std::move(entry));
  if (queue_.size() == options_.max_batch) wake_.notify_one();
  return true;
}

void Ledger::add(LedgerRow row) {
  Entry entry(std::move(row));
  if (!push(entry)) metrics_.dropped.with("queue_full").add();
}

void Ledger::report(Outcome outcome, std::string tenant, int64_t unix_ms, OutcomeCallback done) {
  Entry entry(Report{std::move(outcome), std::move(tenant), unix_ms, std::move(done)});
  if (push(entry)) return;
  metrics_.outcomes.with("failed").add();
  Error e = make_error(ErrorCode::kServerOverloaded, "{} entries wait for the ledger",
                       options_.max_queued);
  e.retry_after_s = 1;
  e.bound = "ledger.max_queued";
  std::get<Report>(entry).done(std::move(e));
}

void Ledger::flush() {
  MutexLock lock(mutex_);
  flushing_ = true;
  wake_.notify_all();
  while (!queue_.empty() || writing_) idle_.wait(mutex_);
  flushing_ = false;
}

void Ledger::loop() {
  os::set_thread_name("weir-ledger");
  for (int round = 0;; ++round) {
    std::vector<Entry> batch = next_batch();
    if (batch.empty()) break;
    write(batch);
    if (round % kRemoveEvery == 0 && !remove_old().ok()) {
      const Status undone = db_.execute("ROLLBACK");  // the next round tries again
      (void)undone;
    }
    MutexLock lock(mutex_);
    writing_ = false;
    idle_.notify_all();
  }
}

// Waits for a full batch, or for batch_ms once there is something. Empty: the ledger ends.
std::vector<Ledger::Entry> Ledger::next_batch() {
  MutexLock lock(mutex_);
  if (queue_.size() < options_.max_batch && !flushing_ && !stopping_)
    wake_.wait_for(mutex_, std::chrono::milliseconds(options_.batch_ms));
  while (queue_.empty() && !stopping_)
    wake_.wait_for(mutex_, std::chrono::milliseconds(options_.batch_ms));
  const size_t n = std::min(queue_.size(), options_.max_batch);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(n);
  std::vector<Entry> batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  metrics_.queued.set(static_cast<double>(queue_.size()));
  writing_ = !batch.empty();
  return batch;
}

void Ledger::write(std::vector<Entry>& batch) {
  std::vector<Status> results(batch.size());
  const Status written = write_all(batch, results);
  const Outage::News news = outage_.note(written.ok(), clock_.now_ns());
  if (told_ && news != Outage::News::kNone) told_(written);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (std::holds_alternative<LedgerRow>(batch[i])) {
      if (written.ok())
        metrics_.rows.add();
      else
        metrics_.dropped.with("write_failed").add();
      continue;
    }
    Report& report = std::get<Report>(batch[i]);
    if (!written.ok()) {
      results[i] = make_error(ErrorCode::kInternal, "the ledger cannot be written: {}",
                              written.error().message);
    }
    const bool unknown = !results[i].ok() && results[i].error().code == ErrorCode::kRouteNotFound;
    metrics_.outcomes
        .with(results[i].ok() ? (report.outcome.accepted ? "accepted" : "rejected")
                              : (unknown ? "unknown" : "failed"))
        .add();
    report.done(std::move(results[i]));
  }
}

// All in one transaction. An outcome without a request is no failure of the batch.
Status Ledger::write_all(std::vector<Entry>& batch, std::vector<Status>& results) {
  WEIR_TRY(db_.execute("BEGIN IMMEDIATE"));
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto* row = std::get_if<LedgerRow>(&batch[i]);
    Status s = row != nullptr ? write_row(*row) : write_report(std::get<Report>(batch[i]));
    if (!s.ok() && s.error().code == ErrorCode::kRouteNotFound) {
      results[i] = std::move(s);
    } else if (!s.ok()) {
      const Status undone = db_.execute("ROLLBACK");
      return undone.ok() ? s : undone;
    }
  }
  Status ended = db_.execute("COMMIT");
  if (!ended.ok()) {
    const Status undone = db_.execute("ROLLBACK");
    (void)undone;
  }
  return ended;
}

Status Ledger::write_row(const LedgerRow& row) {
  SqliteStatement& s = *insert_;
  int at = 0;
  const auto text = [&](std::string_view value) { s.bind(++at, cut(value)); };
  const auto count = [&](int64_t value) { s.bind(++at, value); };
  text(row.request_id);
  count(row.attempt);
  count(row.final ? 1 : 0);
  text(row.tenant);
  text(row.key_id);
  text(row.model);
  text(row.upstream);
  text(row.endpoint);
  text(row.upstream_model);
  text(row.release);
  count(row.started_unix_ms);
  count(row.status);
  text(ledger_end_name(row.end));
  count(row.input_tokens);
  count(row.cached_tokens);
  count(row.output_tokens);
  if (row.ttft_ms && std::isfinite(*row.ttft_ms))
    s.bind(++at, *row.ttft_ms);
  else
    s.bind_null(++at);
  s.bind(++at, std::isfinite(row.total_ms) ? row.total_ms : 0.0);
  if (row.cost_nanos)
    count(*row.cost_nanos);
  else
    s.bind_null(++at);
  text(row.cache);
  count(row.hedged ? 1 : 0);
  count(row.continued ? kContinuedAttempt : row.retried ? 1 : 0);
  count(row.estimated ? 1 : 0);
  return s.run();
}

Status Ledger::write_report(const Report& report) {
  owner_->bind(1, report.outcome.request_id);
  owner_->bind(2, cut(report.tenant));
  WEIR_ASSIGN(const bool known, owner_->step());
  if (!known) {
    return param_error(ErrorCode::kRouteNotFound, "request_id",
                       "request {} is not in the ledger: it is not one of this key's tenant, still "
                       "runs, or is older than the ledger keeps",
                       report.outcome.request_id);
  }
  owner_->reset();
  SqliteStatement& s = *outcome_;
  s.bind(1, report.outcome.request_id);
  s.bind(2, cut(report.tenant));
  s.bind(3, int64_t{report.outcome.accepted ? 1 : 0});
  if (report.outcome.score)
    s.bind(4, *report.outcome.score);
  else
    s.bind_null(4);
  s.bind(5, report.outcome.note);
  s.bind(6, report.unix_ms);
  return s.run();
}

// By age and by number: from the oldest on, some rows at a time, so that no batch waits for long.
// Numbers are given in order; rows come in the order in which attempts ended.
Status Ledger::remove_old() {
  const int64_t oldest_ms = clock_.unix_s() * 1000 - options_.max_age_days * kDayMs;
  WEIR_ASSIGN(SqliteStatement last,
              db_.prepare("SELECT max(id) FROM (SELECT id, started_unix_ms FROM attempts ORDER BY "
                          "id LIMIT ?) WHERE started_unix_ms < ? OR id <= (SELECT max(id) FROM "
                          "attempts) - ?"));
  last.bind(1, kRemoveAtOnce);
  last.bind(2, oldest_ms);
  last.bind(3, options_.max_rows);
  WEIR_ASSIGN(const bool row, last.step());
  if (!row || last.is_null(0)) return {};
  const int64_t id = last.integer(0);
  last.reset();
  WEIR_TRY(db_.execute(fmt::format(
      "BEGIN IMMEDIATE; DELETE FROM outcomes WHERE (request_id, tenant) IN (SELECT request_id, "
      "tenant FROM attempts WHERE id <= {0}); DELETE FROM attempts WHERE id <= {0}",
      id)));
  const int64_t removed = db_.changes();
  WEIR_TRY(db_.execute("COMMIT"));
  metrics_.removed.add(static_cast<double>(removed));
  return {};
}

}  // namespace weir::gateway
