// Activations to int8 in blocks of 32, over V. The same codes and scales on every ISA.
#pragma once

#include "kernels/table.h"

namespace weir::kernels::generic {

// Blocks whose greatest magnitude is below this count as zero: 127 / amax would overflow.
inline constexpr float kTinyAmax = 1e-30F;

template <typename V>
inline void quantize_block(const float* x, size_t b, const QuantizedRow& out) {
  V top = V::zero();
  V poison = V::zero();  // NaN if any value is NaN or infinite, else 0
  for (size_t i = 0; i < kBlock; i += V::kWidth) {
    const V v = V::load(x + i);
    top = max(abs(v), top);
    poison = fma(v, V::zero(), poison);
  }
  const float amax = reduce_max(top);
  const bool tiny = amax < kTinyAmax;
  const V inverse = V::set(tiny ? 0.0F : 127.0F / amax);
  V total[2] = {V::zero(), V::zero()};  // of codes: integers below 2^12, exact in any order
  for (size_t i = 0; i < kBlock; i += V::kWidth) {
    // In this order of operands a NaN becomes -127.
    const V rounded = min(max(round(V::load(x + i) * inverse), V::set(-127.0F)), V::set(127.0F));
    rounded.store_codes(out.codes + b * out.code_stride + i);
    total[i / (kBlock / 2)] = total[i / (kBlock / 2)] + rounded;
  }
  const auto first = static_cast<int32_t>(reduce_add(total[0]));
  const auto second = static_cast<int32_t>(reduce_add(total[1]));
  const float scale = (tiny ? 0.0F : amax / 127.0F) + reduce_add(poison);
  out.scales[b * out.stride] = scale;
  out.neg8_sums[b * out.stride] = -8 * (first + second);
  out.scaled_sums[b * out.stride] = scale * static_cast<float>(first + second);
  out.half_sums[2 * b * out.stride] = first;
  out.half_sums[(2 * b + 1) * out.stride] = second;
}

template <typename V>
void quantize_row(const float* x, size_t cols, const QuantizedRow& out) {
  for (size_t b = 0; b < cols / kBlock; ++b) quantize_block<V>(x + b * kBlock, b, out);
}

}  // namespace weir::kernels::generic
