#include "gateway/resilience/breaker.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/units.h"

namespace weir::gateway {

std::string_view breaker_state_name(BreakerState state) {
  constexpr std::array<std::string_view, 3> kNames = {"closed", "open", "half_open"};
  return kNames[static_cast<size_t>(state)];
}

Breaker::Breaker(const BreakerConfig& config, uint64_t seed) : config_(config), seed_(seed) {
  config_.window_ms = std::max<int64_t>(config_.window_ms, 100);
  config_.min_calls = std::max<int64_t>(config_.min_calls, 1);
  config_.open_growth = std::max(config_.open_growth, 1.0);
  config_.probes = std::max(config_.probes, 1);
  config_.probe_successes = std::max(config_.probe_successes, 1);
}

BreakerState Breaker::state(int64_t now_ns) const {
  if (!tripped_) return BreakerState::kClosed;
  return now_ns < open_until_ns_ ? BreakerState::kOpen : BreakerState::kHalfOpen;
}

bool Breaker::permits(int64_t now_ns) const {
  switch (state(now_ns)) {
    case BreakerState::kClosed:
      return true;
    case BreakerState::kOpen:
      return false;
    case BreakerState::kHalfOpen:
      break;
  }
  // No more than are needed to close it.
  return probes_ < std::min(config_.probes, config_.probe_successes - probe_successes_);
}

std::optional<BreakerPermit> Breaker::acquire(int64_t now_ns) {
  if (!permits(now_ns)) return std::nullopt;
  if (tripped_) ++probes_;
  return BreakerPermit{epoch_, tripped_};
}

void Breaker::settle(const BreakerPermit& permit, CallResult result, int64_t now_ns) {
  if (permit.epoch != epoch_) return;
  if (!permit.probe) {
    count(result, now_ns);
    return;
  }
  --probes_;
  if (result != CallResult::kSuccess) {
    open(now_ns);
  } else if (++probe_successes_ >= config_.probe_successes) {
    close(now_ns);
  }
}

void Breaker::cancel(const BreakerPermit& permit) {
  if (permit.epoch == epoch_ && permit.probe) --probes_;
}

void Breaker::revoke(const BreakerPermit& permit, int64_t now_ns) {
  if (tripped_) {
    // A probe of this time half open: its success does not count, the failure does.
    if (permit.epoch == epoch_ && permit.probe && state(now_ns) == BreakerState::kHalfOpen)
      open(now_ns);
    return;
  }
  // Also when the success closed the breaker: the failure is of now.
  advance(now_ns);
  for (int64_t s = newest_; s > newest_ - kSlots && s >= 0; --s) {
    Slot& slot = at(s);
    if (slot.calls - slot.failures - slot.slow <= 0) continue;
    --slot.calls;
    --sum_.calls;
    break;
  }
  ++revoked_in_a_row_;
  count(CallResult::kFailure, now_ns);
}

void Breaker::advance(int64_t now_ns) {
  const int64_t slot_ns = config_.window_ms * kNsPerMs / kSlots;
  const int64_t slot = std::max(newest_, now_ns / slot_ns);
  for (int64_t s = std::max(newest_, slot - kSlots) + 1; s <= slot; ++s) {
    const Slot& old = at(s);
    sum_.calls -= old.calls;
    sum_.failures -= old.failures;
    sum_.slow -= old.slow;
    at(s) = {};
  }
  newest_ = slot;
}

void Breaker::count(CallResult result, int64_t now_ns) {
  advance(now_ns);
  const int64_t failed = result == CallResult::kFailure ? 1 : 0;
  const int64_t slow = result == CallResult::kSlow ? 1 : 0;
  for (Slot* slot : {&at(newest_), &sum_}) {
    ++slot->calls;
    slot->failures += failed;
    slot->slow += slow;
  }
  in_a_row_ = failed > 0 ? in_a_row_ + 1 : 0;
  if (failed + slow > 0) judge(now_ns);
}

void Breaker::judge(int64_t now_ns) {
  if (config_.in_a_row > 0 && std::max(in_a_row_, revoked_in_a_row_) >= config_.in_a_row) {
    open(now_ns);
    return;
  }
  if (sum_.calls < config_.min_calls) return;
  const auto calls = static_cast<double>(sum_.calls);
  if (static_cast<double>(sum_.failures) >= config_.failure_rate * calls ||
      static_cast<double>(sum_.slow) >= config_.slow_rate * calls)
    open(now_ns);
}

void Breaker::open(int64_t now_ns) {
  // Closed for twice the longest time open: a new trouble, not the old one.
  if (!tripped_ && now_ns - closed_at_ns_ > 2 * config_.open_max_ms * kNsPerMs) growth_steps_ = 0;
  const double grown = static_cast<double>(config_.open_ms) *
                       std::pow(config_.open_growth, std::min(growth_steps_, 60));
  const double jitter = 1.0 + config_.open_jitter * random_unit(seed_, 0, opened_);
  const double ms = std::min(grown, static_cast<double>(config_.open_max_ms)) * jitter;
  open_until_ns_ = now_ns + static_cast<int64_t>(ms * static_cast<double>(kNsPerMs));
  ++growth_steps_;
  ++opened_;
  ++epoch_;
  tripped_ = true;
  probes_ = 0;
  probe_successes_ = 0;
}

void Breaker::close(int64_t now_ns) {
  tripped_ = false;
  ++epoch_;
  closed_at_ns_ = now_ns;
  in_a_row_ = 0;
  revoked_in_a_row_ = 0;
  slots_.fill({});
  sum_ = {};
}

BreakerView Breaker::view(int64_t now_ns) {
  advance(now_ns);
  return {state(now_ns), sum_.calls, sum_.failures, sum_.slow, probes_, opened_, open_until_ns_};
}

}  // namespace weir::gateway
