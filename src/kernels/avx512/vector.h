// Vec of 16 floats in one AVX-512 register. The meaning of each function: scalar/vector.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/generic/x86.h"

namespace weir::kernels::avx512 {

struct Vec {
  static constexpr size_t kWidth = 16;
  static constexpr size_t kTileVecs = 2;  // 12 x 2 accumulators of 32 registers
  static constexpr size_t kTileRows = 12;
  __m512 v;

  static __mmask16 first(size_t n) {
    return static_cast<__mmask16>(n >= 16 ? 0xffffU : (1U << n) - 1U);
  }
  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec set(float x) { return {_mm512_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load_n(const float* p, size_t n) { return {_mm512_maskz_loadu_ps(first(n), p)}; }
  static Vec load_f16(const uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static Vec load_bf16(const uint16_t* p) {
    const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))};
  }
  static Vec load_i8(const std::byte* p) {
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(c))};
  }
  template <bool High>
  static Vec load_nibbles(const std::byte* p) {
    __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if constexpr (High) c = _mm_srli_epi16(c, 4);
    c = _mm_sub_epi8(_mm_and_si128(c, _mm_set1_epi8(15)), _mm_set1_epi8(8));
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(c))};
  }
  static Vec set_f16(uint16_t x) {
    return {_mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(x)))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_n(float* p, size_t n) const { _mm512_mask_storeu_ps(p, first(n), v); }
  void store_f16(uint16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  void store_codes(int8_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }
  static void store_code_block(const Vec* block, int8_t* codes, int32_t* half) {
    const __m256i c = _mm256_set_m128i(_mm512_cvtepi32_epi8(_mm512_cvtps_epi32(block[1].v)),
                                       _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(block[0].v)));
    generic::store_and_sum_codes<Vec>(c, codes, half);
  }
  template <size_t H>
  Vec butterfly() const {
    __m512 other;
    if constexpr (H == 1) other = _mm512_permute_ps(v, 0xb1);
    if constexpr (H == 2) other = _mm512_permute_ps(v, 0x4e);
    if constexpr (H == 4) other = _mm512_shuffle_f32x4(v, v, 0xb1);
    if constexpr (H == 8) other = _mm512_shuffle_f32x4(v, v, 0x4e);
    constexpr auto kUpper = static_cast<__mmask16>(H == 1   ? 0xaaaa
                                                   : H == 2 ? 0xcccc
                                                   : H == 4 ? 0xf0f0
                                                            : 0xff00);
    return {_mm512_mask_sub_ps(_mm512_add_ps(other, v), kUpper, other, v)};
  }
  friend Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  friend Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
  friend Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
  friend Vec abs(Vec a) { return {_mm512_abs_ps(a.v)}; }
  friend Vec round(Vec a) {
    return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  friend Vec scale_pow2(Vec x, Vec n) { return {_mm512_scalef_ps(x.v, n.v)}; }
  friend Vec zero_if_less(Vec a, Vec b, Vec x) {
    return {_mm512_mask_mov_ps(x.v, _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), _mm512_setzero_ps())};
  }
  friend Vec keep_lanes(Vec x, size_t lo, size_t hi) {
    const auto mask = static_cast<__mmask16>(first(hi) & ~first(lo));
    return {_mm512_mask_mov_ps(_mm512_set1_ps(-__builtin_inff()), mask, x.v)};
  }
  friend Vec max_magnitude(Vec x, Vec top) {
    return {_mm512_castsi512_ps(
        _mm512_max_epi32(_mm512_castps_si512(abs(x).v), _mm512_castps_si512(top.v)))};
  }
  friend float reduce_magnitude(Vec a) {
    const __m512i bits = _mm512_castps_si512(a.v);
    const __m256i h =
        _mm256_max_epi32(_mm512_castsi512_si256(bits), _mm512_extracti64x4_epi64(bits, 1));
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(s));
  }
  friend float reduce_add(Vec a) { return _mm512_reduce_add_ps(a.v); }
  friend float reduce_max(Vec a) { return _mm512_reduce_max_ps(a.v); }
};

}  // namespace weir::kernels::avx512
