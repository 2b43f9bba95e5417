#include "gateway/state/quota_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "os/thread.h"

namespace weir::gateway {
namespace {

constexpr int64_t kSchema = 1;
// A counter is written ahead by what is taken in a second, so that the file is written twice a
// second at a steady pace; by some requests where these are rare, so that none waits for the disk;
// and by no more than a part of the limit, since it is what a crash costs.
constexpr int64_t kAheadMs = 1000;
constexpr int64_t kLeastMs = 125;  // what a shorter time says of the pace is a few requests at once
constexpr int64_t kAheadRequests = 8;
constexpr int64_t kAheadParts = 64;
constexpr std::chrono::seconds kTidyEvery{60};

constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS counters (counter TEXT PRIMARY KEY, span INTEGER NOT NULL, bucket "
    "INTEGER NOT NULL, amount INTEGER NOT NULL) WITHOUT ROWID; PRAGMA user_version=1";

bool in_window(QuotaWindow window, int64_t bucket, int64_t unix_ms) {
  return bucket >= window_at(window, unix_ms).first;
}

Status delete_passed(Sqlite& db, int64_t unix_ms) {
  for (const QuotaWindow w : {QuotaWindow::kMinute, QuotaWindow::kDay, QuotaWindow::kMonth}) {
    WEIR_TRY(db.execute(fmt::format("DELETE FROM counters WHERE span={} AND bucket<{}",
                                    static_cast<int>(w), window_at(w, unix_ms).first)));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<MemoryQuotaStore>> MemoryQuotaStore::open(const MemoryQuotaOptions& options,
                                                                 const QuotaMetrics& metrics,
                                                                 int64_t unix_ms) {
  std::unique_ptr<MemoryQuotaStore> store(new MemoryQuotaStore(options, metrics));
  if (options.path.empty()) return store;  // nothing is written, so nobody waits
  WEIR_TRY(store->load(unix_ms));
  store->thread_ = std::thread([s = store.get()] { s->loop(); });
  return store;
}

Status MemoryQuotaStore::load(int64_t unix_ms) {
  auto opened = Sqlite::open(options_.path, SqliteMode::kExclusive);
  if (!opened.ok() && opened.error().code == ErrorCode::kServerOverloaded)
    return make_error(
        ErrorCode::kServerOverloaded,
        "{} is in use by another process, probably another gateway; give each "
        "gateway a file of its own, or, so that they share quotas, state: {{redis: …}}",
        options_.path);
  WEIR_ASSIGN(Sqlite db, std::move(opened));
  WEIR_ASSIGN(const int64_t version, db.version());
  if (version > kSchema) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: schema {} is of a newer weir; this one knows up to {}", options_.path,
                      version, kSchema);
  }
  WEIR_TRY(db.execute("PRAGMA synchronous=FULL"));
  if (version == 0) WEIR_TRY(db.execute(kTable));
  WEIR_TRY(delete_passed(db, unix_ms));
  MutexLock lock(mutex_);
  WEIR_ASSIGN(SqliteStatement rows,
              db.prepare("SELECT counter, span, bucket, amount FROM counters"));
  for (;;) {
    WEIR_ASSIGN(const bool row, rows.step());
    if (!row) break;
    const int64_t span = rows.integer(1), amount = rows.integer(3);
    if (span < 0 || span > 2 || amount < 0 || amount > kMaxQuota)
      return make_error(ErrorCode::kCorrupt, "{}: a counter with span {} and amount {}",
                        options_.path, span, amount);
    Mark mark{static_cast<QuotaWindow>(span), rows.integer(2), amount, amount, false};
    mark.used = mark.raised_at = amount;
    book_.restore(rows.text(0), mark.window, mark.bucket, amount);
    marks_[rows.text(0)] = mark;
  }
  db_ = std::make_unique<Sqlite>(std::move(db));
  WEIR_ASSIGN(SqliteStatement insert,
              db_->prepare("INSERT OR REPLACE INTO counters VALUES (?,?,?,?)"));
  insert_ = std::make_unique<SqliteStatement>(std::move(insert));
  return {};
}

MemoryQuotaStore::~MemoryQuotaStore() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

int64_t MemoryQuotaStore::ahead_of(const Mark& mark, const QuotaChange& change, int64_t unix_ms) {
  const int64_t last = std::max<int64_t>(change.used - mark.used, 0);
  const int64_t since_ms = std::max<int64_t>(unix_ms - mark.raised_ms, kLeastMs);
  const int64_t taken =
      mark.raised_ms == 0 ? 0 : std::max<int64_t>(change.used - mark.raised_at, 0);
  return std::clamp<int64_t>(std::max(kAheadRequests * last, taken * kAheadMs / since_ms), 1,
                             change.limit / kAheadParts + 1);
}

// Notes what the next batch has to write. True: a day or a month stands beyond what the file holds.
bool MemoryQuotaStore::outruns(int64_t unix_ms) {
  bool beyond = false;
  if (!db_) changes_.clear();
  for (const QuotaChange& c : changes_) {
    Mark& m = marks_[c.counter];
    if (m.bucket != c.bucket || m.window != c.window) m = {c.window, c.bucket, 0, 0, m.dirty};
    if (c.window == QuotaWindow::kMinute) {
      m.wanted = c.used;
    } else {
      beyond = beyond || c.used > m.durable;
      const bool low = c.used > m.wanted - m.ahead / 2;
      if (low) {
        m.ahead = ahead_of(m, c, unix_ms);
        m.raised_at = c.used;
        m.raised_ms = unix_ms;
        // Never less than was said before: grants rely on it as soon as it is written.
        m.wanted = std::max(m.wanted, c.used + m.ahead);
      }
      m.used = c.used;
      if (!low) continue;
    }
    if (!m.dirty) dirty_.push_back(c.counter);
    m.dirty = true;
  }
  changes_.clear();
  metrics_.open.set(static_cast<double>(book_.reservations()));
  metrics_.expired.add(static_cast<double>(book_.expired() - expired_));
  expired_ = book_.expired();
  return beyond;
}

void MemoryQuotaStore::answer(Waiting waiting, bool waits) {
  if (waits) {
    MutexLock lock(mutex_);
    waiting_.push_back(std::move(waiting));
    wake_.notify_one();
    return;
  }
  metrics_.count(waiting.answer);
  waiting.done(std::move(waiting.answer));
}

void MemoryQuotaStore::reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                               int64_t unix_ms, QuotaCallback done) {
  Waiting w{{}, std::move(done), true, unix_ms};
  bool waits = false;
  {
    MutexLock lock(mutex_);
    latest_ms_ = std::max(latest_ms_, unix_ms);
    w.answer = book_.reserve(limits, estimate, unix_ms, changes_);
    waits = outruns(unix_ms) && !w.answer.reservation.empty();
  }
  answer(std::move(w), waits);
}

void MemoryQuotaStore::extend(const std::string& reservation, const QuotaAmounts& more,
                              int64_t unix_ms, QuotaCallback done) {
  Waiting w{{}, std::move(done), false, unix_ms};
  bool waits = false;
  {
    MutexLock lock(mutex_);
    latest_ms_ = std::max(latest_ms_, unix_ms);
    w.answer = book_.extend(reservation, more, unix_ms, changes_);
    waits = outruns(unix_ms) && !w.answer.reservation.empty();
  }
  answer(std::move(w), waits);
}

void MemoryQuotaStore::reconcile(const std::string& reservation, const QuotaAmounts& actual,
                                 int64_t unix_ms) {
  MutexLock lock(mutex_);
  latest_ms_ = std::max(latest_ms_, unix_ms);
  book_.reconcile(reservation, actual, unix_ms, changes_);
  outruns(unix_ms);
}

void MemoryQuotaStore::read(const std::vector<QuotaLimit>& limits, int64_t unix_ms,
                            std::function<void(std::vector<int64_t>)> done) {
  std::vector<int64_t> used;
  {
    MutexLock lock(mutex_);
    used = book_.read(limits, unix_ms);
  }
  done(std::move(used));
}

void MemoryQuotaStore::loop() {
  os::set_thread_name("weir-quota");
  auto tidied = std::chrono::steady_clock::now();
  for (;;) {
    Batch batch = next_batch();
    const bool written = write(batch.rows).ok();
    if (!written) metrics_.failures.add();
    finish(std::move(batch), written);
    if (std::chrono::steady_clock::now() - tidied > kTidyEvery) {
      tidied = std::chrono::steady_clock::now();
      forget();
    }
    MutexLock lock(mutex_);
    if (stopping_ && waiting_.empty()) break;
  }
  write_exactly();
}

// When somebody waits, at once; else what has gathered over batch_ms.
MemoryQuotaStore::Batch MemoryQuotaStore::next_batch() {
  MutexLock lock(mutex_);
  if (waiting_.empty() && !stopping_)
    wake_.wait_for(mutex_, std::chrono::milliseconds(options_.batch_ms));
  Batch batch;
  batch.waiting.swap(waiting_);
  batch.rows.reserve(dirty_.size());
  for (const std::string& name : dirty_) {
    const auto it = marks_.find(name);
    if (it == marks_.end()) continue;
    it->second.dirty = false;
    batch.rows.emplace_back(name, it->second);
  }
  dirty_.clear();
  return batch;
}

Status MemoryQuotaStore::write(const std::vector<std::pair<std::string, Mark>>& rows) {
  if (rows.empty()) return {};
  WEIR_TRY(db_->execute("BEGIN IMMEDIATE"));
  for (const auto& [name, mark] : rows) {
    insert_->bind(1, name);
    insert_->bind(2, static_cast<int64_t>(mark.window));
    insert_->bind(3, mark.bucket);
    insert_->bind(4, mark.wanted);
    if (Status s = insert_->run(); !s.ok()) {
      const Status undone = db_->execute("ROLLBACK");
      return undone.ok() ? s : undone;
    }
  }
  Status ended = db_->execute("COMMIT");
  if (!ended.ok()) {
    const Status undone = db_->execute("ROLLBACK");
    (void)undone;
  }
  return ended;
}

void MemoryQuotaStore::finish(Batch batch, bool written) {
  {
    MutexLock lock(mutex_);
    for (const auto& [name, row] : batch.rows) {
      Mark& m = marks_[name];
      if (m.bucket == row.bucket && m.window == row.window && written) m.durable = row.wanted;
      if (written || m.dirty) continue;
      m.dirty = true;
      dirty_.push_back(name);
    }
    for (Waiting& w : batch.waiting) {
      if (written) continue;
      w.answer.uncounted = options_.fail_open;
      if (options_.fail_open) continue;
      if (w.reserved)
        book_.reconcile(w.answer.reservation, QuotaAmounts{.requests = 0}, w.unix_ms, changes_);
      w.answer = QuotaAnswer{};
      w.answer.verdict = QuotaVerdict::kUnavailable;
      w.answer.why = "the file of quotas cannot be written";
    }
    outruns(latest_ms_);
  }
  for (Waiting& w : batch.waiting) {
    metrics_.count(w.answer);
    w.done(std::move(w.answer));
  }
}

// Counters whose window has passed.
void MemoryQuotaStore::forget() {
  int64_t now = 0;
  {
    MutexLock lock(mutex_);
    now = latest_ms_;
    std::erase_if(marks_, [&](const auto& m) {
      return !m.second.dirty && !in_window(m.second.window, m.second.bucket, now);
    });
  }
  if (db_ && !delete_passed(*db_, now).ok()) metrics_.failures.add();
}

void MemoryQuotaStore::write_exactly() {
  if (!db_) return;
  std::vector<std::pair<std::string, Mark>> rows;
  {
    MutexLock lock(mutex_);
    rows.reserve(marks_.size());
    for (auto [name, mark] : marks_) {
      if (!in_window(mark.window, mark.bucket, latest_ms_)) continue;
      mark.wanted = book_.used(name, latest_ms_);
      rows.emplace_back(name, mark);
    }
  }
  if (!write(rows).ok()) metrics_.failures.add();
}

}  // namespace weir::gateway
