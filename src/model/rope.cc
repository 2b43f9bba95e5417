#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace weir::model {
namespace {

// The pair index at which `rotations` full turns happen over the original window (YaRN,
// section 3.2).
double yarn_dimension(const RopeConfig& c, double rotations) {
  return c.dims * std::log(c.original_context_tokens / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(c.base));
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& c, std::span<const float> factors) {
  const int32_t n = c.dims / 2;
  inv_freq_.resize(static_cast<size_t>(n));
  double low = yarn_dimension(c, c.yarn_beta_fast);
  double high = yarn_dimension(c, c.yarn_beta_slow);
  if (c.yarn_truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(0.0, low);
  high = std::min(c.dims - 1.0, high);
  for (int32_t i = 0; i < n; ++i) {
    const double divisor =
        factors.empty() ? 1.0 : static_cast<double>(factors[static_cast<size_t>(i)]);
    const double extrapolated = std::pow(c.base, -2.0 * i / c.dims) / divisor;
    double mix = 0.0;  // share of the unscaled frequency
    if (c.scaling == RopeScaling::kYarn) {
      mix = 1.0 - std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
    }
    inv_freq_[static_cast<size_t>(i)] = extrapolated / c.factor * (1.0 - mix) + extrapolated * mix;
  }
  magnitude_ = c.attention_factor;
  if (c.scaling == RopeScaling::kYarn) magnitude_ *= 1.0 + 0.1 * std::log(c.factor);
}

void RopeTable::fill(int32_t position, std::span<float> cos, std::span<float> sin) const {
  for (size_t i = 0; i < inv_freq_.size(); ++i) {
    const double angle = position * inv_freq_[i];
    cos[i] = static_cast<float>(std::cos(angle) * magnitude_);
    sin[i] = static_cast<float>(std::sin(angle) * magnitude_);
  }
}

}  // namespace weir::model
