// The Walsh-Hadamard transform of a head, over V; what it is for: kernels/attention.h.
#pragma once

#include "kernels/table.h"

namespace weir::kernels::generic {

// The steps over distances H, 2H, ... inside a vector.
template <typename V, size_t H>
[[gnu::always_inline]] inline V hadamard_lanes(V x) {
  if constexpr (H < V::kWidth) {
    return hadamard_lanes<V, 2 * H>(x.template butterfly<H>());
  } else {
    return x;
  }
}

// One block of n values, a power of two and at least V::kWidth.
template <typename V>
void hadamard_block(float* x, size_t n) {
  const V scale = V::set(1.0F / __builtin_sqrtf(static_cast<float>(n)));
  for (size_t i = 0; i < n; i += V::kWidth)
    hadamard_lanes<V, 1>(V::load(x + i) * scale).store(x + i);
  for (size_t h = V::kWidth; h < n; h *= 2) {
    for (size_t begin = 0; begin < n; begin += 2 * h) {
      for (size_t i = begin; i < begin + h; i += V::kWidth) {
        const V a = V::load(x + i);
        const V b = V::load(x + i + h);
        (a + b).store(x + i);
        (a - b).store(x + i + h);
      }
    }
  }
}

// A value goes through the same operations whatever the width of V, so every ISA gives the same
// bits.
template <typename V>
void hadamard(float* x, size_t dim) {
  const size_t n = dim & (~dim + 1);
  for (size_t i = 0; i < dim; i += n) hadamard_block<V>(x + i, n);
}

}  // namespace weir::kernels::generic
