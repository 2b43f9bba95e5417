// AVX2: panels of 8 rows, up to 4 tokens a micro-kernel (16 registers: 8 of codes or unpacking,
// accumulators, scales).
#include "kernels/avx2/vector.h"

#include "kernels/generic/make_table.h"
#include "kernels/generic/prefetch.h"
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

// Bits 2f and 2f + 1 of load j as bytes: group g = 4j + f.
inline __m256i two_bits(const uint8_t* field, size_t g) {
  const __m256i all = load_codes(field + g / 4 * kRows * 4);
  return _mm256_and_si256(_mm256_srli_epi16(all, static_cast<int>(2 * (g % 4))),
                          _mm256_set1_epi8(3));
}

// Group g of a format of bit fields, as unsigned bytes.
template <PanelFormat F>
inline __m256i group_codes(const uint8_t* p, size_t g) {
  __m256i code;
  if constexpr (low_bits(F) == 2) {
    code = two_bits(p, g);
  } else {
    const __m256i both = load_codes(p + g % 4 * kRows * 4);
    code = _mm256_and_si256(g < 4 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
  }
  const uint8_t* high = p + low_bytes(F) * kRows;
  if constexpr (high_bits(F) == 1) {
    const __m256i bit = _mm256_and_si256(_mm256_srli_epi16(load_codes(high), static_cast<int>(g)),
                                         _mm256_set1_epi8(1));
    code = _mm256_or_si256(code, _mm256_slli_epi16(bit, low_bits(F)));
  }
  if constexpr (high_bits(F) == 2)
    code = _mm256_or_si256(code, _mm256_slli_epi16(two_bits(high, g), low_bits(F)));
  return code;
}

// How many groups a 16-bit lane can sum: a group adds 2 products of a code and at most 127.
template <PanelFormat F>
constexpr size_t groups_per_sum() {
  constexpr size_t most = (size_t{1} << (low_bits(F) + high_bits(F))) - 1;
  return most <= 15 ? 8 : most <= 31 ? 4 : 2;
}

// The unsigned codes of groups [First, First + N) against a token's.
template <PanelFormat F, size_t First, size_t N>
inline __m256i dot_codes(const __m256i (&w)[kGroups], const int32_t* quads) {
  constexpr size_t kRun = groups_per_sum<F>() < N ? groups_per_sum<F>() : N;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (size_t g = First; g < First + N; g += kRun) {
    __m256i pairs = _mm256_maddubs_epi16(w[g], _mm256_set1_epi32(quads[g]));
#pragma GCC unroll 8
    for (size_t i = g + 1; i < g + kRun; ++i)
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(w[i], _mm256_set1_epi32(quads[i])));
    sum = g == First ? _mm256_madd_epi16(pairs, ones)
                     : _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
  }
  return sum;
}

template <PanelFormat F>
constexpr bool signed_codes() {
  return F == PanelFormat::kQ8 || F == PanelFormat::kIq4 || F == PanelFormat::kE2m1;
}

// The unsigned codes of a block, unpacked once for all tokens. Signed ones stay in memory: their
// dot product needs them twice, which is more than the registers hold.
template <PanelFormat F>
inline void load_block(const uint8_t* p, __m256i (&w)[kGroups]) {
  if constexpr (!signed_codes<F>()) {
#pragma GCC unroll 8
    for (size_t g = 0; g < kGroups; ++g) w[g] = group_codes<F>(p, g);
  }
}

// Dot products of one block under its one scale, the zero point taken off.
template <PanelFormat F>
inline __m256i dot_block(const __m256i (&w)[kGroups], const uint8_t* codes, const int32_t* quads,
                         int32_t neg8_sum) {
  if constexpr (F == PanelFormat::kQ8) return dot_q8(codes, quads);
  if constexpr (F == PanelFormat::kIq4) return dot_table(codes, quads, quant::kIq4Values);
  if constexpr (F == PanelFormat::kE2m1) return dot_table(codes, quads, quant::kE2m1Values);
  const __m256i s = dot_codes<F, 0, kGroups>(w, quads);
  if constexpr (zero_point(F) == 0) return s;
  return _mm256_add_epi32(s, _mm256_set1_epi32(neg8_sum * (zero_point(F) / 8)));
}

// Scale i of a block (mins come after the scales); head: D or M of its super-block.
template <PanelFormat F>
inline __m256 factor(const uint8_t* head, const uint8_t* codes, size_t i) {
  const uint8_t* p = codes + code_bytes(F) * kRows;
  if constexpr (is_k_quant(F)) {
    const __m128i s = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + i * kRows));
    return _mm256_mul_ps(load_halves(head), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(s)));
  }
  return load_halves(p + 2 * i * kRows);
}

template <PanelFormat F>
struct IntegerTile {
  static constexpr size_t kScales = scales(F);

  // acc + block b of token m.
  static __m256 add_block(const __m256i (&w)[kGroups], const uint8_t* head, const uint8_t* codes,
                          const ActivationView& a, size_t b, size_t m, __m256 acc) {
    const auto* quads = reinterpret_cast<const int32_t*>(a.codes + (b * a.width + m) * kBlock);
    const float x_scale = a.scales[b * a.width + m];
    const int32_t* halves = a.half_sums + 2 * b * a.width + m;
#pragma GCC unroll 2
    for (size_t h = 0; h < kScales; ++h) {
      __m256i s;
      if constexpr (kScales == 1) {
        s = dot_block<F>(w, codes, quads, a.neg8_sums[b * a.width + m]);
      } else {
        s = h == 0 ? dot_codes<F, 0, kGroups / 2>(w, quads)
                   : dot_codes<F, kGroups / 2, kGroups / 2>(w, quads);
        s = _mm256_sub_epi32(s, _mm256_set1_epi32(zero_point(F) * halves[h * a.width]));
      }
      const __m256 scale = _mm256_mul_ps(factor<F>(head, codes, h), _mm256_set1_ps(x_scale));
      acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), scale, acc);
    }
    if constexpr (has_min(F)) {
#pragma GCC unroll 2
      for (size_t h = 0; h < kScales; ++h) {
        const float x_sum = kScales == 1 ? a.scaled_sums[b * a.width + m]
                                         : x_scale * static_cast<float>(halves[h * a.width]);
        acc = _mm256_fmadd_ps(factor<F>(head + 2 * kRows, codes, kScales + h),
                              _mm256_set1_ps(x_sum), acc);
      }
    }
    return acc;
  }

  template <size_t M>
  static void run(const std::byte* panel, size_t cols, const ActivationView& a, float* y,
                  size_t ldy, size_t rows, bool add) {
    const size_t blocks = cols / kBlock;
    const auto* codes = reinterpret_cast<const uint8_t*>(panel);
    const uint8_t* head = codes;
    __m256 acc[M];
#pragma GCC unroll 4
    for (size_t m = 0; m < M; ++m) acc[m] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; ++b) {
      if constexpr (is_k_quant(F)) {
        if (b % kSuperBlock == 0) {
          head = codes;
          codes += head_bytes(F) * kRows;
        }
      }
      __m256i w[kGroups];
      load_block<F>(codes, w);
      generic::prefetch_block<Vec, block_bytes(F) * kRows, M>(codes);
#pragma GCC unroll 4
      for (size_t m = 0; m < M; ++m) acc[m] = add_block(w, head, codes, a, b, m, acc[m]);
      codes += block_bytes(F) * kRows;
    }
#pragma GCC unroll 4
    for (size_t m = 0; m < M; ++m) generic::store_rows(Vec{acc[m]}, y + m * ldy, rows, add);
  }
};

constexpr Kernels kTable = generic::make_table<Vec, IntegerTile, 4>(Isa::kAvx2, false);

}  // namespace

const Kernels& avx2_kernels() { return kTable; }

}  // namespace weir::kernels
