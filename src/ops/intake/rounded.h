// Values as intake files show them.
#pragma once

#include <cmath>

namespace weir::ops {

// To four significant digits, as the nearest double to that decimal; 0 for what is not above 0.
inline double rounded(double v) {
  if (!(v > 0)) return 0;
  const double digits = 3 - std::floor(std::log10(v));  // behind the point
  if (digits <= 0) return std::round(v / std::pow(10.0, -digits)) * std::pow(10.0, -digits);
  const double scale = std::pow(10.0, digits);
  const double out = std::round(v * scale) / scale;
  return std::isfinite(out) ? out : v;
}

}  // namespace weir::ops
