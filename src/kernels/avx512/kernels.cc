// AVX-512 with VNNI: panels of 16 rows, up to 16 tokens a micro-kernel.
#include "kernels/avx512/vector.h"

#include <cstring>

#include "kernels/generic/make_table.h"
#include "kernels/generic/prefetch.h"
#include "quant/four_bit_values.h"

namespace weir::kernels {
namespace {

using avx512::Vec;

constexpr size_t kRows = 16;
constexpr size_t kGroups = 8;  // groups of 4 K in a block
// Dot-product chains that run interleaved: a dot takes 4 cycles and one starts each cycle. One
// chain after the other leaves it to the scheduler's 64 entries to overlap them.
constexpr size_t kChains = 4;

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

// Bits of `field` shifted so that bit `from` of every byte comes to bit `to`, under `mask`. Shifts
// of words carry bits across bytes; those are masked.
template <int From, int To>
inline __m512i move_bits(__m512i field, char mask) {
  if constexpr (From > To) {
    field = _mm512_srli_epi16(field, From - To);
  } else if constexpr (To > From) {
    field = _mm512_slli_epi16(field, To - From);
  }
  return _mm512_and_si512(field, _mm512_set1_epi8(mask));
}

// Two bits of each code to bit `To`: load j holds the groups 4j .. 4j + 3.
template <int To>
inline void two_bits(const uint8_t* field, __m512i (&w)[kGroups]) {
  constexpr char mask = static_cast<char>(3 << To);
#pragma GCC unroll 2
  for (size_t j = 0; j < 2; ++j) {
    const __m512i all = load_codes(field + j * 64);
    w[4 * j] = move_bits<0, To>(all, mask);
    w[4 * j + 1] = move_bits<2, To>(all, mask);
    w[4 * j + 2] = move_bits<4, To>(all, mask);
    w[4 * j + 3] = move_bits<6, To>(all, mask);
  }
}

// One bit of each code to bit `To`: bit g for group g.
template <int To>
inline void one_bit(const uint8_t* field, __m512i (&w)[kGroups]) {
  constexpr char mask = static_cast<char>(1 << To);
  const __m512i all = load_codes(field);
  w[0] = move_bits<0, To>(all, mask);
  w[1] = move_bits<1, To>(all, mask);
  w[2] = move_bits<2, To>(all, mask);
  w[3] = move_bits<3, To>(all, mask);
  w[4] = move_bits<4, To>(all, mask);
  w[5] = move_bits<5, To>(all, mask);
  w[6] = move_bits<6, To>(all, mask);
  w[7] = move_bits<7, To>(all, mask);
}

// The low bits of the codes of one block as unsigned bytes.
template <PanelFormat F>
inline void load_low(const uint8_t* p, __m512i (&w)[kGroups]) {
  if constexpr (low_bits(F) == 8) {
#pragma GCC unroll 8
    for (size_t g = 0; g < kGroups; ++g) w[g] = load_codes(p + g * 64);
  } else if constexpr (low_bits(F) == 2) {
    two_bits<0>(p, w);
  } else {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (size_t g = 0; g < kGroups / 2; ++g) {
      const __m512i both = load_codes(p + g * 64);
      w[g] = _mm512_and_si512(both, low);
      w[g + kGroups / 2] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
  }
}

// The codes of one block as unsigned bytes: group g holds k = 4g .. 4g + 3 of the 16 rows.
template <PanelFormat F>
inline void load_block(const uint8_t* p, __m512i (&w)[kGroups]) {
  load_low<F>(p, w);
  if constexpr (from_table(F)) {
#pragma GCC unroll 8
    for (size_t g = 0; g < kGroups; ++g) w[g] = _mm512_shuffle_epi8(value_table<F>(), w[g]);
  }
  if constexpr (high_bits(F) > 0) {
    __m512i high[kGroups];
    if constexpr (high_bits(F) == 1) {
      one_bit<low_bits(F)>(p + low_bytes(F) * kRows, high);
    } else {
      two_bits<low_bits(F)>(p + low_bytes(F) * kRows, high);
    }
#pragma GCC unroll 8
    for (size_t g = 0; g < kGroups; ++g) w[g] = _mm512_or_si512(w[g], high[g]);
  }
}

// What the zero point of the codes adds to a block's dot product.
template <PanelFormat F>
inline __m512i initial_sum(const int32_t* neg8_sum) {
  if constexpr (F == PanelFormat::kQ4) return _mm512_set1_epi32(*neg8_sum);
  if constexpr (F == PanelFormat::kQ5) return _mm512_set1_epi32(2 * *neg8_sum);
  if constexpr (F == PanelFormat::kQ8 || from_table(F))
    return _mm512_slli_epi32(_mm512_set1_epi32(*neg8_sum), 4);
  return _mm512_setzero_si512();
}

// Scale i of a block (mins come after the scales); head: D or M of its super-block.
template <PanelFormat F>
inline __m512 factor(const uint8_t* head, const uint8_t* codes, size_t i) {
  const uint8_t* p = codes + code_bytes(F) * kRows;
  if constexpr (is_k_quant(F)) {
    const __m128i s = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i * kRows));
    return _mm512_mul_ps(load_halves(head), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(s)));
  }
  return load_halves(p + 2 * i * kRows);
}

// s + the products of a group's codes with 4 activation codes.
inline __m512i dot_quad(__m512i s, __m512i w, const int8_t* x) {
  int32_t quad;
  std::memcpy(&quad, x, sizeof quad);
  return _mm512_dpbusd_epi32(s, w, _mm512_set1_epi32(quad));
}

template <PanelFormat F>
struct IntegerTile {
  static constexpr size_t kStreamBytes = block_bytes(F) * kRows;

  // acc[m] += d * the products of N groups from `group` on with token m, in interleaved chains.
  // initial(m): what the zero point of the codes adds to their sum.
  template <size_t N, size_t M, typename Initial>
  [[gnu::always_inline]] static inline void add_chains(const __m512i (&w)[kGroups], size_t group,
                                                       __m512 d, const int8_t* x,
                                                       const float* x_scales,
                                                       const Initial& initial, __m512 (&acc)[M]) {
#pragma GCC unroll 16
    for (size_t first = 0; first < M; first += kChains) {
      const size_t n = M - first < kChains ? M - first : kChains;
      __m512i s[kChains];
#pragma GCC unroll 4
      for (size_t i = 0; i < n; ++i) s[i] = initial(first + i);
#pragma GCC unroll 8
      for (size_t g = group; g < group + N; ++g) {
#pragma GCC unroll 4
        for (size_t i = 0; i < n; ++i)
          s[i] = dot_quad(s[i], w[g], x + (first + i) * kBlock + 4 * g);
      }
#pragma GCC unroll 4
      for (size_t i = 0; i < n; ++i) {
        const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(x_scales[first + i]));
        acc[first + i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[i]), scale, acc[first + i]);
      }
    }
  }

  // acc[m] += the block's products, one scale.
  template <size_t M>
  static void add_block(const __m512i (&w)[kGroups], const uint8_t* head, const uint8_t* codes,
                        const ActivationView& a, size_t b, __m512 (&acc)[M]) {
    const __m512 d = factor<F>(head, codes, 0);
    const int8_t* x = a.codes + b * a.width * kBlock;
    const float* x_scales = a.scales + b * a.width;
    const int32_t* sums = a.neg8_sums + b * a.width;
    add_chains<kGroups>(
        w, 0, d, x, x_scales, [&](size_t m) { return initial_sum<F>(sums + m); }, acc);
    if constexpr (has_min(F)) {
      const __m512 min = factor<F>(head + 2 * kRows, codes, 1);
      const float* x_sums = a.scaled_sums + b * a.width;
#pragma GCC unroll 16
      for (size_t m = 0; m < M; ++m)
        acc[m] = _mm512_fmadd_ps(min, _mm512_set1_ps(x_sums[m]), acc[m]);
    }
  }

  // The same with a scale for each half.
  template <size_t M>
  static void add_halves(const __m512i (&w)[kGroups], const uint8_t* head, const uint8_t* codes,
                         const ActivationView& a, size_t b, __m512 (&acc)[M]) {
    const int8_t* x = a.codes + b * a.width * kBlock;
    const float* x_scales = a.scales + b * a.width;
    const int32_t* sums = a.half_sums + 2 * b * a.width;
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; ++h) {
      add_chains<kGroups / 2>(
          w, h * kGroups / 2, factor<F>(head, codes, h), x, x_scales,
          [&](size_t m) { return _mm512_set1_epi32(-zero_point(F) * sums[h * a.width + m]); }, acc);
    }
    if constexpr (has_min(F)) {
#pragma GCC unroll 2
      for (size_t h = 0; h < 2; ++h) {
        const __m512 min = factor<F>(head + 2 * kRows, codes, 2 + h);
#pragma GCC unroll 16
        for (size_t m = 0; m < M; ++m) {
          const float x_sum = x_scales[m] * static_cast<float>(sums[h * a.width + m]);
          acc[m] = _mm512_fmadd_ps(min, _mm512_set1_ps(x_sum), acc[m]);
        }
      }
    }
  }

  template <size_t M>
  static void run(const std::byte* panel, size_t cols, const ActivationView& a, float* y,
                  size_t ldy, size_t rows, bool add) {
    const auto* w_block = reinterpret_cast<const uint8_t*>(panel);
    __m512 acc[M];
#pragma GCC unroll 16
    for (size_t m = 0; m < M; ++m) acc[m] = _mm512_setzero_ps();
    const uint8_t* head = w_block;
    for (size_t b = 0; b < cols / kBlock; ++b, w_block += kStreamBytes) {
      if constexpr (is_k_quant(F)) {
        if (b % kSuperBlock == 0) {
          head = w_block;
          w_block += head_bytes(F) * kRows;
        }
      }
      __m512i w[kGroups];
      load_block<F>(w_block, w);
      generic::prefetch_block<Vec, kStreamBytes, M>(w_block);
      if constexpr (scales(F) == 1) {
        add_block<M>(w, head, w_block, a, b, acc);
      } else {
        add_halves<M>(w, head, w_block, a, b, acc);
      }
    }
#pragma GCC unroll 16
    for (size_t m = 0; m < M; ++m) generic::store_rows(Vec{acc[m]}, y + m * ldy, rows, add);
  }
};

// Tokens of one micro-kernel; sanitizers take less (CMakeLists.txt). The bits do not depend on it.
#ifndef WEIR_PIECE_TOKENS
#define WEIR_PIECE_TOKENS 16
#endif
constexpr Kernels kTable =
    generic::make_table<Vec, IntegerTile, WEIR_PIECE_TOKENS>(Isa::kAvx512, true);

}  // namespace

const Kernels& avx512_kernels() { return kTable; }

}  // namespace weir::kernels
