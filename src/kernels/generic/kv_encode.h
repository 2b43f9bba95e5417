// Keys and values to blocks of the cache, over V: the bytes of quant::encode for every block that
// it takes, but for codes of a scale whose reciprocal is infinite (it is 0 as f16). A block with a
// value that is not finite, or beyond its scale's range, gets a scale of NaN.
#pragma once

#include "kernels/table.h"

namespace weir::kernels::generic {

// Whether the first value of the largest magnitude is negative.
template <typename V>
bool largest_is_negative(const float* x, float amax) {
  V top = V::set(-__builtin_inff());
  V bottom = top;  // of the negated values
  for (size_t i = 0; i < kKvBlock; i += V::kWidth) {
    top = max(V::load(x + i), top);
    bottom = max(V::zero() - V::load(x + i), bottom);
  }
  if (reduce_max(top) < amax) return true;
  if (reduce_max(bottom) < amax) return false;
  for (size_t i = 0; i < kKvBlock; ++i) {  // both signs
    if (__builtin_fabsf(x[i]) == amax) return x[i] < 0.0F;
  }
  return false;
}

// To nearest, halves away from zero.
template <typename V>
V round_half_away(V y) {
  const V even = round(y);
  const V rest = y - even;
  return even + zero_if_less(abs(y) - abs(even), V::set(0.5F), rest + rest);
}

template <typename V>
V floor_of(V y) {
  const V nearest = round(y);
  return nearest - V::set(1.0F) + zero_if_less(y, nearest, V::set(1.0F));
}

// The scale; NaN for one that f16 does not hold.
template <typename V>
void store_scale(float scale, std::byte* block) {
  uint16_t lanes[V::kWidth];
  V::set(scale).store_f16(lanes);
  const uint16_t word = (lanes[0] & 0x7fffU) >= 0x7c00U ? uint16_t{0x7e00} : lanes[0];
  __builtin_memcpy(block, &word, sizeof word);
}

template <typename V, KvType T>
void encode_kv_block(const float* x, std::byte* block) {
  V top = V::zero();
  for (size_t i = 0; i < kKvBlock; i += V::kWidth) top = max_magnitude(V::load(x + i), top);
  const float amax = reduce_magnitude(top);  // NaN if any value is
  float scale = amax / 127.0F;
  if constexpr (T == KvType::kQ4_0) scale = (largest_is_negative<V>(x, amax) ? amax : -amax) / 8.0F;
  store_scale<V>(scale, block);
  const V inverse = V::set(amax == 0.0F ? 0.0F : 1.0F / scale);
  int8_t codes[kKvBlock];
  for (size_t i = 0; i < kKvBlock; i += V::kWidth) {
    const V y = V::load(x + i) * inverse;
    // In this order of operands a NaN becomes the lower bound.
    if constexpr (T == KvType::kQ8_0) {
      min(max(round_half_away(y), V::set(-127.0F)), V::set(127.0F)).store_codes(codes + i);
    } else {
      min(max(floor_of(y + V::set(8.5F)), V::zero()), V::set(15.0F)).store_codes(codes + i);
    }
  }
  if constexpr (T == KvType::kQ8_0) {
    __builtin_memcpy(block + 2, codes, sizeof codes);
  } else {
    for (size_t i = 0; i < kKvBlock / 2; ++i)
      block[2 + i] = static_cast<std::byte>(codes[i] | codes[i + kKvBlock / 2] << 4);
  }
}

// count: whole blocks.
template <typename V>
void encode_kv(KvType type, const float* x, size_t count, std::byte* row) {
  constexpr size_t kQ8Bytes = kv_row_bytes(KvType::kQ8_0, kKvBlock);
  constexpr size_t kQ4Bytes = kv_row_bytes(KvType::kQ4_0, kKvBlock);
  for (size_t b = 0; b < count / kKvBlock; ++b) {
    if (type == KvType::kQ8_0) {
      encode_kv_block<V, KvType::kQ8_0>(x + b * kKvBlock, row + b * kQ8Bytes);
    } else {
      encode_kv_block<V, KvType::kQ4_0>(x + b * kKvBlock, row + b * kQ4Bytes);
    }
  }
}

}  // namespace weir::kernels::generic
