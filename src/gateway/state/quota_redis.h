// Quotas that replicas share, in Redis: each call is one atomic Lua script over all of a request's
// limits (quota_redis_scripts.h).
//
// What survives is what Redis keeps: without appendonly, a Redis that restarts begins with empty
// counters; a replica of the gateway that ends or crashes loses nothing but its open reservations,
// which expire.
//
// The store has a thread of its own; callers never wait. A reserve or extend is answered within
// connect_ms + 8 x call_ms of its turn (password, database, scripts, one that runs, and its own
// call, whose answers may come in parts), as a rule within one of these. Where Redis does not
// answer in time, all that wait are answered by `fail_open`, and from then on all others before
// their call returns: the store tries by itself whether Redis is back, with a script of its own,
// and nobody waits for that. Reconciles wait for the connection to come back and are given up when
// more than max_queued wait: their reservations expire. A reserve whose answer was lost is refunded
// when the connection is back.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_annotations.h"
#include "gateway/state/quota.h"
#include "gateway/state/quota_metrics.h"
#include "gateway/state/redis_connection.h"

namespace weir::gateway {

struct RedisQuotaOptions : QuotaExpiryOptions {
  RedisAddress address;
  std::string prefix = "weir:{quota}:";  // of all keys; the part in braces keeps them on one node
  bool fail_open = false;      // Redis is down: true: grant without counting; false: refuse
  size_t max_queued = 65'536;  // reconciles
  size_t max_pipeline = 256;   // calls that are sent together
  // Whose answer somebody waits for: 16 pipelines, of which a Redis that is well takes each in some
  // milliseconds. Beyond them by fail_open.
  size_t max_waiting = 4096;
  int32_t first_backoff_ms = 100;
  int32_t max_backoff_ms = 5000;
  uint64_t replica = 0;  // another for each replica and start; 0: drawn at random
};

// Any thread. Callbacks run on the store's thread; while Redis is down, and for what does not fit
// the queue, on the caller's before the call returns.
class RedisQuotaStore final : public QuotaStore {
 public:
  // metrics: borrowed. Does not wait for the connection.
  RedisQuotaStore(const RedisQuotaOptions& options, const QuotaMetrics& metrics);
  // Sends what is queued where Redis answers, and ends the thread; who still waits is answered.
  ~RedisQuotaStore() override;

  void reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate, int64_t unix_ms,
               QuotaCallback done) override WEIR_EXCLUDES(mutex_);
  void extend(const std::string& reservation, const QuotaAmounts& more, int64_t unix_ms,
              QuotaCallback done) override WEIR_EXCLUDES(mutex_);
  void reconcile(const std::string& reservation, const QuotaAmounts& actual,
                 int64_t unix_ms) override WEIR_EXCLUDES(mutex_);
  void read(const std::vector<QuotaLimit>& limits, int64_t unix_ms,
            std::function<void(std::vector<int64_t>)> done) override WEIR_EXCLUDES(mutex_);

  // Whether the last call reached Redis.
  bool connected() const WEIR_EXCLUDES(mutex_);

 private:
  enum class Kind : uint8_t { kReserve, kExtend, kSettle, kRead };
  struct Call {
    Kind kind = Kind::kReserve;
    std::string reservation;
    int64_t unix_ms = 0;
    std::vector<std::string> arguments;  // of the script
    QuotaCallback done;
    std::function<void(std::vector<int64_t>)> read;
  };

  void push(Call call) WEIR_EXCLUDES(mutex_);
  void loop();
  bool next_batch(std::vector<Call>& batch) WEIR_EXCLUDES(mutex_);
  bool connect();
  Result<RedisConnection> open_and_try();
  void disconnect() WEIR_EXCLUDES(mutex_);
  void send(std::vector<Call> batch);
  void answer(Call& call, const RedisReply& reply);
  void fail(Call& call, const std::string& why);
  void lost(std::vector<Call> batch, bool sent, const std::string& why) WEIR_EXCLUDES(mutex_);
  Call settlement(const std::string& reservation, const QuotaAmounts& actual,
                  int64_t unix_ms) const;
  std::vector<std::string> common(const QuotaAmounts& amounts, int64_t unix_ms) const;

  const RedisQuotaOptions options_;
  const QuotaMetrics& metrics_;
  const uint64_t replica_;  // in front of its reservations: nobody else's have it
  std::optional<RedisConnection> connection_;  // these five of the store's thread
  std::vector<std::string> shas_;              // of the scripts, by Kind
  std::chrono::steady_clock::time_point try_again_{};
  int32_t backoff_ms_ = 0;
  uint64_t attempts_ = 0;
  mutable Mutex mutex_;
  ConditionVariable wake_;
  std::deque<Call> queue_ WEIR_GUARDED_BY(mutex_);        // whose answer somebody waits for
  std::deque<Call> settlements_ WEIR_GUARDED_BY(mutex_);  // wait for the connection
  uint64_t next_ WEIR_GUARDED_BY(mutex_) = 1;
  bool connected_ WEIR_GUARDED_BY(mutex_) = false;
  bool down_ WEIR_GUARDED_BY(mutex_) = false;  // it failed, and was not connected since
  bool stopping_ WEIR_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weir::gateway
