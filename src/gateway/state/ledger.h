// What the gateway has sent where and what it came to: one row for each attempt, in SQLite, and
// what users said of the answers (outcomes.h). Read by ledger_reader.h.
//
// What survives: rows are written in batches by a thread of its own, at most batch_ms after add().
// The journal is WAL with synchronous=NORMAL: a crash of the process (kill -9) loses only what
// waits in the queue, and a power cut also what came since the last checkpoint (some 1,000 pages);
// neither breaks the file. Where the disk is slow or full the queue fills; then rows are dropped
// and counted, and no request waits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "gateway/state/outage.h"
#include "gateway/state/outcomes.h"
#include "gateway/state/sqlite.h"
#include "telemetry/metrics.h"

namespace weir::gateway {

// How an attempt ended.
enum class LedgerEnd : uint8_t {
  kOk,
  kRefused,      // by the upstream's rate limit or load: 429, 503
  kClientError,  // the request's fault: other 4xx
  kServerError,  // 5xx, or an error event in the stream
  kConnect,      // no connection
  kTimeout,
  kBroken,     // cut off, or no proper answer
  kCancelled,  // by the client
  kSuperseded  // lost to another attempt of the same request (hedging)
};
inline constexpr size_t kLedgerEnds = 9;
std::string_view ledger_end_name(LedgerEnd end);  // "server_error"

// Texts are cut to kMaxLedgerText bytes.
struct LedgerRow {
  std::string request_id;  // what x-request-id says; should be of one request alone
  int32_t attempt = 1;     // of the request, from 1
  bool final = true;       // what the client got; exactly one of a request
  std::string tenant, key_id;
  std::string model;                               // as the client named it
  std::string upstream, endpoint, upstream_model;  // empty: answered without one (cache, refusal)
  std::string release;                             // or variant that routing chose
  int64_t started_unix_ms = 0;
  int32_t status = 0;  // of HTTP; 0: none came
  LedgerEnd end = LedgerEnd::kOk;
  int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0;  // cached: of the input
  bool estimated = false;  // tokens and cost: the upstream did not get to say what it took
  std::optional<double> ttft_ms;
  double total_ms = 0;
  std::optional<int64_t> cost_nanos;  // absent: the price is not known, or what was computed
  std::string cache;  // "", "miss", "exact", "semantic", "stale", "shared", kShadowCache
  bool hedged = false, retried = false;
  bool continued = false;  // it went on with a stream that broke off elsewhere; not retried then
};
inline constexpr size_t kMaxLedgerText = 256;
// Of an attempt for no client (shadow traffic): money, but part of no request's, and of no tenant's
// or key's: it has neither.
inline constexpr std::string_view kShadowCache = "shadow";

struct LedgerOptions {
  std::string path;              // made with mode 0600
  std::string currency = "USD";  // of cost_nanos; a ledger has one
  int32_t batch_ms = 100;
  size_t max_batch = 1000;        // rows of one transaction
  size_t max_queued = 65'536;     // rows and outcomes; beyond: dropped
  int64_t max_rows = 10'000'000;  // the oldest go first
  int32_t max_age_days = 90;
};

// weir_gateway_ledger_*.
struct LedgerMetrics {
  explicit LedgerMetrics(telemetry::Registry& registry);
  telemetry::Counter rows;            // …_rows_total: that were written
  telemetry::CounterFamily dropped;   // …_dropped_total{reason}: queue_full write_failed
  telemetry::CounterFamily outcomes;  // …_outcomes_total{result}: accepted rejected unknown failed
  telemetry::Counter removed;         // …_removed_total: by max_rows and max_age_days
  telemetry::Gauge queued;            // …_queued
};

// Any thread.
class Ledger {
 public:
  using OutcomeCallback = std::function<void(Status)>;
  // What became of a batch, when that is news (Outage): rows are lost from now on, or are written
  // again.
  using WriteNews = std::function<void(const Status& written)>;

  // Starts the writer. metrics and clock: borrowed. Errors: those of Sqlite; kUnsupported for the
  // ledger of a newer weir, kUsage for one in another currency. An older schema is brought up to
  // date. told: on the writer's thread.
  static Result<std::unique_ptr<Ledger>> open(const LedgerOptions& options,
                                              const LedgerMetrics& metrics, const Clock& clock,
                                              WriteNews told = {});
  // Writes what is queued and ends the writer.
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Never waits for the disk.
  void add(LedgerRow row) WEIR_EXCLUDES(mutex_);
  // What a user of `tenant` says of a request; may be said again, the last one counts. done: on the
  // writer's thread, after the rows that were added before. Errors: kRouteNotFound when the tenant
  // has no such request in the ledger (one of another tenant included, and one that still runs);
  // kServerOverloaded when the queue is full; kInternal when it cannot be written.
  void report(Outcome outcome, std::string tenant, int64_t unix_ms, OutcomeCallback done)
      WEIR_EXCLUDES(mutex_);
  // Waits until what was added before is written; for tests and the end of a program.
  void flush() WEIR_EXCLUDES(mutex_);

 private:
  struct Report {
    Outcome outcome;
    std::string tenant;
    int64_t unix_ms = 0;
    OutcomeCallback done;
  };
  using Entry = std::variant<LedgerRow, Report>;

  Ledger(const LedgerOptions& options, const LedgerMetrics& metrics, const Clock& clock,
         WriteNews told, Sqlite db)
      : options_(options),
        metrics_(metrics),
        clock_(clock),
        told_(std::move(told)),
        db_(std::move(db)) {}
  bool push(Entry& entry) WEIR_EXCLUDES(mutex_);
  void loop();
  std::vector<Entry> next_batch() WEIR_EXCLUDES(mutex_);
  void write(std::vector<Entry>& batch);
  Status write_row(const LedgerRow& row);
  Status write_report(const Report& report);
  Status write_all(std::vector<Entry>& batch, std::vector<Status>& results);
  Status remove_old();

  const LedgerOptions options_;
  const LedgerMetrics& metrics_;
  const Clock& clock_;
  const WriteNews told_;
  Outage outage_;  // of the writer's thread
  Sqlite db_;      // of the writer's thread
  std::unique_ptr<SqliteStatement> insert_, owner_, outcome_;
  Mutex mutex_;
  ConditionVariable wake_, idle_;
  std::vector<Entry> queue_ WEIR_GUARDED_BY(mutex_);
  bool writing_ WEIR_GUARDED_BY(mutex_) = false;
  bool flushing_ WEIR_GUARDED_BY(mutex_) = false;
  bool stopping_ WEIR_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weir::gateway
