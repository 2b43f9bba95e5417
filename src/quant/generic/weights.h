// Weights of errors from values and importance. See quant/search.h.
#pragma once

#include "quant/generic/lanes.h"

namespace weir::quant::generic {

// Sums of 16 columns each, added up in one order whatever the width.
template <size_t W>
struct ColumnSums {
  using L = Lanes<W>;
  typename L::F part[kLanes / W]{};

  float total() const {
    float at[kLanes];
    for (size_t v = 0; v < kLanes / W; ++v) L::store(part[v], at + v * W);
    for (size_t half = kLanes / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) at[i] += at[i + half];
    }
    return at[0];
  }
};

template <size_t W>
float mean_square(const float* x, size_t n) {
  using L = Lanes<W>;
  ColumnSums<W> sums;
  for (size_t i = 0; i < n; i += kLanes) {
    for (size_t v = 0; v < kLanes / W; ++v) {
      const auto value = L::load(x + i + v * W);
      sums.part[v] += value * value;
    }
  }
  return sums.total() / static_cast<float>(n);
}

template <size_t W>
void weigh_row(Weighting weighting, const float* x, size_t cols, const float* importance,
               float* w) {
  using L = Lanes<W>;
  using F = typename L::F;
  constexpr size_t kSpan = 256;
  constexpr float kSmall = 1e-6F;
  double sum = 0;
  for (size_t first = 0; first < cols; first += kSpan) {
    const size_t end = first + kSpan < cols ? first + kSpan : cols;
    const bool grows = weighting == Weighting::kRootSquare;
    const F spread = L::set(grows ? 2.0F * mean_square<W>(x + first, end - first) : 0.0F);
    ColumnSums<W> sums;
    for (size_t i = first; i < end; i += kLanes) {
      for (size_t v = 0; v < kLanes / W; ++v) {
        const size_t at = i + v * W;
        const F value = L::load(x + at);
        F weight = grows ? L::sqrt(spread + value * value) : L::set(1.0F);
        if (importance != nullptr) weight *= L::load(importance + at);
        L::store(weight, w + at);
        sums.part[v] += weight;
      }
    }
    sum += static_cast<double>(sums.total());
  }
  const auto factor = static_cast<float>(sum > 0 ? static_cast<double>(cols) / sum : 0.0);
  for (size_t i = 0; i < cols; i += kLanes) {
    int32_t positive = 0;
    for (size_t k = 0; k < kLanes; ++k) {
      w[i + k] *= factor;
      positive |= w[i + k] > 0 ? 1 : 0;
    }
    if (positive != 0) continue;
    for (size_t v = 0; v < kLanes / W; ++v) L::store(L::set(kSmall), w + i + v * W);
  }
}

}  // namespace weir::quant::generic
