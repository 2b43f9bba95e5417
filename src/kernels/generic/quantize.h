// Activations to int8 in blocks of 32, over V. The same codes and scales on every ISA.
#pragma once

#include "kernels/table.h"

namespace weir::kernels::generic {

// Blocks whose greatest magnitude is below this count as zero: 127 / amax would overflow.
inline constexpr float kTinyAmax = 1e-30F;

template <typename V>
inline void quantize_block(const float* x, size_t b, const QuantizedRow& out) {
  V top = V::zero();
  for (size_t i = 0; i < kBlock; i += V::kWidth) top = max_magnitude(V::load(x + i), top);
  const float amax = reduce_magnitude(top);  // NaN if any value is
  const bool tiny = amax < kTinyAmax;
  const V inverse = V::set(tiny ? 0.0F : 127.0F / amax);
  V rounded[kBlock / V::kWidth];
  for (size_t i = 0; i < kBlock / V::kWidth; ++i) {
    const V x_scaled = V::load(x + i * V::kWidth) * inverse;
    // In this order of operands a NaN becomes -127.
    rounded[i] = min(max(round(x_scaled), V::set(-127.0F)), V::set(127.0F));
  }
  int32_t half[2];
  V::store_code_block(rounded, out.codes + b * out.code_stride, half);
  const float scale = tiny ? 0.0F : amax / 127.0F;
  out.scales[b * out.stride] = scale;
  out.neg8_sums[b * out.stride] = -8 * (half[0] + half[1]);
  out.scaled_sums[b * out.stride] = scale * static_cast<float>(half[0] + half[1]);
  out.half_sums[2 * b * out.stride] = half[0];
  out.half_sums[(2 * b + 1) * out.stride] = half[1];
}

template <typename V>
void quantize_row(const float* x, size_t cols, const QuantizedRow& out) {
  for (size_t b = 0; b < cols / kBlock; ++b) quantize_block<V>(x + b * kBlock, b, out);
}

}  // namespace weir::kernels::generic
