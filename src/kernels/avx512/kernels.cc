// AVX-512 with VNNI: panels of 16 rows, up to 12 tokens a micro-kernel.
#include "kernels/avx512/vector.h"

#include "kernels/generic/make_table.h"
#include "quant/four_bit_values.h"

namespace weir::kernels {
namespace {

using avx512::Vec;

constexpr size_t kRows = 16;
constexpr size_t kGroups = 8;  // groups of 4 K in a block
// Small batches wait for memory: panels lie behind one another and are fetched this far ahead of
// use, across their ends, where the hardware prefetcher starts anew.
constexpr size_t kPrefetchBytes = 4096;
constexpr size_t kPrefetchTokens = 4;

// N bytes of the stream, kPrefetchBytes ahead of p; N a whole number of lines or more.
template <size_t N>
inline void prefetch_block(const uint8_t* p) {
#pragma GCC unroll 10
  for (size_t i = 0; i < N; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(p + kPrefetchBytes + i), _MM_HINT_T0);
  }
}

__m512i load_codes(const uint8_t* p) {
  return _mm512_loadu_si512(reinterpret_cast<const void*>(p));
}

__m512 load_halves(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

constexpr bool from_table(PanelFormat f) {
  return f == PanelFormat::kIq4 || f == PanelFormat::kE2m1;
}

// The values of the sixteen codes + 128, in each 128-bit lane.
template <PanelFormat F>
__m512i value_table() {
  const int8_t* values = F == PanelFormat::kIq4 ? quant::kIq4Values : quant::kE2m1Values;
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
  return _mm512_broadcast_i32x4(_mm_xor_si128(table, _mm_set1_epi8(-128)));
}

// The codes of one block as unsigned bytes: group g holds k = 4g .. 4g + 3 of the 16 rows.
template <PanelFormat F>
inline void load_block(const uint8_t* p, __m512i (&w)[kGroups]) {
  if constexpr (F == PanelFormat::kQ8) {
#pragma GCC unroll 8
    for (size_t g = 0; g < kGroups; ++g) w[g] = load_codes(p + g * 64);
  } else {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (size_t g = 0; g < kGroups / 2; ++g) {
      const __m512i both = load_codes(p + g * 64);
      w[g] = _mm512_and_si512(both, low);
      w[g + kGroups / 2] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
      if constexpr (from_table(F)) {
        w[g] = _mm512_shuffle_epi8(value_table<F>(), w[g]);
        w[g + kGroups / 2] = _mm512_shuffle_epi8(value_table<F>(), w[g + kGroups / 2]);
      }
    }
  }
}

// What the zero point of the codes adds to a block's dot product.
template <PanelFormat F>
inline __m512i initial_sum(const int32_t* neg8_sum) {
  if constexpr (F == PanelFormat::kQ4) return _mm512_set1_epi32(*neg8_sum);
  if constexpr (F == PanelFormat::kQ8 || from_table(F))
    return _mm512_slli_epi32(_mm512_set1_epi32(*neg8_sum), 4);
  return _mm512_setzero_si512();
}

template <PanelFormat F>
struct IntegerTile {
  static constexpr size_t kBlockBytes = F == PanelFormat::kQ8 ? kBlock * kRows : kBlock * kRows / 2;

  // Codes, scales and mins of one block.
  static constexpr size_t kStreamBytes = kBlockBytes + kRows * (F == PanelFormat::kQ4Min ? 4 : 2);

  template <size_t M>
  static void run(const std::byte* panel, size_t cols, const ActivationView& a, float* y,
                  size_t ldy, size_t rows, bool add) {
    const size_t blocks = cols / kBlock;
    const auto* w_block = reinterpret_cast<const uint8_t*>(panel);
    const int8_t* x = a.codes;
    __m512 acc[M];
#pragma GCC unroll 12
    for (size_t m = 0; m < M; ++m) acc[m] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; ++b) {
      __m512i w[kGroups];
      load_block<F>(w_block, w);
      if constexpr (M <= kPrefetchTokens) prefetch_block<kStreamBytes>(w_block);
      const __m512 d = load_halves(w_block + kBlockBytes);
      const float* x_scales = a.scales + b * a.width;
      const int32_t* sums = a.neg8_sums + b * a.width;
#pragma GCC unroll 12
      for (size_t m = 0; m < M; ++m) {
        __m512i s = initial_sum<F>(sums + m);
        const auto* quads = reinterpret_cast<const int32_t*>(x + m * kBlock);
#pragma GCC unroll 8
        for (size_t g = 0; g < kGroups; ++g)
          s = _mm512_dpbusd_epi32(s, w[g], _mm512_set1_epi32(quads[g]));
        acc[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s),
                                 _mm512_mul_ps(d, _mm512_set1_ps(x_scales[m])), acc[m]);
      }
      if constexpr (F == PanelFormat::kQ4Min) {
        const __m512 min = load_halves(w_block + kBlockBytes + 2 * kRows);
        const float* x_sums = a.scaled_sums + b * a.width;
#pragma GCC unroll 12
        for (size_t m = 0; m < M; ++m)
          acc[m] = _mm512_fmadd_ps(min, _mm512_set1_ps(x_sums[m]), acc[m]);
      }
      w_block += kStreamBytes;
      x += a.width * kBlock;
    }
#pragma GCC unroll 12
    for (size_t m = 0; m < M; ++m) generic::store_rows(Vec{acc[m]}, y + m * ldy, rows, add);
  }
};

constexpr Kernels kTable = generic::make_table<Vec, IntegerTile, 12>(Isa::kAvx512, true);

}  // namespace

const Kernels& avx512_kernels() { return kTable; }

}  // namespace weir::kernels
