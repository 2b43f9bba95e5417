#include "gateway/resilience/concurrency_limit.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/units.h"

namespace weir::gateway {

namespace {

constexpr size_t kMostSamples = 256;

int64_t median_of(std::vector<int64_t> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

ConcurrencyLimit::ConcurrencyLimit(const ConcurrencyLimitConfig& config, uint64_t seed,
                                   int64_t now_ns)
    : config_(config),
      seed_(seed),
      window_start_ns_(now_ns),
      overload_at_ns_(now_ns - config.window_ms * kNsPerMs) {
  const auto most = static_cast<int32_t>(kMostSamples);
  config_.max_limit = std::max(config_.max_limit, 1);
  config_.min_limit = std::clamp(config_.min_limit, 1, config_.max_limit);
  config_.tolerance = std::max(config_.tolerance, 1.0);
  config_.smoothing = std::clamp(config_.smoothing, 0.0, 1.0);
  config_.window_samples = std::clamp(config_.window_samples, 1, most);
  config_.measure_samples = std::clamp(config_.measure_samples, 1, most);
  limit_ = config_.adaptive
               ? std::clamp(config_.initial_limit, config_.min_limit, config_.max_limit)
               : config_.max_limit;
  plan_measurement(now_ns);
}

int32_t ConcurrencyLimit::limit() const {
  return measuring_ ? config_.min_limit : static_cast<int32_t>(limit_);
}

int32_t ConcurrencyLimit::begin() {
  ++in_flight_;
  most_in_flight_ = std::max(most_in_flight_, in_flight_);
  return in_flight_;
}

void ConcurrencyLimit::end() {
  if (in_flight_ > 0) --in_flight_;
}

void ConcurrencyLimit::plan_measurement(int64_t now_ns) {
  const double later = 1.0 + 0.5 * random_unit(seed_, 0, draws_++);
  measure_at_ns_ =
      now_ns + static_cast<int64_t>(static_cast<double>(config_.remeasure_ms) * 1e6 * later);
}

void ConcurrencyLimit::measure(int64_t latency_ns, int64_t now_ns) {
  quiet_.push_back(latency_ns);
  const bool enough = quiet_.size() >= static_cast<size_t>(config_.measure_samples);
  // The first requests of all find no load, and there may be no others: each counts at once.
  if (enough || !measured_) no_load_ns_ = median_of(quiet_);
  if (!enough) return;
  measured_ = true;
  quiet_.clear();
  measuring_ = false;
  plan_measurement(now_ns);
}

void ConcurrencyLimit::on_first_byte(int64_t latency_ns, int32_t in_flight_at_start,
                                     int64_t now_ns) {
  if (!config_.adaptive || latency_ns <= 0) return;
  if (in_flight_at_start <= config_.min_limit) measure(latency_ns, now_ns);
  if (!measuring_ && config_.remeasure_ms > 0 && now_ns >= measure_at_ns_) {
    measuring_ = true;
    quiet_.clear();
  }
  if (window_.size() < kMostSamples) {
    window_.push_back(latency_ns);
  } else {
    window_[window_next_] = latency_ns;
    window_next_ = (window_next_ + 1) % kMostSamples;
  }
  if (window_.size() >= static_cast<size_t>(config_.window_samples) &&
      now_ns - window_start_ns_ >= config_.window_ms * kNsPerMs)
    adapt(now_ns);
}

void ConcurrencyLimit::adapt(int64_t now_ns) {
  const int64_t median_ns = median_of(window_);
  // Until it is measured, and whenever it was faster: the best that is known.
  if (no_load_ns_ == 0 || median_ns < no_load_ns_) no_load_ns_ = median_ns;
  const double gradient = std::clamp(
      config_.tolerance * static_cast<double>(no_load_ns_) / static_cast<double>(median_ns), 0.5,
      1.0);
  const double wanted = limit_ * gradient + std::sqrt(limit_);
  const double next = limit_ + config_.smoothing * (wanted - limit_);
  // A limit that was not half used says nothing about a higher one; nor do times of a measurement.
  const bool used = 2 * most_in_flight_ >= static_cast<int32_t>(limit_);
  if (!measuring_ && (next < limit_ || used))
    limit_ = std::clamp(next, static_cast<double>(config_.min_limit),
                        static_cast<double>(config_.max_limit));
  window_.clear();
  window_next_ = 0;
  window_start_ns_ = now_ns;
  most_in_flight_ = in_flight_;
}

void ConcurrencyLimit::on_overload(int64_t now_ns) {
  if (!config_.adaptive || now_ns - overload_at_ns_ < config_.window_ms * kNsPerMs) return;
  overload_at_ns_ = now_ns;
  limit_ = std::max(static_cast<double>(config_.min_limit), limit_ * config_.overload_factor);
}

}  // namespace weir::gateway
