#include "gateway/resilience/outlier.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"

namespace weir::gateway {

std::string_view ejection_cause_name(EjectionCause cause) {
  constexpr std::array<std::string_view, 2> kNames = {"consecutive", "success_rate"};
  return kNames[static_cast<size_t>(cause)];
}

OutlierDetector::OutlierDetector(const OutlierConfig& config) : config_(config) {
  config_.interval_ms = std::max<int64_t>(config_.interval_ms, 100);
}

size_t OutlierDetector::add() {
  ++used_;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    if (endpoints_[i].used) continue;
    endpoints_[i] = {};
    endpoints_[i].used = true;
    return i;
  }
  endpoints_.emplace_back().used = true;
  return endpoints_.size() - 1;
}

void OutlierDetector::remove(size_t endpoint) {
  if (!endpoints_[endpoint].used) return;
  endpoints_[endpoint] = {};
  --used_;
}

bool OutlierDetector::ejected(size_t endpoint, int64_t now_ns) const {
  return now_ns < endpoints_[endpoint].until_ns;
}

size_t OutlierDetector::ejected_count(int64_t now_ns) const {
  return static_cast<size_t>(
      std::count_if(endpoints_.begin(), endpoints_.end(),
                    [now_ns](const Endpoint& e) { return e.used && now_ns < e.until_ns; }));
}

std::optional<Ejection> OutlierDetector::eject(size_t endpoint, EjectionCause cause,
                                               int64_t now_ns) {
  Endpoint& e = endpoints_[endpoint];
  e.in_a_row = 0;
  if (now_ns < e.until_ns) return std::nullopt;
  const auto most = static_cast<size_t>(config_.max_ejected * static_cast<double>(used_));
  if (ejected_count(now_ns) >= most) return std::nullopt;
  ++e.times;
  const int64_t longest = std::max(config_.max_ejection_ms, config_.base_ejection_ms);
  e.until_ns = now_ns + std::min(config_.base_ejection_ms * e.times, longest) * kNsPerMs;
  ++ejections_;
  return Ejection{endpoint, e.until_ns, cause};
}

std::optional<Ejection> OutlierDetector::record(size_t endpoint, bool success, int64_t now_ns) {
  Endpoint& e = endpoints_[endpoint];
  if (!e.used) return std::nullopt;
  ++e.requests;
  if (success) {
    ++e.successes;
    e.in_a_row = 0;
    return std::nullopt;
  }
  ++e.in_a_row;
  if (config_.consecutive_failures <= 0 || e.in_a_row < config_.consecutive_failures)
    return std::nullopt;
  return eject(endpoint, EjectionCause::kConsecutive, now_ns);
}

void OutlierDetector::revoke(size_t endpoint) {
  Endpoint& e = endpoints_[endpoint];
  if (e.successes > 0) --e.successes;
}

std::vector<Ejection> OutlierDetector::sweep(int64_t now_ns) {
  std::vector<Ejection> out;
  if (now_ns < next_sweep_ns_) return out;
  const bool first = next_sweep_ns_ == 0;
  next_sweep_ns_ = now_ns + config_.interval_ms * kNsPerMs;
  if (first) return out;

  double sum = 0;
  double squares = 0;
  int32_t counted = 0;
  for (const Endpoint& e : endpoints_) {
    if (!e.used || e.requests < std::max<int64_t>(config_.min_requests, 1)) continue;
    const double rate = static_cast<double>(e.successes) / static_cast<double>(e.requests);
    sum += rate;
    squares += rate * rate;
    ++counted;
  }
  if (config_.stdev_factor > 0 && counted >= std::max(config_.min_endpoints, 1)) {
    const double mean = sum / counted;
    const double deviation = std::sqrt(std::max(0.0, squares / counted - mean * mean));
    const double least = mean - config_.stdev_factor * deviation;
    for (size_t i = 0; i < endpoints_.size(); ++i) {
      const Endpoint& e = endpoints_[i];
      if (!e.used || e.requests < std::max<int64_t>(config_.min_requests, 1)) continue;
      const double rate = static_cast<double>(e.successes) / static_cast<double>(e.requests);
      // The last bits of a pool whose rates are all alike are no outliers.
      if (rate >= least - 1e-9) continue;
      if (const auto ejection = eject(i, EjectionCause::kSuccessRate, now_ns))
        out.push_back(*ejection);
    }
  }
  for (Endpoint& e : endpoints_) {
    if (now_ns >= e.until_ns && e.times > 0) --e.times;
    e.requests = 0;
    e.successes = 0;
  }
  return out;
}

bool pool_panics(size_t well, size_t all, double threshold) {
  return all > 0 && static_cast<double>(well) < threshold * static_cast<double>(all);
}

}  // namespace weir::gateway
