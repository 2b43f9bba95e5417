#include "gateway/resilience/slow_start.h"

#include <algorithm>
#include <cmath>

namespace weir::gateway {

double slow_start_weight(const SlowStartConfig& config, int64_t ready_since_ns, int64_t now_ns) {
  const double least = std::clamp(config.min_weight, 0.01, 1.0);
  const double window_ns = static_cast<double>(config.window_ms) * 1e6;
  const auto since_ns = static_cast<double>(std::max<int64_t>(0, now_ns - ready_since_ns));
  if (since_ns >= window_ns) return 1.0;
  const double aggression = std::clamp(config.aggression, 0.1, 10.0);
  const double part = since_ns / window_ns;
  return std::max(least, aggression == 1.0 ? part : std::pow(part, 1.0 / aggression));
}

}  // namespace weir::gateway
