// A pool of upstreams with faults, clients that ask at a rate, and the policies between them as the
// gateway composes them, in simulated time. For tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "gateway/resilience/deadline.h"
#include "gateway/resilience/hedge.h"
#include "gateway/resilience/pool_guard.h"

namespace weir::gateway {

enum class SimMode {
  kOk,
  kDead,      // refuses connections; what was under way is cut when it begins
  kHung,      // takes requests and never answers
  kSlow,      // 25 times as long
  kErrors,    // half of the answers are 500
  kBusy,      // 429 with Retry-After: 2
  kCutting,   // half of the streams break after their first byte
  kSlowTail,  // one answer in 25 takes 30 times as long
};

struct SimFault {
  size_t endpoint = 0;
  SimMode mode = SimMode::kDead;
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  int64_t period_ms = 0;  // > 0: this long on, this long off
};

struct SimConfig {
  uint64_t seed = 1;
  size_t endpoints = 4;  // at most 64
  double requests_per_s = 200;
  int64_t length_ms = 80'000;
  double first_byte_ms = 20;  // without load; grows by 1 % with each request under way
  double capacity = 0;        // > 0: and with requests under way / capacity, above 1
  double stream_ms = 150;     // from the first byte to the last
  int64_t deadline_ms = 10'000;
  RouteTimeouts timeouts{.first_byte_ms = 1'000};
  PoolGuardConfig pool = {};
  HedgeConfig hedge = {};
  std::vector<SimFault> faults = {};
};

struct SimRequest {
  double arrived_ms = 0;
  double first_byte_ms = -1;  // after the arrival
  double ended_ms = -1;       // after the arrival
  bool ok = false;
  RetryReason reason =
      RetryReason::kSucceeded;  // why it was given up; kSucceeded also: no endpoint
  int32_t attempts = 0;
  int32_t continuations = 0;
  int32_t running = 0;  // attempts under way
  bool hedged = false;
  uint64_t tried = 0;  // endpoints, a bit for each
};

struct SimAttempt {
  size_t endpoint = 0;
  double at_ms = 0;
};

class ResilienceSim {
 public:
  explicit ResilienceSim(SimConfig config)
      : config_(std::move(config)),
        rng_(config_.seed),
        pool_(config_.pool, config_.seed),
        hedge_(config_.hedge),
        under_way_(config_.endpoints),
        probes_(config_.endpoints) {
    for (size_t e = 0; e < config_.endpoints; ++e) {
      pool_.add(0);
      watch(e);
    }
    for (const SimFault& fault : config_.faults)
      if (fault.mode == SimMode::kDead)
        for (int64_t t = fault.from_ms;
             t<fault.to_ms; t += fault.period_ms> 0 ? 2 * fault.period_ms : fault.to_ms)
          at(static_cast<double>(t), [this, e = fault.endpoint] { kill(e); });
    at(0, [this] { arrive(); });
  }

  void run() {
    while (!events_.empty()) {
      now_ms_ = events_.top().at_ms;
      const auto act = events_.top().act;
      events_.pop();
      act();
    }
  }

  const std::vector<SimRequest>& requests() const { return requests_; }
  const std::vector<SimAttempt>& attempts() const { return attempts_; }
  PoolGuard& pool() { return pool_; }
  HedgePolicy& hedge() { return hedge_; }
  int32_t most_probes() const { return most_probes_; }    // without a first byte, of one endpoint
  int64_t open_permits() const { return open_permits_; }  // 0 when all has ended
  uint64_t fingerprint() const { return fingerprint_; }   // of all that happened
  int64_t now_ns() const { return static_cast<int64_t>(now_ms_ * 1e6); }

 private:
  struct Event {
    double at_ms;
    uint64_t order;
    std::function<void()> act;
    bool operator<(const Event& other) const {
      return at_ms != other.at_ms ? at_ms > other.at_ms : order > other.order;
    }
  };
  struct Attempt {
    PoolPermit permit;
    size_t request;
    double started_ms;
    bool over = false;
    bool first_byte = false;
    bool probe = false;
  };

  void at(double ms, std::function<void()> act) { events_.push({ms, order_++, std::move(act)}); }
  void after(double ms, std::function<void()> act) { at(now_ms_ + ms, std::move(act)); }
  void note(uint64_t what) {
    fingerprint_ = (fingerprint_ ^ what ^ static_cast<uint64_t>(now_ns())) * 1099511628211ULL;
  }

  SimMode mode(size_t endpoint) const {
    for (const SimFault& f : config_.faults) {
      const auto t = static_cast<int64_t>(now_ms_);
      if (f.endpoint != endpoint || t < f.from_ms || t >= f.to_ms) continue;
      if (f.period_ms == 0 || (t - f.from_ms) / f.period_ms % 2 == 0) return f.mode;
    }
    return SimMode::kOk;
  }

  void arrive() {
    requests_.push_back({.arrived_ms = now_ms_});
    pool_.on_request(now_ns());
    hedge_.on_request(now_ns());
    attempt(requests_.size() - 1);
    const double gap = -std::log(1.0 - rng_.unit()) * 1000.0 / config_.requests_per_s;
    if (now_ms_ + gap < static_cast<double>(config_.length_ms)) after(gap, [this] { arrive(); });
  }

  // Of two endpoints drawn by weight the one with less to do; for another attempt that with the
  // greatest weight.
  std::optional<size_t> pick(uint64_t without) {
    std::vector<std::pair<size_t, double>> fit;
    double sum = 0;
    for (size_t e = 0; e < config_.endpoints; ++e) {
      if ((without >> e & 1) != 0 || !pool_.may_send(e, now_ns())) continue;
      fit.emplace_back(e, pool_.endpoint(e).weight(now_ns()));
      sum += fit.back().second;
    }
    if (fit.empty()) return std::nullopt;
    if (without != 0)
      return std::max_element(fit.begin(), fit.end(),
                              [](const auto& a, const auto& b) { return a.second < b.second; })
          ->first;
    const auto draw = [&] {
      double place = rng_.unit() * sum;
      for (const auto& [e, weight] : fit)
        if ((place -= weight) < 0) return e;
      return fit.back().first;
    };
    const size_t a = draw();
    const size_t b = draw();
    return pool_.endpoint(b).in_flight() < pool_.endpoint(a).in_flight() ? b : a;
  }

  void attempt(size_t r) {
    auto endpoint = pick(requests_[r].tried);
    if (!endpoint) endpoint = pick(0);
    if (!endpoint) {
      if (requests_[r].running == 0) finish(r, false, RetryReason::kSucceeded);
      return;
    }
    send(r, *endpoint);
  }

  void send(size_t r, size_t e) {
    const auto permit = pool_.start(e, now_ns());
    ASSERT_TRUE(permit.has_value());
    ++open_permits_;
    SimRequest& request = requests_[r];
    ++request.attempts;
    ++request.running;
    request.tried |= uint64_t{1} << e;
    attempts_.push_back({e, now_ms_});
    running_.push_back({*permit, r, now_ms_});
    const size_t a = running_.size() - 1;
    running_[a].probe = permit->permit.breaker.probe;
    if (running_[a].probe) most_probes_ = std::max(most_probes_, ++probes_[e]);
    note(e * 1000 + r);
    serve(a);
    if (request.attempts == 1)
      if (const auto delay = hedge_.delay_ns(now_ns()))
        after(static_cast<double>(*delay) * 1e-6, [this, a] { consider_hedge(a); });
  }

  void serve(size_t a) {
    const size_t e = running_[a].permit.endpoint;
    const SimMode m = mode(e);
    if (m == SimMode::kDead) {
      after(1, [this, a] { end(a, {.end = AttemptEnd::kConnectFailed, .sent = false}); });
      return;
    }
    const int32_t load = ++under_way_[e];
    double first_ms = config_.first_byte_ms * (0.8 + 0.4 * rng_.unit()) * (1.0 + 0.01 * load);
    if (config_.capacity > 0) first_ms *= std::max(1.0, load / config_.capacity);
    if (m == SimMode::kSlow) first_ms *= 25;
    if (m == SimMode::kSlowTail && rng_.below(25) == 0) first_ms *= 30;
    const Deadline deadline{static_cast<int64_t>(
        (requests_[running_[a].request].arrived_ms + static_cast<double>(config_.deadline_ms)) *
        1e6)};
    const auto limits = attempt_timeouts(
        config_.timeouts, deadline, now_ns(),
        config_.pool.retry.max_attempts - requests_[running_[a].request].attempts + 1, true);
    const auto limit_ms = static_cast<double>(limits.client.first_byte.count());
    if (m == SimMode::kHung || first_ms > limit_ms) {
      after(limit_ms, [this, a, limit_ms] {
        end(a, {.end = AttemptEnd::kNoFirstByte,
                .sent = true,
                .waited_ms = static_cast<int64_t>(limit_ms)});
      });
    } else if (m == SimMode::kBusy) {
      after(2, [this, a] { end(a, {.status = 429, .sent = true, .retry_after_ms = 2000}); });
    } else if (m == SimMode::kErrors && rng_.below(2) == 0) {
      after(first_ms, [this, a] { end(a, {.status = 500, .sent = true}); });
    } else {
      const bool cut = m == SimMode::kCutting && rng_.below(2) == 0;
      after(first_ms, [this, a, cut] { first_byte(a, cut); });
    }
  }

  void first_byte(size_t a, bool cut) {
    Attempt& attempt = running_[a];
    if (attempt.over) return;
    attempt.first_byte = true;
    if (attempt.probe) --probes_[attempt.permit.endpoint];
    pool_.first_byte(attempt.permit, now_ns());
    SimRequest& request = requests_[attempt.request];
    if (request.first_byte_ms < 0) request.first_byte_ms = now_ms_ - request.arrived_ms;
    // The time is that of the first attempt, whoever won.
    if (request.attempts == 1 || request.hedged)
      hedge_.on_first_byte(static_cast<int64_t>((now_ms_ - request.arrived_ms) * 1e6), now_ns());
    for (size_t other = running_.size(); request.running > 1 && other-- > 0;)
      if (running_[other].request == attempt.request && other != a && !running_[other].over)
        end(other, {.end = AttemptEnd::kCancelled, .sent = true});
    after(config_.stream_ms * (0.5 + rng_.unit()) * (cut ? 0.3 : 1.0), [this, a, cut] {
      if (cut) {
        end(a, {.end = AttemptEnd::kCut, .status = 200, .sent = true, .passed_on = true});
      } else {
        end(a, {.status = 200, .sent = true, .passed_on = true});
      }
    });
  }

  void end(size_t a, const AttemptOutcome& outcome) {
    if (running_[a].over) return;
    running_[a].over = true;
    const size_t r = running_[a].request;
    const size_t e = running_[a].permit.endpoint;
    if (running_[a].probe && !running_[a].first_byte) --probes_[e];
    if (outcome.end != AttemptEnd::kConnectFailed) --under_way_[e];
    --requests_[r].running;
    --open_permits_;
    pool_.finish(running_[a].permit, outcome, now_ns());
    note(static_cast<uint64_t>(outcome.end) * 7 + static_cast<uint64_t>(outcome.status));
    if (outcome.end == AttemptEnd::kCancelled || requests_[r].running > 0) return;
    const RetryCase request{
        .now_ns = now_ns(),
        .deadline_ns = static_cast<int64_t>(
            (requests_[r].arrived_ms + static_cast<double>(config_.deadline_ms)) * 1e6),
        .attempts = requests_[r].attempts,
        .continuations = requests_[r].continuations,
        .idempotency_key = false,
        .generation = true,
        .continuable = true,
        .other_endpoint = pick(requests_[r].tried).has_value(),
        .jitter = rng_.unit()};
    const RetryDecision next = pool_.retry(request, outcome);
    if (next.action == RetryAction::kGiveUp) {
      finish(r, next.reason == RetryReason::kSucceeded, next.reason);
      return;
    }
    if (next.action == RetryAction::kContinue) ++requests_[r].continuations;
    after(static_cast<double>(next.delay_ms), [this, r] { attempt(r); });
  }

  void consider_hedge(size_t a) {
    SimRequest& request = requests_[running_[a].request];
    const bool waits = !running_[a].over && !running_[a].first_byte;
    const auto other = pick(request.tried);
    const HedgeCase hedge{.first_byte = !waits,
                          .repeatable = true,
                          .hedged = request.hedged,
                          .other_endpoint = other.has_value(),
                          .utilization = pool_.utilization(now_ns())};
    if (!waits || hedge_.try_hedge(hedge, now_ns()) != HedgeRefusal::kNone) return;
    request.hedged = true;
    send(running_[a].request, *other);
  }

  void finish(size_t r, bool ok, RetryReason reason) {
    requests_[r].ended_ms = now_ms_ - requests_[r].arrived_ms;
    requests_[r].ok = ok;
    requests_[r].reason = reason;
  }

  void kill(size_t e) {
    for (size_t a = 0; a < running_.size(); ++a)
      if (!running_[a].over && running_[a].permit.endpoint == e)
        end(a, {.end = AttemptEnd::kCut, .sent = true, .passed_on = running_[a].first_byte});
  }

  // Active checks: looks ten times a second whether one is due.
  void watch(size_t e) {
    if (now_ms_ >= static_cast<double>(config_.length_ms)) return;
    EndpointGuard& guard = pool_.endpoint(e);
    if (guard.health().next_check_ns() <= now_ns()) {
      guard.on_check_started();
      const SimMode m = mode(e);
      const bool good = m != SimMode::kDead && m != SimMode::kHung;
      after(m == SimMode::kHung ? 500 : 2,
            [this, e, good] { pool_.endpoint(e).on_check(good, now_ns()); });
    }
    after(100, [this, e] { watch(e); });
  }

  SimConfig config_;
  Rng rng_;
  PoolGuard pool_;
  HedgePolicy hedge_;
  double now_ms_ = 0;
  uint64_t order_ = 0;
  std::priority_queue<Event> events_;
  std::vector<SimRequest> requests_;
  std::vector<SimAttempt> attempts_;
  std::vector<Attempt> running_;
  std::vector<int32_t> under_way_;  // at each endpoint, as it sees it
  std::vector<int32_t> probes_;
  int32_t most_probes_ = 0;
  int64_t open_permits_ = 0;
  uint64_t fingerprint_ = 14695981039346656037ULL;
};

}  // namespace weir::gateway
