// How the integer micro-kernels fetch weights ahead of use. Panels lie behind one another, so what
// is ahead is the next task's where this one ends; there the hardware prefetcher starts anew.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::kernels::generic {

inline constexpr size_t kNearBytes = 4096;
// One token reads wide blocks faster than L1 can have lines under way; L2 can have more. 1B in
// Q8_0, AVX-512: 33.4 -> 36.6 tokens/s; blocks of 4 bits lost 0 to 3 % by it, the 135M 8 %.
inline constexpr size_t kFewTokens = 4;
inline constexpr size_t kWideBlockBytes = 25;  // of a row
inline constexpr size_t kFarBytes = 16384;

// N bytes of the stream from p on, blocks of V::kWidth rows, for M tokens.
template <typename V, size_t N, size_t M>
inline void prefetch_block(const uint8_t* p) {
  constexpr bool far = M <= kFewTokens && N >= kWideBlockBytes * V::kWidth;
#pragma GCC unroll 10
  for (size_t i = 0; i < N; i += 64) {
    if constexpr (far && V::kWidth == 16) __builtin_prefetch(p + kFarBytes + i, 0, 2);
    __builtin_prefetch(p + kNearBytes + i, 0, 3);
  }
}

}  // namespace weir::kernels::generic
