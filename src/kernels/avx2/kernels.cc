// AVX2: panels of 8 rows, up to 4 tokens a micro-kernel (16 registers: 8 of codes or unpacking,
// accumulators, scales).
#include "kernels/avx2/vector.h"

#include "kernels/generic/make_table.h"
#include "quant/four_bit_values.h"

namespace weir::kernels {
namespace {

using avx2::Vec;

constexpr size_t kRows = 8;
constexpr size_t kGroups = 8;  // groups of 4 K in a block

__m256i load_codes(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

__m256 load_halves(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Dot products of 8 rows over one block, 4-bit unsigned codes: the 8 partial sums of a 16-bit lane
// stay below 8 * 2 * 15 * 127 = 30480.
inline __m256i dot_q4(const uint8_t* p, const int32_t* quads) {
  const __m256i low = _mm256_set1_epi8(15);
  __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (size_t g = 0; g < kGroups / 2; ++g) {
    const __m256i both = load_codes(p + g * 32);
    const __m256i first = _mm256_and_si256(both, low);
    const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(first, _mm256_set1_epi32(quads[g])));
    sum = _mm256_add_epi16(sum,
                           _mm256_maddubs_epi16(second, _mm256_set1_epi32(quads[g + kGroups / 2])));
  }
  return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

// sum + w . x of signed bytes, as |w| * sign(x, w); a pair stays below 2 * 128 * 127 = 32512.
inline __m256i add_dot(__m256i sum, __m256i w, int32_t quad) {
  const __m256i x = _mm256_sign_epi8(_mm256_set1_epi32(quad), w);
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), x);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Signed 8-bit codes.
inline __m256i dot_q8(const uint8_t* p, const int32_t* quads) {
  __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (size_t g = 0; g < kGroups; ++g) sum = add_dot(sum, load_codes(p + g * 32), quads[g]);
  return sum;
}

// 4-bit codes that stand for the signed bytes of a table.
inline __m256i dot_table(const uint8_t* p, const int32_t* quads, const int8_t* values) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
  const __m256i low = _mm256_set1_epi8(15);
  __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (size_t g = 0; g < kGroups / 2; ++g) {
    const __m256i both = load_codes(p + g * 32);
    const __m256i first = _mm256_and_si256(both, low);
    const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
    sum = add_dot(sum, _mm256_shuffle_epi8(table, first), quads[g]);
    sum = add_dot(sum, _mm256_shuffle_epi8(table, second), quads[g + kGroups / 2]);
  }
  return sum;
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
    const auto* codes = reinterpret_cast<const uint8_t*>(panel);
    const int8_t* x = a.codes;
    __m256 acc[M];
#pragma GCC unroll 4
    for (size_t m = 0; m < M; ++m) acc[m] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; ++b) {
      const __m256 d = load_halves(codes + kBlockBytes);
#pragma GCC unroll 4
      for (size_t m = 0; m < M; ++m) {
        const auto* quads = reinterpret_cast<const int32_t*>(x + m * kBlock);
        __m256i s;
        if constexpr (F == PanelFormat::kQ8) {
          s = dot_q8(codes, quads);
        } else if constexpr (F == PanelFormat::kIq4) {
          s = dot_table(codes, quads, quant::kIq4Values);
        } else if constexpr (F == PanelFormat::kE2m1) {
          s = dot_table(codes, quads, quant::kE2m1Values);
        } else {
          s = dot_q4(codes, quads);
        }
        if constexpr (F == PanelFormat::kQ4)
          s = _mm256_add_epi32(s, _mm256_set1_epi32(a.neg8_sums[b * a.width + m]));
        const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(a.scales[b * a.width + m]));
        acc[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), scale, acc[m]);
        if constexpr (F == PanelFormat::kQ4Min) {
          const __m256 min = load_halves(codes + kBlockBytes + 2 * kRows);
          acc[m] = _mm256_fmadd_ps(min, _mm256_set1_ps(a.scaled_sums[b * a.width + m]), acc[m]);
        }
      }
      codes += kStreamBytes;
      x += a.width * kBlock;
    }
#pragma GCC unroll 4
    for (size_t m = 0; m < M; ++m) generic::store_rows(Vec{acc[m]}, y + m * ldy, rows, add);
  }
};

constexpr Kernels kTable = generic::make_table<Vec, IntegerTile, 4>(Isa::kAvx2, false);

}  // namespace

const Kernels& avx2_kernels() { return kTable; }

}  // namespace weir::kernels
