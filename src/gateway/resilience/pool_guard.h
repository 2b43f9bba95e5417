// The resilience of a pool of endpoints: one EndpointGuard for each, and what only the pool knows:
// outliers, panic, the retry budget, when to come again. Pure: time and results are passed in.
//
//   pool.on_request(now);                                    // once per request
//   attempt: pick an endpoint with pool.may_send(e, now), by pool.endpoint(e).weight(now) and load;
//     for another attempt one that was not tried, with the greatest weight
//     std::optional<PoolPermit> permit = pool.start(e, now);
//     ... pool.first_byte(*permit, now);                     // of an answer that is no error
//     ... pool.finish(*permit, outcome, now);                // exactly once
//     pool.retry(request, outcome) -> another attempt, or give up
//   nobody may be asked: answer 503 with Retry-After of pool.ready_in_ms(now)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "gateway/resilience/endpoint_guard.h"
#include "gateway/resilience/outlier.h"
#include "gateway/resilience/retry_budget.h"
#include "gateway/resilience/retry_policy.h"

namespace weir::gateway {

struct PoolGuardConfig {
  EndpointGuardConfig endpoint;
  OutlierConfig outlier;
  RetryBudgetConfig budget;
  RetryConfig retry;
  double panic_threshold = 0.5;  // of the endpoints healthy and not ejected; below: health is
                                 // ignored; 0: never
  friend bool operator==(const PoolGuardConfig&, const PoolGuardConfig&) = default;
};

struct PoolPermit {
  size_t endpoint = 0;
  uint64_t serial = 0;  // of the endpoint: its number may be another one's meanwhile
  SendPermit permit;
};

// Endpoints are numbers that add() gives; a removed one's number is given again. One thread. The
// cost of every call is constant but for panic(), which looks at all endpoints once in 10 ms, and
// for utilization() and ready_in_ms().
class PoolGuard {
 public:
  // seed: of every jitter; another one for each pool and each gateway.
  PoolGuard(const PoolGuardConfig& config, uint64_t seed);

  size_t add(int64_t now_ns);
  // Attempts under way may still be finished, without effect.
  void remove(size_t endpoint);
  bool has(size_t endpoint) const { return endpoint < slots_.size() && slots_[endpoint].guard; }
  size_t size() const;                              // endpoints
  size_t numbers() const { return slots_.size(); }  // endpoints are below this
  // Precondition: has(endpoint). Valid until remove().
  EndpointGuard& endpoint(size_t endpoint) { return *slots_[endpoint].guard; }

  void on_request(int64_t now_ns) { budget_.on_request(now_ns); }
  // Health is ignored at present.
  bool panic(int64_t now_ns);
  SendVerdict verdict(size_t endpoint, int64_t now_ns);
  bool may_send(size_t endpoint, int64_t now_ns) {
    return verdict(endpoint, now_ns) == SendVerdict::kYes;
  }

  std::optional<PoolPermit> start(size_t endpoint, int64_t now_ns);
  void first_byte(PoolPermit& permit, int64_t now_ns);
  EndpointSign finish(PoolPermit& permit, const AttemptOutcome& outcome, int64_t now_ns);
  // decide_retry with the pool's configuration and budget.
  RetryDecision retry(const RetryCase& request, const AttemptOutcome& outcome) {
    return decide_retry(config_.retry, request, outcome, budget_);
  }

  // Requests under way over the limits of the endpoints that are not draining, unhealthy or
  // ejected: 0 .. 1; 1 without such. For HedgeCase.
  double utilization(int64_t now_ns);
  // Milliseconds until some endpoint may be asked again; 0: now; a minute at most.
  int64_t ready_in_ms(int64_t now_ns);
  RetryBudget& budget() { return budget_; }
  const OutlierDetector& outliers() const { return outliers_; }

 private:
  struct Slot {
    std::unique_ptr<EndpointGuard> guard;
    uint64_t serial = 0;
  };
  EndpointGuard* guard_of(const PoolPermit& permit);
  bool well(const EndpointGuard& guard, int64_t now_ns) const;

  PoolGuardConfig config_;
  uint64_t seed_;
  uint64_t serials_ = 0;
  std::vector<Slot> slots_;
  OutlierDetector outliers_;
  RetryBudget budget_;
  bool panic_ = false;
  int64_t panic_until_ns_ = 0;  // what panic_ says counts until then
};

}  // namespace weir::gateway
