#include "ops/quantize/rotation.h"

#include <cmath>
#include <numbers>

#include "base/rng.h"

namespace weir::ops {

Result<Rotation> Rotation::make(size_t n, std::optional<uint64_t> seed, uint64_t stream) {
  Rotation r;
  r.n_ = n;
  r.odd_ = n;
  while (r.odd_ > 0 && r.odd_ % 2 == 0) r.odd_ /= 2;
  if (n == 0 || r.odd_ > kMostOdd) {
    return make_error(ErrorCode::kUnsupported,
                      "a width of {} has an odd part of {}; it is rotated up to {}", n, r.odd_,
                      kMostOdd);
  }
  const auto m = static_cast<double>(r.odd_);
  for (size_t i = 0; i < r.odd_; ++i) {
    for (size_t j = 0; j < r.odd_; ++j) {
      const double angle =
          std::numbers::pi * (static_cast<double>(j) + 0.5) * static_cast<double>(i) / m;
      r.dense_.push_back(std::sqrt((i == 0 ? 1 : 2) / m) * std::cos(angle));
    }
  }
  if (seed) {
    for (size_t i = 0; i < n; ++i)
      r.signs_.push_back(random_u64(*seed, stream, i) % 2 == 0 ? 1 : -1);
  }
  return r;
}

// The m elements of each group, which lie side by side.
void Rotation::mix_odd(std::span<double> x, size_t lanes) const {
  std::vector<double> group(odd_ * lanes);
  for (size_t first = 0; first < n_; first += odd_) {
    double* at = x.data() + first * lanes;
    for (size_t i = 0; i < group.size(); ++i) group[i] = at[i];
    for (size_t i = 0; i < odd_; ++i) {
      double* out = at + i * lanes;
      for (size_t l = 0; l < lanes; ++l) out[l] = 0;
      for (size_t j = 0; j < odd_; ++j) {
        const double factor = dense_[i * odd_ + j];
        for (size_t l = 0; l < lanes; ++l) out[l] += factor * group[j * lanes + l];
      }
    }
  }
}

void Rotation::apply(std::span<double> x, size_t lanes) const {
  for (size_t i = 0; i < signs_.size(); ++i) {
    for (size_t l = 0; l < lanes; ++l) x[i * lanes + l] *= signs_[i];
  }
  if (odd_ > 1) mix_odd(x, lanes);
  const size_t groups = n_ / odd_;
  const double scale = 1 / std::sqrt(static_cast<double>(groups));
  for (size_t half = 1; half < groups; half *= 2) {
    const size_t run = half * odd_ * lanes;
    for (size_t first = 0; first < x.size(); first += 2 * run) {
      double* a = x.data() + first;
      double* b = a + run;
      for (size_t i = 0; i < run; ++i) {
        const double sum = a[i] + b[i];
        b[i] = a[i] - b[i];
        a[i] = sum;
      }
    }
  }
  for (double& v : x) v *= scale;
}

}  // namespace weir::ops
