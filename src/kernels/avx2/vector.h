// Vec of 8 floats in one AVX register. The meaning of each function: scalar/vector.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/generic/x86.h"

namespace weir::kernels::avx2 {

struct Vec {
  static constexpr size_t kWidth = 8;
  static constexpr size_t kTileVecs = 2;  // 6 x 2 accumulators of 16 registers
  static constexpr size_t kTileRows = 6;
  __m256 v;

  // All bits set in the first n lanes.
  static __m256i first(size_t n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n > 8 ? 8 : n)), lanes);
  }
  static Vec zero() { return {_mm256_setzero_ps()}; }
  static Vec set(float x) { return {_mm256_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec load_n(const float* p, size_t n) { return {_mm256_maskload_ps(p, first(n))}; }
  static Vec load_f16(const uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static Vec load_bf16(const uint16_t* p) {
    const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16))};
  }
  static Vec load_i8(const std::byte* p) {
    const __m128i c = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(c))};
  }
  template <bool High>
  static Vec load_nibbles(const std::byte* p) {
    __m128i c = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    if constexpr (High) c = _mm_srli_epi16(c, 4);
    c = _mm_sub_epi8(_mm_and_si128(c, _mm_set1_epi8(15)), _mm_set1_epi8(8));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(c))};
  }
  static Vec set_f16(uint16_t x) {
    return {_mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(x)))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_n(float* p, size_t n) const { _mm256_maskstore_ps(p, first(n), v); }
  void store_f16(uint16_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  void store_codes(int8_t* p) const {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v), _mm256_setzero_si256());
    const __m128i low =
        _mm_unpacklo_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(low, low));
  }
  static void store_code_block(const Vec* block, int8_t* codes, int32_t* half) {
    const __m256i words[2] = {
        _mm256_packs_epi32(_mm256_cvtps_epi32(block[0].v), _mm256_cvtps_epi32(block[1].v)),
        _mm256_packs_epi32(_mm256_cvtps_epi32(block[2].v), _mm256_cvtps_epi32(block[3].v))};
    // Both packs work in 128-bit lanes; the permutation puts the quads of codes in order.
    const __m256i c = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words[0], words[1]),
                                                  _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    generic::store_and_sum_codes<Vec>(c, codes, half);
  }
  template <size_t H>
  Vec butterfly() const {
    __m256 other;
    if constexpr (H == 1) other = _mm256_permute_ps(v, 0xb1);
    if constexpr (H == 2) other = _mm256_permute_ps(v, 0x4e);
    if constexpr (H == 4) other = _mm256_permute2f128_ps(v, v, 1);
    constexpr int kUpper = H == 1 ? 0xaa : H == 2 ? 0xcc : 0xf0;
    return {_mm256_blend_ps(_mm256_add_ps(other, v), _mm256_sub_ps(other, v), kUpper)};
  }
  friend Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
  friend Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
  friend Vec abs(Vec a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)}; }
  friend Vec round(Vec a) {
    return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  friend Vec scale_pow2(Vec x, Vec n) {
    const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
    return {_mm256_mul_ps(x.v, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)))};
  }
  friend Vec zero_if_less(Vec a, Vec b, Vec x) {
    return {_mm256_andnot_ps(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ), x.v)};
  }
  friend Vec keep_lanes(Vec x, size_t lo, size_t hi) {
    const __m256i mask = _mm256_andnot_si256(first(lo), first(hi));
    return {_mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), x.v, _mm256_castsi256_ps(mask))};
  }
  friend Vec max_magnitude(Vec x, Vec top) {
    return {_mm256_castsi256_ps(
        _mm256_max_epi32(_mm256_castps_si256(abs(x).v), _mm256_castps_si256(top.v)))};
  }
  friend float reduce_magnitude(Vec a) {
    const __m256i bits = _mm256_castps_si256(a.v);
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(s));
  }
  friend float reduce_add(Vec a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  friend float reduce_max(Vec a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
};

}  // namespace weir::kernels::avx2
