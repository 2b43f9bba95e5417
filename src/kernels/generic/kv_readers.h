// Keys and values of a page as vectors of f32, over V and the cache's type; the layouts:
// kernels/attention.h. A code times its f16 scale is exact in f32, so the arithmetic on a block
// type is that on its decoded values.
#pragma once

#include "kernels/table.h"

namespace weir::kernels::generic {

// kv_row_bytes(T, value_dim), as a template over V: see generic/math.h.
template <typename V, KvType T>
size_t value_row_bytes(size_t value_dim) {
  constexpr size_t kBlockBytes = kv_row_bytes(T, kKvBlock);
  if constexpr (is_block_type(T)) return value_dim / kKvBlock * kBlockBytes;
  return value_dim * 2;
}

template <typename V, KvType T>
V load_float(const std::byte* p) {
  const auto* words = reinterpret_cast<const uint16_t*>(p);
  if constexpr (T == KvType::kBF16) return V::load_bf16(words);
  return V::load_f16(words);
}

// One head's part of a page. What is read at p is fetched at p + ahead, where it will be needed:
// pages lie anywhere, so the hardware does not see the next one coming; a line at a time between
// the arithmetic, because a burst of 64 waits for the 24 that a core can have under way.
struct PageView {
  const std::byte* data;
  ptrdiff_t ahead;
};

// C vectors of keys from slot `slot` of one head's page.
template <typename V, KvType T, size_t C>
struct Keys {
  static constexpr size_t kVecs = C;
  static constexpr size_t kBlockBytes = kv_row_bytes(T, kKvBlock);
  PageView page;
  size_t slot;
  size_t page_tokens;

  // Calls use(d, keys) for every dimension in ascending order.
  template <typename Use>
  [[gnu::always_inline]] void for_each(size_t head_dim, Use&& use) const {
    if constexpr (!is_block_type(T)) {
      for (size_t d = 0; d < head_dim; ++d) {
        const std::byte* p = page.data + 2 * (d * page_tokens + slot);
        __builtin_prefetch(p + page.ahead, 0, 2);
        V key[C];
#pragma GCC unroll 4
        for (size_t c = 0; c < C; ++c) key[c] = load_float<V, T>(p + 2 * c * V::kWidth);
        use(d, key);
      }
    } else {
      const std::byte* block = page.data;
      for (size_t d = 0; d < head_dim; d += kKvBlock) {
        V scale[C];
#pragma GCC unroll 4
        for (size_t c = 0; c < C; ++c)
          scale[c] = load_float<V, KvType::kF16>(block + 2 * (slot + c * V::kWidth));
        half_block<0>(block, d, scale, use);
        half_block<1>(block, d, scale, use);
        block += page_tokens * kBlockBytes;
      }
    }
  }

 private:
  // Sixteen dimensions of a block that begins with dimension d.
  template <size_t Half, typename Use>
  [[gnu::always_inline]] void half_block(const std::byte* block, size_t d, const V (&scale)[C],
                                         Use&& use) const {
    constexpr size_t kHalf = kKvBlock / 2;
    const std::byte* codes = block + 2 * page_tokens + slot;
    for (size_t i = 0; i < kHalf; ++i) {
      const std::byte* p = codes + (T == KvType::kQ8_0 ? Half * kHalf + i : i) * page_tokens;
      __builtin_prefetch(p + page.ahead, 0, 2);
      V key[C];
#pragma GCC unroll 4
      for (size_t c = 0; c < C; ++c) {
        if constexpr (T == KvType::kQ8_0) {
          key[c] = V::load_i8(p + c * V::kWidth) * scale[c];
        } else {
          key[c] = V::template load_nibbles<Half == 1>(p + c * V::kWidth) * scale[c];
        }
      }
      use(Half * kHalf + d + i, key);
    }
  }
};

// Dimensions [d, d + V::kWidth) of one row of values.
template <typename V, KvType T>
[[gnu::always_inline]] inline V load_value(const std::byte* row, size_t d) {
  if constexpr (!is_block_type(T)) {
    return load_float<V, T>(row + 2 * d);
  } else {
    const std::byte* block = row + value_row_bytes<V, T>(d / kKvBlock * kKvBlock);
    const size_t i = d % kKvBlock;
    const V scale = V::set_f16(*reinterpret_cast<const uint16_t*>(block));
    if constexpr (T == KvType::kQ8_0) return V::load_i8(block + 2 + i) * scale;
    constexpr size_t kHalf = kKvBlock / 2;
    return (i < kHalf ? V::template load_nibbles<false>(block + 2 + i)
                      : V::template load_nibbles<true>(block + 2 + i - kHalf)) *
           scale;
  }
}

}  // namespace weir::kernels::generic
