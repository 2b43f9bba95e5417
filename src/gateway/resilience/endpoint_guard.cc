#include "gateway/resilience/endpoint_guard.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "base/rng.h"
#include "base/units.h"

namespace weir::gateway {

namespace {
constexpr double kLeastRecent = 0.1;
}  // namespace

std::string_view send_verdict_name(SendVerdict verdict) {
  constexpr std::array<std::string_view, 8> kNames = {
      "yes", "draining", "pushed_back", "unhealthy", "ejected", "open", "probing", "full"};
  return kNames[static_cast<size_t>(verdict)];
}

EndpointGuard::EndpointGuard(const EndpointGuardConfig& config, uint64_t seed, int64_t now_ns)
    : config_(config),
      health_(config.health, random_u64(seed, 1, 0), now_ns),
      breaker_(config.breaker, random_u64(seed, 2, 0)),
      limit_(config.limit, random_u64(seed, 3, 0), now_ns) {}

SendVerdict EndpointGuard::verdict(int64_t now_ns, bool ignore_health) const {
  if (draining_) return SendVerdict::kDraining;
  if (now_ns < pushed_back_until_ns_) return SendVerdict::kPushedBack;
  if (!ignore_health) {
    if (!health_.healthy()) return SendVerdict::kUnhealthy;
    if (ejected(now_ns)) return SendVerdict::kEjected;
  }
  if (!breaker_.permits(now_ns))
    return breaker_.state(now_ns) == BreakerState::kOpen ? SendVerdict::kOpen
                                                         : SendVerdict::kProbing;
  return limit_.has_room() ? SendVerdict::kYes : SendVerdict::kFull;
}

double EndpointGuard::recent_failures(int64_t now_ns) const {
  if (recent_failures_ == 0) return 0;  // the rule; each decision asks this of every endpoint
  const double age_ms = static_cast<double>(now_ns - recent_at_ns_) * 1e-6;
  const auto half_life_ms = static_cast<double>(std::max<int64_t>(config_.recent_half_life_ms, 1));
  return recent_failures_ * std::exp2(-std::max(age_ms, 0.0) / half_life_ms);
}

void EndpointGuard::remember(bool good, int64_t now_ns) {
  const double before = recent_failures(now_ns);
  const double part = std::clamp(config_.recent_part, 0.0, 1.0);
  recent_failures_ = before + part * ((good ? 0.0 : 1.0) - before);
  recent_at_ns_ = now_ns;
}

double EndpointGuard::weight(int64_t now_ns) const {
  int64_t ready_since = std::max(health_.healthy_since_ns(), breaker_.closed_at_ns());
  if (!ejected(now_ns)) ready_since = std::max(ready_since, ejected_until_ns_);
  const double successes = 1.0 - recent_failures(now_ns);
  return slow_start_weight(config_.slow_start, ready_since, now_ns) *
         std::max(kLeastRecent, successes * successes);
}

std::optional<SendPermit> EndpointGuard::on_start(int64_t now_ns, bool ignore_health) {
  if (!may_send(now_ns, ignore_health)) return std::nullopt;
  const auto breaker = breaker_.acquire(now_ns);
  if (!breaker) return std::nullopt;
  return SendPermit{.breaker = *breaker,
                    .started_ns = now_ns,
                    .in_flight = limit_.begin(),
                    .open = true,
                    .first_byte = false};
}

void EndpointGuard::on_first_byte(SendPermit& permit, int64_t now_ns) {
  if (!permit.open || permit.first_byte) return;
  permit.first_byte = true;
  busy_in_a_row_ = 0;
  const int64_t took_ns = now_ns - permit.started_ns;
  limit_.on_first_byte(took_ns, permit.in_flight, now_ns);
  const int64_t slow_ns = config_.breaker.slow_ms * kNsPerMs;
  breaker_.settle(permit.breaker,
                  slow_ns > 0 && took_ns > slow_ns ? CallResult::kSlow : CallResult::kSuccess,
                  now_ns);
}

EndpointSign EndpointGuard::on_outcome(SendPermit& permit, const AttemptOutcome& outcome,
                                       int64_t now_ns) {
  if (!permit.open) return EndpointSign::kNone;
  permit.open = false;
  limit_.end();
  const EndpointSign sign = endpoint_sign(outcome, config_.hang_ms);
  switch (sign) {
    case EndpointSign::kGood:
      ++good_;
      busy_in_a_row_ = 0;
      if (permit.first_byte) {
        // Whole answers say nothing of streams: an upstream may cut all of these and none of those.
        if (outcome.passed_on) breaker_.complete();
      } else {
        breaker_.settle(permit.breaker, CallResult::kSuccess, now_ns);
      }
      remember(true, now_ns);
      break;
    case EndpointSign::kBad:
      ++bad_;
      remember(false, now_ns);
      if (permit.first_byte) {
        breaker_.revoke(permit.breaker, now_ns);
      } else {
        breaker_.settle(permit.breaker, CallResult::kFailure, now_ns);
      }
      if (outcome.end == AttemptEnd::kNoFirstByte) limit_.on_overload(now_ns);
      health_.on_request_failed(now_ns);
      break;
    case EndpointSign::kBusy:
      ++busy_;
      push_back(outcome, now_ns);
      limit_.on_overload(now_ns);
      if (!permit.first_byte) breaker_.cancel(permit.breaker);
      break;
    case EndpointSign::kNone:
      if (!permit.first_byte) breaker_.cancel(permit.breaker);
      break;
  }
  return sign;
}

void EndpointGuard::push_back(const AttemptOutcome& outcome, int64_t now_ns) {
  const int64_t unnamed = config_.pushback_ms << std::min(busy_in_a_row_, 10);
  const int64_t ms =
      std::clamp<int64_t>(outcome.retry_after_ms.value_or(unnamed), 0, config_.max_pushback_ms);
  // Answers to requests that began before the pause do not make it grow; and a later, shorter wish
  // does not shorten it.
  if (now_ns >= pushed_back_until_ns_) ++busy_in_a_row_;
  pushed_back_until_ns_ = std::max(pushed_back_until_ns_, now_ns + ms * kNsPerMs);
}

int64_t EndpointGuard::ready_at_ns(int64_t now_ns, bool ignore_health) const {
  if (draining_) return std::numeric_limits<int64_t>::max();
  int64_t at = std::max(now_ns, pushed_back_until_ns_);
  if (!ignore_health) {
    at = std::max(at, ejected_until_ns_);
    if (!health_.healthy()) {
      const int64_t check = health_.next_check_ns();
      // One that is under way ends within its time-out.
      at = std::max(at, check == std::numeric_limits<int64_t>::max()
                            ? now_ns + config_.health.timeout_ms * kNsPerMs
                            : check);
    }
  }
  if (breaker_.state(now_ns) == BreakerState::kOpen) at = std::max(at, breaker_.open_until_ns());
  return at;
}

EndpointGuardView EndpointGuard::view(int64_t now_ns) {
  return {.verdict = verdict(now_ns),
          .healthy = health_.healthy(),
          .breaker = breaker_.view(now_ns),
          .in_flight = limit_.in_flight(),
          .limit = limit_.limit(),
          .no_load_ns = limit_.no_load_ns(),
          .pushed_back_until_ns = pushed_back_until_ns_,
          .ejected_until_ns = ejected_until_ns_,
          .weight = weight(now_ns),
          .good = good_,
          .bad = bad_,
          .busy = busy_};
}

}  // namespace weir::gateway
