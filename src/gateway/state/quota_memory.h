// Quotas of one node: in memory, with what was taken kept in a SQLite file.
//
// What survives, exactly:
//   - After a clean end: everything that was taken; reservations that were open stay taken.
//   - After a crash of the process or the machine (kill -9, power cut): of a day or a month never
//     less than was granted. A counter is written ahead: the file holds more than was granted, and
//     an answer that would go beyond what the file holds waits until it holds more. Too much by at
//     most what was reserved and not yet reconciled, plus what is taken in about a second or by 8
//     requests, which is never more than 1/64 of the limit; each crash anew. (Overruns that were
//     only reported by reconcile, guarantee 3 of quota.h, may lack those of the last batch.)
//   - Of a minute: what was taken up to batch_ms before the crash.
// The commit of a batch is synced to the disk, on the writer's thread. An answer waits for it only
// where a burst outruns what was written ahead.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "gateway/state/quota.h"
#include "gateway/state/quota_book.h"
#include "gateway/state/quota_metrics.h"
#include "gateway/state/sqlite.h"

namespace weir::gateway {

struct MemoryQuotaOptions {
  std::string path;  // of the file, made with mode 0600; empty: nothing survives a restart
  QuotaBookOptions book;
  int32_t batch_ms = 20;  // between two batches
  // When the file cannot be written: true: grant all the same; false: what would have to wait for
  // it is refused (kUnavailable).
  bool fail_open = false;
};

// Any thread. Callbacks run on the caller's thread before the call returns, or, where they wait for
// a batch, on the writer's.
class MemoryQuotaStore final : public QuotaStore {
 public:
  // metrics: borrowed. unix_ms: now, for what of the file still counts. Errors: those of Sqlite,
  // kServerOverloaded where another process has the file; kUnsupported for the file of a newer
  // weir.
  static Result<std::unique_ptr<MemoryQuotaStore>> open(const MemoryQuotaOptions& options,
                                                        const QuotaMetrics& metrics,
                                                        int64_t unix_ms);
  // Writes what was taken and ends the writer; who still waits is answered.
  ~MemoryQuotaStore() override;

  void reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate, int64_t unix_ms,
               QuotaCallback done) override WEIR_EXCLUDES(mutex_);
  void extend(const std::string& reservation, const QuotaAmounts& more, int64_t unix_ms,
              QuotaCallback done) override WEIR_EXCLUDES(mutex_);
  void reconcile(const std::string& reservation, const QuotaAmounts& actual,
                 int64_t unix_ms) override WEIR_EXCLUDES(mutex_);
  void read(const std::vector<QuotaLimit>& limits, int64_t unix_ms,
            std::function<void(std::vector<int64_t>)> done) override WEIR_EXCLUDES(mutex_);

 private:
  struct Mark {  // of a counter: what the file holds of it
    QuotaWindow window = QuotaWindow::kMinute;
    int64_t bucket = 0;
    int64_t durable = 0;    // on the disk
    int64_t wanted = 0;     // in the batch that is being written, or the next
    bool dirty = false;     // in dirty_
    int64_t used = 0;       // after the last change
    int64_t ahead = 0;      // of what was used, when `wanted` was raised last
    int64_t raised_at = 0;  // what was used then
    int64_t raised_ms = 0;  // and when that was; 0: not since it was read
  };
  struct Waiting {
    QuotaAnswer answer;
    QuotaCallback done;
    bool reserved = false;  // else extended
    int64_t unix_ms = 0;
  };
  struct Batch {
    std::vector<std::pair<std::string, Mark>> rows;
    std::vector<Waiting> waiting;
  };

  MemoryQuotaStore(const MemoryQuotaOptions& options, const QuotaMetrics& metrics)
      : options_(options), metrics_(metrics), book_(options.book) {}
  Status load(int64_t unix_ms);
  static int64_t ahead_of(const Mark& mark, const QuotaChange& change, int64_t unix_ms);
  bool outruns(int64_t unix_ms) WEIR_REQUIRES(mutex_);
  void answer(Waiting waiting, bool waits) WEIR_EXCLUDES(mutex_);
  void loop();
  Batch next_batch() WEIR_EXCLUDES(mutex_);
  Status write(const std::vector<std::pair<std::string, Mark>>& rows);
  void finish(Batch batch, bool written) WEIR_EXCLUDES(mutex_);
  void forget() WEIR_EXCLUDES(mutex_);
  void write_exactly() WEIR_EXCLUDES(mutex_);

  const MemoryQuotaOptions options_;
  const QuotaMetrics& metrics_;
  std::unique_ptr<Sqlite> db_;  // of the writer's thread once it runs; null without a file
  std::unique_ptr<SqliteStatement> insert_;
  Mutex mutex_;
  ConditionVariable wake_;
  QuotaBook book_ WEIR_GUARDED_BY(mutex_);
  int64_t latest_ms_ WEIR_GUARDED_BY(mutex_) = 0;  // that a caller has told
  std::unordered_map<std::string, Mark> marks_ WEIR_GUARDED_BY(mutex_);
  std::vector<std::string> dirty_ WEIR_GUARDED_BY(mutex_);
  std::vector<Waiting> waiting_ WEIR_GUARDED_BY(mutex_);
  std::vector<QuotaChange> changes_ WEIR_GUARDED_BY(mutex_);  // of the call that runs
  uint64_t expired_ WEIR_GUARDED_BY(mutex_) = 0;              // that are in the metric
  bool stopping_ WEIR_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weir::gateway
