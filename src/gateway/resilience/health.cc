#include "gateway/resilience/health.h"

#include <algorithm>
#include <limits>

#include "base/rng.h"

namespace weir::gateway {

ActiveHealth::ActiveHealth(const HealthConfig& config, uint64_t seed, int64_t now_ns)
    : config_(config),
      seed_(seed),
      healthy_(!config.enabled || config.starts_healthy),
      healthy_since_ns_(now_ns) {
  config_.interval_ms = std::max<int64_t>(config_.interval_ms, 10);
  config_.fast_interval_ms = std::max<int64_t>(config_.fast_interval_ms, 10);
  config_.jitter = std::clamp(config_.jitter, 0.0, 1.0);
  const int64_t span = jittered_ns(config_.fast_interval_ms) - config_.fast_interval_ms * 1'000'000;
  next_check_ns_ = now_ns + std::max<int64_t>(0, span);
}

int64_t ActiveHealth::jittered_ns(int64_t interval_ms) {
  const double part = 1.0 + config_.jitter * (2.0 * random_unit(seed_, 0, draws_++) - 1.0);
  return static_cast<int64_t>(static_cast<double>(interval_ms) * 1e6 * part);
}

int64_t ActiveHealth::next_check_ns() const {
  return config_.enabled && !checking_ ? next_check_ns_ : std::numeric_limits<int64_t>::max();
}

void ActiveHealth::on_check_started() { checking_ = true; }

bool ActiveHealth::on_check(bool good, int64_t now_ns) {
  checking_ = false;
  if (!config_.enabled) return false;
  const bool first = checks_++ == 0;
  in_a_row_ = good == healthy_ ? 0 : in_a_row_ + 1;
  const int32_t enough = first ? 1 : std::max(1, good ? config_.rise : config_.fall);
  const bool change = in_a_row_ >= enough;
  if (change) {
    healthy_ = good;
    in_a_row_ = 0;
    if (good) healthy_since_ns_ = now_ns;
  }
  next_check_ns_ =
      now_ns + jittered_ns(in_a_row_ > 0 ? config_.fast_interval_ms : config_.interval_ms);
  return change;
}

void ActiveHealth::on_request_failed(int64_t now_ns) {
  if (!config_.enabled || !healthy_) return;
  // Not drawn anew: many failures at once must not use up the random numbers of the checks.
  next_check_ns_ = std::min(next_check_ns_, now_ns + config_.fast_interval_ms * 1'000'000);
}

}  // namespace weir::gateway
