// Quotas: how much a tenant, a key or a model may take in a window of time, by reserving before a
// request and reconciling after it. The types, and the one interface that both stores have:
// quota_memory.h for one node (memory, kept in SQLite), quota_redis.h for many replicas.
//
//   reserve    all limits of a request at once or none: the estimate is taken from each
//   extend     takes more while the request runs, before it goes beyond its estimate
//   reconcile  puts what it really took in place of what was reserved
//   refund     gives all of it back
//
// What is guaranteed, at any moment and with any number of threads and replicas:
//   1. No reserve is granted that would take a limit beyond its value. Where estimates are upper
//      bounds, no limit is ever overspent.
//   2. Where a request asks extend() before it goes beyond its estimate and stops when it is
//      refused, no limit is overspent by more than one request's overrun: the first that goes
//      beyond a full limit may go on (it holds the limit's overdraft until it ends), any other is
//      refused.
//   3. A request that goes beyond what it reserved and does not ask is booked as it was: the limit
//      is overspent by the overruns of those in flight, and refuses until its window has passed.
//   4. After the last reconcile and refund, what is booked is what was reported, to the unit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/state/calendar.h"

namespace weir::gateway {

enum class QuotaMetric : uint8_t { kRequests, kInputTokens, kOutputTokens, kTotalTokens, kMoney };
inline constexpr size_t kQuotaMetrics = 5;
std::string_view quota_metric_name(QuotaMetric metric);  // "output tokens"

// What a request takes. Each from 0 to kMaxQuota.
struct QuotaAmounts {
  int64_t requests = 1;
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  int64_t money_nanos = 0;
  // Of kTotalTokens the sum of both tokens; beyond 0 to kMaxQuota cut.
  int64_t of(QuotaMetric metric) const;
};
inline constexpr int64_t kMaxQuota =
    9'000'000'000'000'000;  // exact as a double, which Lua counts in

// One limit that a request is subject to.
struct QuotaLimit {
  std::string counter;  // what is counted together; bytes of any kind, at most 1,024
  std::string name;     // for messages: "tenant acme: output tokens per day"
  QuotaMetric metric = QuotaMetric::kRequests;
  QuotaWindow window = QuotaWindow::kMinute;
  int64_t limit = 0;      // 0: nothing may be taken; at most kMaxQuota
  std::string rule = {};  // the name of the rule that it comes from, for metrics
};
inline constexpr size_t kMaxQuotaLimits = 64;  // of one request

enum class QuotaVerdict : uint8_t {
  kGranted,
  kRefused,      // by a limit
  kUnavailable,  // the store could not be asked, and is configured to refuse then; or a bound
};

struct QuotaAnswer {
  static constexpr int64_t kNever = -1;

  QuotaVerdict verdict = QuotaVerdict::kGranted;
  // kGranted: what the other three calls want. Empty: nothing is counted, and the calls do nothing.
  std::string reservation;
  bool uncounted = false;  // kGranted although the store could not be asked (fail open)
  // kGranted: what is taken of each limit now, in their order, this request included. Empty when
  // nothing is counted.
  std::vector<int64_t> used;
  // kRefused: which limit, by its place, how full it is, what was asked of it, and when that would
  // fit if nothing else were taken; kNever where it is more than the whole limit.
  size_t refused = 0;
  int64_t refused_used = 0, refused_wanted = 0;
  int64_t retry_after_ms = 0;
  std::string why;  // kUnavailable, and uncounted
};
using QuotaCallback = std::function<void(QuotaAnswer)>;

// The answer as an error for the client. Precondition: it is not kGranted; limits are those that
// were asked. kRateLimitExceeded with retry_after_s (-1: a retry would never fit), or
// kServerOverloaded.
Error quota_error(const QuotaAnswer& answer, const std::vector<QuotaLimit>& limits);

// Any thread. A callback is called exactly once, on any thread and possibly before the call
// returns, and must not block; where the owner has one thread for policy, it posts.
//
// unix_ms: the caller's wall clock. Replicas that share a store must agree on it to within a second
// or so; one that is ahead begins a window early, and one that is behind counts that as well.
class QuotaStore {
 public:
  virtual ~QuotaStore() = default;

  // Error kInvalidValue through verdict kUnavailable for more than kMaxQuotaLimits or a limit
  // beyond its range. No limits: granted, nothing is counted.
  virtual void reserve(const std::vector<QuotaLimit>& limits, const QuotaAmounts& estimate,
                       int64_t unix_ms, QuotaCallback done) = 0;
  // Takes `more` (requests is not looked at) for a request that runs, and lets its reservation live
  // on. Refused: it keeps what it has. Granted for a reservation that is not known: nothing is
  // counted.
  virtual void extend(const std::string& reservation, const QuotaAmounts& more, int64_t unix_ms,
                      QuotaCallback done) = 0;
  // Once for each reservation; a second time does nothing. What was not used is given back to the
  // window it was taken from; what goes beyond is booked now. A reservation that has expired is
  // booked anew.
  virtual void reconcile(const std::string& reservation, const QuotaAmounts& actual,
                         int64_t unix_ms) = 0;
  void refund(const std::string& reservation, int64_t unix_ms) {
    reconcile(reservation, QuotaAmounts{.requests = 0}, unix_ms);
  }
  // What is taken of each limit now; empty when the store cannot be asked.
  virtual void read(const std::vector<QuotaLimit>& limits, int64_t unix_ms,
                    std::function<void(std::vector<int64_t>)> done) = 0;
};

// What becomes of a reservation whose request was not heard of for its lifetime: its replica is
// gone.
enum class QuotaExpiry : uint8_t {
  kRefund,  // all of it is given back: what the upstream had computed by then is not counted
  kCharge,  // it stays taken: nothing goes uncounted, and limits fill without use
};
struct QuotaExpiryOptions {
  int64_t lifetime_ms = 900'000;    // of a reservation since its last reserve or extend
  int64_t remember_ms = 3'600'000;  // of one that has expired: it can still be booked
  QuotaExpiry expiry = QuotaExpiry::kRefund;
};

// What both stores check of a call; "" or what is wrong.
std::string quota_problem(const std::vector<QuotaLimit>& limits);

}  // namespace weir::gateway
