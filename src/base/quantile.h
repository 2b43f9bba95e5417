// Quantiles of samples.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

namespace weir {

template <typename T>
double sorted_quantile_of(std::span<const T> sorted, double q) {
  if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double at = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  const auto a = static_cast<double>(sorted[low]);
  return a + (at - static_cast<double>(low)) * (static_cast<double>(sorted[high]) - a);
}

// Type 7 quantile (numpy's default) of ascending values, q clamped to 0 .. 1; NaN when empty.
inline double sorted_quantile(std::span<const float> sorted, double q) {
  return sorted_quantile_of(sorted, q);
}
inline double sorted_quantile(std::span<const double> sorted, double q) {
  return sorted_quantile_of(sorted, q);
}

}  // namespace weir
