// Sums of outer products. See quant/outer.h.
#pragma once

#include "quant/generic/lanes.h"
#include "quant/outer.h"

namespace weir::quant::generic {

template <size_t W>
void add_outer(const float* a, size_t lda, const float* b, size_t ldb, size_t count, float* sums) {
  using L = Lanes<W>;
  using F = typename L::F;
  constexpr size_t kRows = 4;  // with 16 lanes the sums of so many fit into registers
  constexpr size_t kVectors = kOuterCols / W;
  for (size_t first = 0; first < kOuterRows; first += kRows) {
    float* rows = sums + first * kOuterCols;
    F sum[kRows][kVectors];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = L::load(rows + r * kOuterCols + v * W);
    }
    for (size_t t = 0; t < count; ++t) {
      for (size_t v = 0; v < kVectors; ++v) {
        const F bv = L::load(b + t * ldb + v * W);
        for (size_t r = 0; r < kRows; ++r) sum[r][v] += a[t * lda + first + r] * bv;
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) L::store(sum[r][v], rows + r * kOuterCols + v * W);
    }
  }
}

}  // namespace weir::quant::generic
