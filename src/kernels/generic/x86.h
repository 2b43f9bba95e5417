// What the vectors of AVX2 and AVX-512 do with the same instructions. Templates over V: math.h says
// why.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace weir::kernels::generic {

// The end of V::store_code_block: stores a block's 32 codes and sums each half of them.
template <typename V>
[[gnu::always_inline]] inline void store_and_sum_codes(__m256i c, int8_t* codes, int32_t* half) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), c);
  const __m256i sums =  // of 8 codes each, + 8 * 128
      _mm256_sad_epu8(_mm256_xor_si256(c, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
  const __m256i pairs = _mm256_add_epi64(sums, _mm256_unpackhi_epi64(sums, sums));
  half[0] = _mm_cvtsi128_si32(_mm256_castsi256_si128(pairs)) - 16 * 128;
  half[1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(pairs, 1)) - 16 * 128;
}

}  // namespace weir::kernels::generic
