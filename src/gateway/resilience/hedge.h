// Hedged requests: when the first byte is late, the same request is sent to a second endpoint, and
// the slower of the two is cancelled (Dean and Barroso, "The Tail at Scale", CACM 2013). Pure: time
// is passed in.
//
// Late is the p95 of the route's own times to first byte, so that about one request in twenty could
// be hedged; a budget of 2 % of the requests bounds it further, and none is sent when the pool is
// short of capacity, where a second copy makes everyone's wait longer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "gateway/resilience/retry_budget.h"

namespace weir::gateway {

// Quantiles of a stream of times, in which a sample's weight halves every half_life_ms. Buckets
// grow by 8 % from 0.1 ms on, to 21 minutes: that is the error. One thread. 1.7 KiB.
class DecayingQuantile {
 public:
  explicit DecayingQuantile(int64_t half_life_ms) : half_life_ms_(half_life_ms) {}

  void add(int64_t value_ns, int64_t now_ns);
  double weight(int64_t now_ns) const;  // of all samples: their number, decayed
  // q: 0 .. 1. Nothing without samples. What exceeds the buckets counts as the largest.
  std::optional<int64_t> quantile_ns(double q) const;

 private:
  static constexpr size_t kBuckets = 212;
  double scale(int64_t now_ns) const;

  int64_t half_life_ms_;
  int64_t origin_ns_ = 0;  // a sample at this time has the weight 1 in buckets_
  double total_ = 0;
  std::array<double, kBuckets> buckets_{};
};

struct HedgeConfig {
  bool enabled = false;  // a hosted upstream is paid for both
  double quantile = 0.95;
  double budget_ratio = 0.02;     // hedges per request
  int64_t half_life_ms = 60'000;  // of the times
  double min_samples = 100;       // decayed; before: no hedge
  int64_t min_delay_ms = 10;
  double max_utilization = 0.7;  // of the pool's places; above: short of capacity
  friend bool operator==(const HedgeConfig&, const HedgeConfig&) = default;
};

struct HedgeCase {
  bool first_byte = false;      // has come
  bool repeatable = false;      // may run twice: an idempotency key, or generation by config
  bool hedged = false;          // already
  bool other_endpoint = false;  // one that was not tried may be asked now
  double utilization = 0;       // requests under way / limit, over the pool's usable endpoints
};

enum class HedgeRefusal {
  kNone,
  kDisabled,
  kFirstByte,
  kNotRepeatable,
  kHedged,
  kNoEndpoint,
  kCapacity,
  kBudget,
};
std::string_view hedge_refusal_name(HedgeRefusal refusal);  // "capacity"

// Of one route. One thread.
class HedgePolicy {
 public:
  explicit HedgePolicy(const HedgeConfig& config = {});

  // A request of the route, once: pays into the budget.
  void on_request(int64_t now_ns) { budget_.on_request(now_ns); }
  // The time to first byte of a request's first attempt, counted from its start. When the hedge won
  // and the first attempt was cancelled: its time until then. It would have been longer, but left
  // out the quantile would sink from hedge to hedge.
  void on_first_byte(int64_t latency_ns, int64_t now_ns) { times_.add(latency_ns, now_ns); }

  // After which time from its start a request without a first byte is hedged; nothing: never.
  std::optional<int64_t> delay_ns(int64_t now_ns) const;
  // At that time. kNone: send it; the budget has paid.
  HedgeRefusal try_hedge(const HedgeCase& request, int64_t now_ns);
  RetryBudgetView view(int64_t now_ns) { return budget_.view(now_ns); }

 private:
  HedgeConfig config_;
  DecayingQuantile times_;
  RetryBudget budget_;
};

}  // namespace weir::gateway
