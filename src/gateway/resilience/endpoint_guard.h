// Everything of one endpoint that decides whether, and how much of, the load it gets: active
// health, passive ejection, circuit breaker, concurrency limit, what it asked for by Retry-After,
// slow start, recent failures. Pure: time and results are passed in; the checks and the requests
// are the caller's.
//
// One attempt:
//   if (guard.may_send(now)) {
//     std::optional<SendPermit> permit = guard.on_start(now);
//     ... guard.on_first_byte(*permit, now);         // of an answer that is no error
//     ... guard.on_outcome(*permit, outcome, now);   // exactly once, however it ended
//   }
// A permit lives in the attempt and is valid for the guard that gave it. An attempt that was never
// sent, or was cancelled, ends with the outcome kNotTried or kCancelled and gives a half-open
// probe's place back.
//
// PoolGuard (pool_guard.h) has one of these per endpoint and adds what only a pool knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "gateway/resilience/attempt.h"
#include "gateway/resilience/breaker.h"
#include "gateway/resilience/concurrency_limit.h"
#include "gateway/resilience/health.h"
#include "gateway/resilience/slow_start.h"

namespace weir::gateway {

struct EndpointGuardConfig {
  HealthConfig health;
  SlowStartConfig slow_start;
  BreakerConfig breaker;
  ConcurrencyLimitConfig limit;
  int64_t pushback_ms = 1'000;       // after a 429 that names no time; doubles with each in a row
  int64_t max_pushback_ms = 60'000;  // a longer Retry-After counts as this
  int64_t hang_ms = 10'000;          // a wait for the first byte that is the endpoint's fault also
                                     // when the client's deadline ended it
  // The weight has the square of the recent success rate as a factor (at least 0.1), so that load
  // leaves an endpoint that fails half of the time before its breaker opens.
  double recent_part = 0.1;              // of the newest outcome in that rate; 0: no such factor
  int64_t recent_half_life_ms = 10'000;  // of old failures
  friend bool operator==(const EndpointGuardConfig&, const EndpointGuardConfig&) = default;
};

// Whether a request may be sent now, or what forbids it. In this order the first one counts.
enum class SendVerdict {
  kYes,
  kDraining,    // it is being taken out
  kPushedBack,  // it asked for a pause
  kUnhealthy,   // active checks fail
  kEjected,     // an outlier of its pool
  kOpen,        // the breaker is
  kProbing,     // half open, and all places of probes are taken
  kFull,        // the concurrency limit
};
std::string_view send_verdict_name(SendVerdict verdict);  // "pushed_back"

struct SendPermit {
  BreakerPermit breaker;
  int64_t started_ns = 0;
  int32_t in_flight = 0;  // at the start, with this one
  bool open = false;      // on_outcome has not come yet
  bool first_byte = false;
};

struct EndpointGuardView {
  SendVerdict verdict = SendVerdict::kYes;
  bool healthy = true;  // by active checks
  BreakerView breaker;
  int32_t in_flight = 0;
  int32_t limit = 0;
  int64_t no_load_ns = 0;  // measured time to first byte without load; 0: not measured
  int64_t pushed_back_until_ns = 0;
  int64_t ejected_until_ns = 0;
  double weight = 1;
  uint64_t good = 0;  // outcomes since the start, by endpoint_sign
  uint64_t bad = 0;
  uint64_t busy = 0;
};

// One thread. Memory: about 1 KiB, with an adaptive limit at most 5 KiB.
class EndpointGuard {
 public:
  // seed: of every jitter; another one for each endpoint and each gateway.
  EndpointGuard(const EndpointGuardConfig& config, uint64_t seed, int64_t now_ns);

  // ignore_health: the pool panics; then neither active health nor ejection forbids anything.
  SendVerdict verdict(int64_t now_ns, bool ignore_health = false) const;
  bool may_send(int64_t now_ns, bool ignore_health = false) const {
    return verdict(now_ns, ignore_health) == SendVerdict::kYes;
  }
  // 0.001 .. 1: multiply the endpoint's share with it: slow start after it became ready again, and
  // its recent success rate.
  double weight(int64_t now_ns) const;

  // Nothing when may_send is false.
  std::optional<SendPermit> on_start(int64_t now_ns, bool ignore_health = false);
  // The first byte (of a stream: the first event) of an answer of a status below 400. From here on
  // the attempt counts as a success unless on_outcome says otherwise: a stream may last minutes.
  void on_first_byte(SendPermit& permit, int64_t now_ns);
  // What it said about the endpoint. A second call of the same permit does nothing (kNone).
  EndpointSign on_outcome(SendPermit& permit, const AttemptOutcome& outcome, int64_t now_ns);

  // Active checks: when one is due by health().next_check_ns(), call on_check_started, do it, and
  // give its result. True: it became healthy or unhealthy.
  const ActiveHealth& health() const { return health_; }
  void on_check_started() { health_.on_check_started(); }
  bool on_check(bool good, int64_t now_ns) { return health_.on_check(good, now_ns); }

  void eject(int64_t until_ns) { ejected_until_ns_ = until_ns; }
  bool ejected(int64_t now_ns) const { return now_ns < ejected_until_ns_; }
  void drain(bool draining) { draining_ = draining; }  // requests under way end as they will
  bool draining() const { return draining_; }

  int32_t in_flight() const { return limit_.in_flight(); }
  int32_t limit() const { return limit_.limit(); }
  // The earliest time at which may_send could be true without anything else happening: now when it
  // is, or when the endpoint is full; of an unhealthy one the next check; INT64_MAX when draining.
  int64_t ready_at_ns(int64_t now_ns, bool ignore_health = false) const;
  EndpointGuardView view(int64_t now_ns);

 private:
  void push_back(const AttemptOutcome& outcome, int64_t now_ns);
  double recent_failures(int64_t now_ns) const;
  void remember(bool good, int64_t now_ns);

  EndpointGuardConfig config_;
  ActiveHealth health_;
  Breaker breaker_;
  ConcurrencyLimit limit_;
  bool draining_ = false;
  int32_t busy_in_a_row_ = 0;
  int64_t pushed_back_until_ns_ = 0;
  int64_t ejected_until_ns_ = 0;
  double recent_failures_ = 0;  // rate, at recent_at_ns_
  int64_t recent_at_ns_ = 0;
  uint64_t good_ = 0;
  uint64_t bad_ = 0;
  uint64_t busy_ = 0;
};

}  // namespace weir::gateway
